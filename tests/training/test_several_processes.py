"""Whole trainings with real gloo processes, against one process with the whole batch."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clearir.data.rows import Rows
from clearir.settings import LossSettings, TrainSettings
from clearir.support import processes
from clearir.training.train import TRAINING, train

WORKER = Path(__file__).with_name("processes_worker.py")
CONFIGURATIONS = Path(__file__).parents[2] / "recipes" / "accelerate"


@pytest.fixture(scope="module")
def folder(exact_model_path, tmp_path_factory) -> Path:
    """Where all runs of the worker have ended."""
    folder = tmp_path_factory.mktemp("processes")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, WORKER, folder, exact_model_path], check=True, env=env, timeout=900)
    return folder


def ended(folder: Path, name: str) -> list[tuple[int, str]]:
    return [(code, said) for code, said in json.loads((folder / f"{name}.json").read_text())]


def assert_same_model(one: Path, other: Path) -> None:
    """Equal but for the rounding of float64, which Adam does not blow up: its epsilon of 1e-8 is far above it."""
    for name, tensor in load_file(one / "model.safetensors").items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(load_file(other / "model.safetensors")[name], tensor, atol=1e-8, rtol=0)


def test_a_single_process_is_the_first_and_waits_for_nobody(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")  # as some clusters set it for a machine; torchrun sets LOCAL_RANK as well
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert processes.count() == 1
    assert processes.is_first()
    assert processes.first_only(lambda: 3) == 3
    assert processes.mean([1.0, 2.0]) == [1.0, 2.0]
    processes.wait()


@pytest.mark.parametrize(("said", "shared"), [(None, False), ("false", False), ("true", True)])
def test_accelerate_says_whether_processes_share_the_model(monkeypatch, said, shared):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    if said is not None:
        monkeypatch.setenv("ACCELERATE_USE_FSDP", said)
    assert processes.shares_model() is shared


def test_what_the_first_process_does_all_know(folder):
    assert [code for code, _ in ended(folder, "several")] == [0, 0], ended(folder, "several")


def test_two_processes_train_the_model_of_one(folder, exact_model_path):
    assert [code for code, _ in ended(folder, "two")] == [0, 0], ended(folder, "two")
    assert_same_model(folder / "one-as-two", folder / "two")
    assert not torch.allclose(
        load_file(folder / "two" / "model.safetensors")["embeddings.word_embeddings.weight"],
        load_file(exact_model_path / "model.safetensors")["embeddings.word_embeddings.weight"],
        atol=1e-4,
    )
    several, one = (json.loads((folder / name / TRAINING).read_text()) for name in ("two", "one-as-two"))
    for ours, theirs in zip(several["log"], one["log"], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ("loss", "forward", "direct", "retain"):
            assert ours[name] == pytest.approx(theirs[name], abs=2e-5), "the mean over the processes is logged"
    assert not list((folder / ".two").iterdir()), (
        "checkpoints are gone when training is done, the folder is the caller's"
    )


def test_two_processes_train_the_adapters_of_one(folder, exact_model_path):
    if not find_spec("peft"):
        pytest.skip("the extra lora is not installed")
    assert [code for code, _ in ended(folder, "lora")] == [0, 0], ended(folder, "lora")
    assert_same_model(folder / "one-as-lora", folder / "lora")
    moved, begun = (load_file(path / "model.safetensors") for path in (folder / "lora", exact_model_path))
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.allclose(moved[name], begun[name], atol=1e-4)
    assert torch.equal(moved[(table := "embeddings.word_embeddings.weight")], begun[table])


def test_four_processes_fill_up_an_uneven_last_batch(folder):
    assert [code for code, _ in ended(folder, "four")] == [0] * 4, ended(folder, "four")
    assert_same_model(folder / "one-as-four", folder / "four")


def test_the_first_process_keeps_the_checkpoint_that_one_alone_would(folder):
    assert [code for code, _ in ended(folder, "watched")] == [0, 0], ended(folder, "watched")
    assert_same_model(folder / "one-as-watched", folder / "watched")
    several, one = (json.loads((folder / name / TRAINING).read_text()) for name in ("watched", "one-as-watched"))
    assert several["checks"] == one["checks"]
    assert several["step_kept"] == one["step_kept"]
    assert 0 < one["step_kept"] < one["steps"], "neither the base nor the last: it had to be chosen"


def test_the_others_wait_while_the_first_process_scores(folder):
    first, other = (json.loads((folder / f"watched-notes-{rank}.json").read_text()) for rank in range(2))
    assert {what for what, _ in other} == {"trains"}
    begun, done = ([when for what, when in first if what == name] for name in ("scores", "has scored"))
    assert len(begun) == len(done) == 5  # the base and 4 checkpoints
    for begin, end in zip(begun, done, strict=True):
        assert not [when for _, when in other if begin < when < end], "its patience with the first would run out"


def test_an_error_of_the_first_process_ends_all_and_is_said_once(folder):
    (first, said), (second, nothing) = ended(folder, "failing")
    assert (first, second) == (2, 2)
    assert "missing.yaml: No such file" in said
    assert nothing == ""


def test_a_killed_process_ends_the_others_and_the_next_run_goes_on(folder):
    (first, said), (second, _) = ended(folder, "one-is-killed")
    assert second == -signal.SIGKILL
    assert first == 1
    assert "another process of this run is gone" in said
    assert [code for code, _ in ended(folder, "resumed")] == [0, 0], ended(folder, "resumed")
    assert_same_model(folder / "one-as-resumed", folder / "killed")


def test_accelerate_launch_trains_a_recipe_as_the_documentation_says(exact_model_path, tmp_path):
    pytest.importorskip("accelerate.commands.launch", reason="accelerate has no launcher here")
    draw = random.Random(0)
    rows = []
    for number in range(40):
        words = ["".join(draw.choices("aeioubdglmn", k=6)) for _ in range(4)]
        query, target = " ".join(words[:2]), " ".join(word[::-1] for word in words[:2])
        rows.append(
            {"query": query, "passage": f"{number} {' '.join(words)}", "target_query": target, "language": "de"}
        )
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = {"max_steps": 3, "batch_size": 4, "learning_rate": 1e-3, "precision": "fp32"}
    recipe = {
        "name": "tiny",
        "model": str(exact_model_path),
        "output": str(tmp_path / "out"),
        "data": {"source": "table", "path": str(tmp_path / "rows.jsonl"), "test": {"de": 4}},
        "filter": None,  # words turned round are in no language
        "mine": {"negatives": 1, "target_negatives": 1, "window": [1, 10]},
        "train": settings,
        "loss": {"cached": False},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    launcher = ["-m", "accelerate.commands.launch", "--config_file", CONFIGURATIONS / "ddp.yaml"]
    # A free port instead of 29500, and a precision that is not the recipe's, which counts.
    options = ["--num_processes", "2", "--main_process_port", "0", "--mixed_precision", "bf16"]
    command = [sys.executable, *launcher, *options, "-m", "clearir", "train", tmp_path / "recipe.yaml"]
    said = end_of([str(word) for word in command])
    assert said.count("a step of training: 2 processes x 4 rows = 8 rows") == 1, said
    assert (tmp_path / "out" / "report.md").is_file()

    mined = Rows.from_parquet(tmp_path / "out" / "mined" / "train.parquet").rows
    assert len(mined) == 3 * 8
    whole = TrainSettings(**settings | {"batch_size": 8})
    train(mined, str(exact_model_path), tmp_path / "one", whole, LossSettings(cached=False))
    assert_same_model(tmp_path / "one", tmp_path / "out" / "model")


def end_of(command: list[str]) -> str:
    """What a launcher and its processes say; where they hang the launcher is told to end them."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    launcher = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = launcher.communicate(timeout=600)
    finally:
        launcher.terminate()
        launcher.wait(60)
    assert launcher.returncode == 0, said
    return said


def test_accelerate_reads_the_configurations():
    from accelerate.commands.config.config_args import load_config_from_file

    kinds = {}
    for path in sorted(CONFIGURATIONS.glob("*.yaml")):
        config = load_config_from_file(str(path))
        kinds[path.stem] = (config.distributed_type.value, config.num_processes)
    assert kinds == {"ddp": ("MULTI_GPU", 8), "deepspeed-zero2": ("DEEPSPEED", 8), "fsdp": ("FSDP", 8)}
