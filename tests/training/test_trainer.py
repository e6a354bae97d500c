from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tiny_bert import descend
from transformers import AutoTokenizer

from clearir.cli.app import main
from clearir.data.rows import Row, Rows
from clearir.models.load import load_model
from clearir.models.prompts import Prompts
from clearir.settings import LossSettings, TrainSettings
from clearir.support.errors import ClearirError, InputError
from clearir.training.batches import collator_of, dataset_of, draw_rows
from clearir.training.checkpoints import last_whole_checkpoint
from clearir.training.loss_factory import make_loss
from clearir.training.train import train
from clearir.training.trainer import Trainer, make_trainer

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")
SHORT = TrainSettings(max_steps=6, batch_size=4, save_steps=1, log_steps=2, learning_rate=1e-3, warmup_ratio=0.0)
PLAIN = LossSettings(cached=False)


def sample(count: int) -> list[Row]:
    """Rows without the letter z."""
    return [
        Row(
            query=f"{WORDS[i % 12]} {i}",
            passage=f"{WORDS[i % 11]} {WORDS[i % 7]} {i}",
            target_query=f"x {WORDS[i % 12]} {i}",
            language="de",
            negatives=(f"{WORDS[i % 5]} {i}",),
            target_negatives=(f"x {WORDS[i % 5]} {i}",),
            query_id=f"q{i}",
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def poisoned_path(tiny_model_path, tmp_path_factory) -> Path:
    """The tiny model with a letter z that overflows."""
    path = tmp_path_factory.mktemp("poisoned") / "model"
    shutil.copytree(tiny_model_path, path)
    weights = load_file(path / "model.safetensors")
    (name,) = (name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name][AutoTokenizer.from_pretrained(path).convert_tokens_to_ids("z")] = 3e38
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def rows_named(message: str) -> list[int]:
    numbers = re.search(r"Rows of the batch, .*?: ([\d, ]+)\.", message)
    assert numbers is not None, message
    return [int(number) for number in numbers[1].split(", ")]


def test_a_bad_row_stops_the_run_and_is_named(poisoned_path, tmp_path):
    rows = draw_rows(sample(24), SHORT, 0)
    rows[17] = replace(rows[17], target_query="z")
    with pytest.raises(ClearirError, match="the loss is not finite; stopped before it reached the weights") as stopped:
        train(rows, str(poisoned_path), tmp_path / "model", SHORT, PLAIN)
    message = str(stopped.value)
    named = rows_named(message)
    assert 18 in named
    assert len(named) == SHORT.batch_size
    first = rows[named[0] - 1]
    assert f"row {named[0]}: [{first.query_id}] {first.query!r}, {first.target_query!r} -> {first.passage!r}" in message
    assert "train.learning_rate" in message
    step = int(message.split()[1].rstrip(":"))
    assert step > 1, "choose another row: this one is in the first batch"
    checkpoint = last_whole_checkpoint(next((tmp_path / ".model.checkpoints").iterdir()))
    assert checkpoint is not None
    assert message.endswith(f"The last checkpoint is kept: {checkpoint}")
    assert checkpoint.name == f"checkpoint-{step - 1}"
    good, poison = load_file(checkpoint / "model.safetensors"), load_model(poisoned_path).state_dict()
    assert all(weight.isfinite().all() for weight in good.values())
    (used,) = good.keys() - poison.keys()  # of the words
    (table,) = poison.keys() - good.keys()
    assert len(good.pop(used)) < len(poison[table])
    assert not all(torch.equal(good[name], poison[name]) for name in good), "it was trained before it was stopped"
    assert not (tmp_path / "model").exists()


def test_a_bad_row_on_the_command_line(poisoned_path, tmp_path, monkeypatch, capsys):
    Rows((*sample(30), replace(sample(1)[0], target_query="z"))).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "recipe.yaml").write_text(
        f"name: bad row\noutput: {tmp_path / 'run'}\nmodel: {poisoned_path}\n"
        f"data: {{path: {tmp_path / 'rows.parquet'}, test: {{de: 1}}}}\nfilter: null\n"
        "train: {epochs: 1, batch_size: 4, save_steps: 1}\nloss: {cached: false}\n"
    )
    monkeypatch.setattr(sys, "argv", ["clearir", "train", str(tmp_path / "recipe.yaml")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    table = Rows.from_parquet(tmp_path / "run" / "mined" / "train.parquet").rows
    assert "z" in {table[number - 1].target_query for number in rows_named(message)}
    assert not (tmp_path / "run" / "model").exists()
    assert list((tmp_path / "run" / ".checkpoints").glob("*/checkpoint-*/whole"))


def test_a_row_that_makes_no_scale_is_named_before_training(poisoned_path, tmp_path):
    rows = [*draw_rows(sample(24), SHORT, 0), replace(sample(1)[0], query="z")]
    with pytest.raises(InputError, match=r"vectors are not all finite numbers, first that of 'z'"):
        train(rows, str(poisoned_path), tmp_path / "model", SHORT, PLAIN)
    assert not any(tmp_path.iterdir())


def test_weights_that_explode_stop_the_run(tiny_model_path, tmp_path):
    wild = SHORT.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30})
    with pytest.raises(ClearirError, match=r"step 2: the (loss|gradient) is not finite.*checkpoint-1$"):
        train(draw_rows(sample(24), wild, 0), str(tiny_model_path), tmp_path / "model", wild, PLAIN)
    assert not (tmp_path / "model").exists()


def test_a_gradient_that_overflows_stops_the_run(tiny_model_path, tmp_path):
    steep = LossSettings(cached=False, scale=1e36)  # a finite loss, but the norm of the gradient is over 3e38
    with pytest.raises(ClearirError, match=r"step 1: the gradient is not finite.*There is no checkpoint yet"):
        train(draw_rows(sample(24), SHORT, 0), str(tiny_model_path), tmp_path / "model", SHORT, steep)


# -- memory -----------------------------------------------------------------------------------------------------

LARGE = SHORT.model_copy(update={"max_steps": 1, "batch_size": 256})
# Does not fit either where the tests before have left the process some memory that it can take again.
FAR_TOO_MANY = 1024
FAR_TOO_LARGE = LARGE.model_copy(update={"batch_size": FAR_TOO_MANY})
ONE_CHUNK = LossSettings(mini_batch_num_tokens=1 << 20, scale=20)


def rows_of(length: int, count: int = LARGE.batch_size) -> list[Row]:
    """Rows of texts of so many tokens, no two alike. With 64 tokens a batch's attention takes 40 MB a layer."""

    def text(i: int) -> str:
        return f"{i:05}" + "a" * (length - 7)

    return [
        Row(text(5 * i), text(5 * i + 1), text(5 * i + 2), "de", (text(5 * i + 3),), (text(5 * i + 4),))
        for i in range(count)
    ]


MEMORY = "does_not_fit or batches_before_it or several_processes_stop"
# What earlier tests have freed a process could take again, and kernels that were refused memory are not made later.
alone = pytest.mark.skipif("CLEARIR_ALONE" not in os.environ, reason="test_where_memory_is_refused runs it")


def test_where_memory_is_refused():
    """The tests that are marked so, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", MEMORY, __file__]
    # A thread that starts under the limit would reserve address space for an arena of its own; and what was freed goes
    # back to the system, or it could be taken again under the limit.
    malloc = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    settings = {"CLEARIR_ALONE": "1", **malloc}
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@contextmanager
def little_memory(megabytes: int = 50) -> Iterator[None]:
    """This process can take no more memory than that: what malloc refuses, torch reports."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + (megabytes << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@alone
def test_a_batch_that_does_not_fit_is_done_in_smaller_mini_batches(tiny_model_path, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(Trainer, "create_optimizer", descend)
    rows, settings = rows_of(64), LARGE.model_copy(update={"learning_rate": 1.0})
    with little_memory():
        train(rows, str(tiny_model_path), tmp_path / "tight", settings, ONE_CHUNK)
    (said,) = [one.getMessage() for one in caplog.records if "did not fit" in one.getMessage()]
    found = re.search(r"^step 1: .*\(loss\.memory_budget=0 loss\.mini_batch_num_tokens=(\d+)\)", said)
    assert found is not None, said
    tokens = int(found[1])
    assert tokens < 256 * 5 * 64
    begun_small = LossSettings(mini_batch_num_tokens=tokens, memory_budget=0, scale=20)
    train(rows, str(tiny_model_path), tmp_path / "small", settings, begun_small)
    tight, small, begun = (weights(path) for path in (tmp_path / "tight", tmp_path / "small", tiny_model_path))
    for name in begun:  # with the same dropout, too
        torch.testing.assert_close(tight[name] - begun[name], small[name] - begun[name], rtol=1e-3, atol=1e-5)
    assert max(float((tight[name] - begun[name]).abs().max()) for name in begun) > 0.01, "a step was made"


def trainer_of(network: SentenceTransformer, rows: list[Row], folder: Path, settings: TrainSettings) -> Trainer:
    dataset = dataset_of(rows)
    collator = collator_of(network, dataset, Prompts())
    return make_trainer(network, rows, dataset, folder, settings, make_loss(network, ONE_CHUNK, 1), collator, 0)


@alone
def test_gradients_of_the_batches_before_it_are_not_lost(still_model_path, tmp_path, caplog):
    def gradients(limit: AbstractContextManager[None]) -> dict[str, torch.Tensor]:
        rows = rows_of(8) + rows_of(64)
        network = load_model(str(still_model_path), device="cpu", attention="eager")
        settings = LARGE.model_copy(update={"accumulate": 2})
        trainer = trainer_of(network, rows, tmp_path, settings)
        trainer.current_gradient_accumulation_steps = 2
        columns = trainer.train_dataset
        for begin in (0, 256):
            batch = trainer.data_collator([columns[begin + i] for i in range(256)])
            with limit if begin else nullcontext():
                trainer.training_step(network, batch)
        return {name: one.grad for name, one in network.named_parameters() if one.grad is not None}

    wanted, found = gradients(nullcontext()), gradients(little_memory())
    assert [one for one in caplog.records if "did not fit" in one.getMessage()]
    assert wanted.keys() == found.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-3, atol=1e-6)


@alone
def test_a_plain_loss_that_does_not_fit_says_what_to_do(tiny_model_path, tmp_path):
    with little_memory(), pytest.raises(ClearirError, match=r"step 1: a batch does not fit.*loss\.cached=true"):
        train(rows_of(64, FAR_TOO_MANY), str(tiny_model_path), tmp_path / "model", FAR_TOO_LARGE, PLAIN)


@alone
def test_several_processes_stop_instead(tiny_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.TrainingArguments.world_size", 2)  # all else is one process
    rows = rows_of(64, FAR_TOO_MANY)
    network = load_model(str(tiny_model_path), device="cpu", attention="eager")
    trainer = trainer_of(network, rows, tmp_path, FAR_TOO_LARGE)
    trainer.current_gradient_accumulation_steps = 1
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(FAR_TOO_MANY)])
    with little_memory(), pytest.raises(ClearirError, match=r"memory of process 0; .*lower loss\.mini_batch_size"):
        trainer.training_step(network, batch)
