from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from tiny_bert import descend
from tiny_models import static_model
from tiny_rows import SHORT, sample

import clearir.support.processes
import clearir.training.words_in_use
from clearir.data.rows import Row
from clearir.evaluation.merge_weight import cross_and_bridge
from clearir.evaluation.suites import Suite
from clearir.losses import ObjectiveLoss
from clearir.models.load import load_model
from clearir.models.temperature import Scale
from clearir.settings import LossSettings, PromptSettings, TrainSettings
from clearir.support.errors import ClearirError, InputError
from clearir.training.batches import dataset_of, draw_rows, steps_of
from clearir.training.checkpoints import WHOLE, last_whole_checkpoint
from clearir.training.train import TRAINING, _watch, train
from clearir.training.trainer import Trainer

TABLE = "embeddings.word_embeddings.weight"
PLAIN = LossSettings(cached=False)


def dev() -> Suite:
    return Suite.from_rows(sample(12), "dev")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def seen(monkeypatch) -> list[list[list[list[int]]]]:
    """The token ids that reach the loss: a list a batch, of a list a column, of the ids of each text."""
    batches: list[list[list[list[int]]]] = []
    forward = ObjectiveLoss.forward

    def noted(self, sentence_features, labels=None):
        columns = list(sentence_features)
        ids = [(one["input_ids"], one["attention_mask"].bool()) for one in columns]
        batches.append([[row[kept].tolist() for row, kept in zip(*one, strict=True)] for one in ids])
        return forward(self, columns, labels)

    monkeypatch.setattr(ObjectiveLoss, "forward", noted)
    return batches


def test_steps_and_rows():
    assert steps_of(TrainSettings(max_steps=7), rows=1000) == 7
    assert steps_of(TrainSettings(batch_size=16), rows=200) == 13  # ceil(200 / 16)
    assert steps_of(TrainSettings(batch_size=16, accumulate=2), rows=200, processes=2) == 4  # ceil(200 / 64)
    assert len(draw_rows(sample(10), SHORT, seed=0)) == 6 * 4
    assert len(draw_rows(sample(10), TrainSettings(epochs=1.1, batch_size=1), seed=0)) == 11


@pytest.mark.parametrize(
    ("epochs", "processes", "rows"),
    [(0.5, 1, 2 * 4), (1, 1, 3 * 4), (3, 1, 9 * 4), (3, 2, 5 * 8)],  # of 12 rows, 4 a step and process
)
def test_rows_of_several_epochs_take_as_many_steps_as_they_are(epochs, processes, rows):
    settings = TrainSettings(epochs=epochs, batch_size=4)
    drawn = draw_rows(sample(12), settings, 0, processes)
    assert len(drawn) == rows
    assert steps_of(settings, len(drawn), processes) == rows // (4 * processes)


def test_the_model_is_a_plain_folder_and_training_moved_it(tiny_model_path, tmp_path, monkeypatch):
    record = train(draw_rows(sample(30), SHORT, 0), str(tiny_model_path), tmp_path / "model", SHORT, PLAIN)
    assert record["steps"] == 6
    assert sum(record["rows_by_language"].values()) == 24
    assert [entry["step"] for entry in record["log"]] == [2, 4, 6]
    logged = {"loss", "forward", "direct", "retain", "learning_rate"}
    assert all(logged <= entry.keys() for entry in record["log"])
    assert json.loads((tmp_path / "model" / TRAINING).read_text()) == record
    assert not same(weights(tmp_path / "model"), weights(tiny_model_path))
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "checkpoints are gone when training is done"
    types = [one["type"] for one in json.loads((tmp_path / "model" / "modules.json").read_text())]
    assert all(one.startswith("sentence_transformers.") for one in types), types
    assert not list((tmp_path / "model").rglob("*.py"))
    for name in [name for name in sys.modules if name.split(".")[0] == "clearir"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "clearir", None)  # import clearir fails
    assert SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(["amber"]).shape == (1, 16)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_logged_loss_is_the_weighted_sum_of_its_terms(tiny_model_path, tmp_path, accumulate):
    settings = SHORT.model_copy(update={"accumulate": accumulate})
    record = train(draw_rows(sample(30), settings, 0), str(tiny_model_path), tmp_path / "model", settings, PLAIN)
    for entry in record["log"]:
        expected = 0.5 * entry["forward"] + 0.5 * entry["direct"] + 10 * entry["retain"]
        assert entry["loss"] == pytest.approx(expected, abs=1e-3)
    assert record["log"][-1]["retain"] > 0


@pytest.fixture
def tracked(monkeypatch):
    """What a tracker is given: the entries of the log, and the folder for its files."""
    from transformers.integrations import TensorBoardCallback, integration_utils

    got = {"log": [], "folder": None}

    class Tracker(TensorBoardCallback):
        def __init__(self):
            self.logging_dir = None

        def on_train_begin(self, args, state, control, **kwargs):
            got["folder"] = self.logging_dir

        def on_log(self, args, state, control, logs=None, **kwargs):
            got["log"].append(dict(logs))

        def on_train_end(self, args, state, control, **kwargs):
            pass

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    return got


def test_trackers_get_the_terms_of_the_loss_as_means_of_the_logged_steps(tiny_model_path, tmp_path, tracked):
    rows, terms = draw_rows(sample(30), SHORT, 0), ("forward", "direct", "retain")
    each = train(rows, str(tiny_model_path), tmp_path / "each", SHORT.model_copy(update={"log_steps": 1}), PLAIN)["log"]
    reporting = SHORT.model_copy(update={"report_to": ("tensorboard",)})
    record = train(rows, str(tiny_model_path), tmp_path / "model", reporting, PLAIN)
    steps = [entry for entry in tracked["log"] if "loss" in entry]
    assert [{**entry, "step": step} for entry, step in zip(steps, (2, 4, 6), strict=True)] == record["log"]
    for number, entry in enumerate(steps):
        for name in ("loss", *terms):
            mean = sum(one[name] for one in each[2 * number : 2 * number + 2]) / 2
            assert entry[name] == pytest.approx(mean, abs=2e-5)  # of numbers with five decimals
    assert Path(tracked["folder"]).parent == tmp_path / "tensorboard", "not among the checkpoints, which are removed"


def test_other_objectives_log_their_own_terms(tiny_model_path, tmp_path):
    loss = LossSettings(cached=False, weights={"forward": 0.3, "direct": 0.7})
    record = train(draw_rows(sample(30), SHORT, 0), str(tiny_model_path), tmp_path / "model", SHORT, loss)
    for entry in record["log"]:
        assert entry["loss"] == pytest.approx(0.3 * entry["forward"] + 0.7 * entry["direct"], abs=1e-3)
        assert "kl" not in entry


@pytest.mark.parametrize("auto", [True, False])
def test_the_loss_takes_the_scale_that_was_found_or_set(tiny_model_path, tmp_path, monkeypatch, auto):
    flat = 1e-4  # all candidates are as likely: a query's cross-entropy is the log of their number
    found = Scale(flat if auto else 50, True, flat, 40, [(5.0, 1.0)])
    if auto:
        monkeypatch.setattr("clearir.training.train.scale_for", lambda wanted, *given, **named: found)
    loss = LossSettings(cached=False, objective="infonce-bridge", scale="auto" if auto else flat)
    said: list[str] = []
    rows = draw_rows(sample(40), SHORT, 0)
    record = train(rows, str(tiny_model_path), tmp_path / "model", SHORT, loss, say=said.append)
    assert record["scale"]["used"] == flat
    assert record["scale"]["auto"] == auto
    assert [line.startswith("scale 0.0001 (") for line in said] == [True]
    assert record["log"][0]["forward"] == pytest.approx(math.log(4 + 4), abs=0.02)  # passages, and a negative a row


def test_cached_and_plain_training_give_the_same_model(exact_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "create_optimizer", descend)
    settings = SHORT.model_copy(update={"learning_rate": 0.1})
    rows = draw_rows(sample(30), settings, 0)
    train(rows, str(exact_model_path), tmp_path / "plain", settings, PLAIN)
    train(rows, str(exact_model_path), tmp_path / "cached", settings, LossSettings(cached=True, mini_batch_size=3))
    plain, cached, begun = (weights(folder) for folder in (tmp_path / "plain", tmp_path / "cached", exact_model_path))
    for name, weight in plain.items():
        torch.testing.assert_close(cached[name], weight, atol=1e-9, rtol=0)
    assert max(float((plain[name] - begun[name]).abs().max()) for name in plain) > 0.01, "it was trained"


def test_prompts_reach_the_columns_they_belong_to(tiny_model_path, tmp_path, seen):
    rows = draw_rows(sample(30), SHORT, 0)
    prompts = PromptSettings(query="query: ", passage="passage: ")
    train(rows, str(tiny_model_path), tmp_path / "both", SHORT, PLAIN, prompts=prompts)
    both = list(seen)
    seen.clear()
    by_hand = [
        Row(
            query=f"query: {row.query}",
            passage=f"passage: {row.passage}",
            target_query=f"query: {row.target_query}",
            language=row.language,
            negatives=tuple(f"passage: {text}" for text in row.negatives),
            target_negatives=tuple(f"query: {text}" for text in row.target_negatives),
        )
        for row in rows
    ]
    train(by_hand, str(tiny_model_path), tmp_path / "hand", SHORT, PLAIN)
    assert both == seen
    assert [len(batch) for batch in both] == [5] * 6, "query, passage, negative, target query, target negative; 6 steps"
    tokenizer = load_model(tiny_model_path).tokenizer
    first = [tokenizer.decode(column[0], skip_special_tokens=True).replace(" ", "") for column in both[0]]
    for text, begin in zip(first, ["query", "passage", "passage", "query", "query"], strict=True):
        assert text.startswith(begin)


def test_texts_that_a_reader_calls_the_same_reach_the_loss_as_one():
    """It compares token ids, and would take the second row's passage for a wrong answer to the first."""
    rows = [
        Row("one?", "Rain falls.", "yksi?", "fi", ("Snow melts.",), ("kaksi?",)),
        Row("two?", "RAIN  falls.\u200b", "kaksi?\ufeff", "fi", ("Fire burns.",), ("Yksi?",)),
    ]
    assert dataset_of(rows).to_dict() == {
        "query": ["one?", "two?"],
        "passage": ["Rain falls.", "Rain falls."],
        "negative_1": ["Snow melts.", "Fire burns."],
        "target_query": ["yksi?", "kaksi?\ufeff"],
        "target_negative_1": ["kaksi?\ufeff", "yksi?"],
    }


def test_the_same_seed_gives_the_same_model_and_another_one_another(tiny_model_path, tmp_path):
    rows = draw_rows(sample(30), SHORT, 0)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(rows, str(tiny_model_path), tmp_path / name, SHORT, PLAIN, seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


KILLED = """
import multiprocessing, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_train import PLAIN, SHORT, dev, draw_rows, sample, train
from tiny_bert import end_in_step
from clearir.settings import LoraSettings

lora = LoraSettings(r=4) if sys.argv[4] == "lora" else None
settings = SHORT.model_copy(update={"max_steps": 12, "retention": 0.5, "lora": lora, "learning_rate": 0.01})

def run(name, *moment):
    if moment:
        end_in_step(*moment)
    train(draw_rows(sample(30), settings, 0), sys.argv[2], Path(sys.argv[3], name), settings, PLAIN, dev=dev())

ended = []
for arguments in (("whole",), ("killed", 6), ("killed",)):
    process = multiprocessing.get_context("fork").Process(target=run, args=arguments)
    process.start()
    process.join()
    ended.append(process.exitcode)
    assert Path(sys.argv[3], "killed").exists() == (len(ended) == 3)
assert ended == [0, -signal.SIGKILL, 0], ended
"""


@pytest.mark.parametrize("trained", ["weights", "lora"])
def test_a_killed_training_ends_with_the_same_weights(tiny_model_path, tmp_path, trained):
    if trained == "lora":
        pytest.importorskip("peft", reason="the extra lora is not installed")
    arguments = [sys.executable, "-c", KILLED, Path(__file__).parent, tiny_model_path, tmp_path, trained]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(arguments, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert not same(weights(tmp_path / "whole"), weights(tiny_model_path))
    whole, killed = (json.loads((tmp_path / name / TRAINING).read_text()) for name in ("whole", "killed"))
    assert [entry["loss"] for entry in whole["log"]] == [entry["loss"] for entry in killed["log"]]
    assert whole["checks"] == killed["checks"]
    assert whole["step_kept"] == killed["step_kept"]


def test_the_best_checkpoint_that_keeps_english_comes_out(tiny_model_path, tmp_path):
    def trained(name: str, retention: float) -> dict[str, Any]:
        settings = SHORT.model_copy(update={"retention": retention})
        rows = draw_rows(sample(30), settings, 0)
        return train(rows, str(tiny_model_path), tmp_path / name, settings, PLAIN, dev=dev())

    record = trained("any", 1e-9)
    assert [check["step"] for check in record["checks"]] == [0, 2, 4, 6]
    found = {check["step"]: check for check in record["checks"]}
    kept = found[record["step_kept"]]
    assert kept["cross"] == max(check["cross"] for check in record["checks"])
    model = load_model(tmp_path / "any")
    assert cross_and_bridge(model, dev(), None) == pytest.approx((kept["cross"], kept["bridge"]))
    assert kept["retention"] == pytest.approx(kept["bridge"] / found[0]["bridge"])

    record = trained("none", 100.0)
    assert [check["kept"] for check in record["checks"]] == [True, False, False, False]
    assert record["step_kept"] == 0
    assert same(weights(tmp_path / "none"), weights(tiny_model_path))


def test_a_retention_under_fsdp_is_refused(tmp_path):
    sharded = SimpleNamespace(is_fsdp_enabled=True)
    with pytest.raises(InputError, match=r"under FSDP none has the whole model; leave train\.retention out"):
        _watch(sharded, dev(), 0.995, PromptSettings(), tmp_path, None)


def test_a_retention_without_dev_rows_is_refused(tiny_model_path, tmp_path):
    with pytest.raises(InputError, match=r"data\.dev=0\.1"):
        settings = SHORT.model_copy(update={"retention": 0.9})
        train(sample(12), str(tiny_model_path), tmp_path / "model", settings, PLAIN)


def test_half_written_checkpoints_are_not_used(tmp_path):
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-2" / WHOLE).write_text("{}")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
    assert not (tmp_path / "checkpoint-10").exists()
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / WHOLE).write_text('{"sizes": {"model.safetensors": 5}}')
    (tmp_path / "checkpoint-20" / "model.safetensors").write_text("12345")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-20"
    (tmp_path / "checkpoint-20" / "model.safetensors").write_text("123")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-2", "the power failed before all was on the disk"
    assert last_whole_checkpoint(tmp_path / "nothing") is None


def test_training_removes_its_own_checkpoints_and_nothing_else(tiny_model_path, tmp_path):
    work = tmp_path / "work"
    (work / "thesis").mkdir(parents=True)
    (work / "thesis" / "checkpoint-1").touch()
    (work / "photo.jpg").touch()
    rows = draw_rows(sample(30), SHORT, 0)
    train(rows, str(tiny_model_path), tmp_path / "model", SHORT, PLAIN, work=work)
    assert sorted(path.name for path in work.rglob("*")) == ["checkpoint-1", "photo.jpg", "thesis"]
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(InputError, match="holiday holds something that clearir did not write"):
        train(rows, str(tiny_model_path), tmp_path / "holiday", SHORT, PLAIN)
    assert [path.name for path in (tmp_path / "holiday").iterdir()] == ["photo.jpg"]


def test_a_stopped_training_says_where_it_goes_on_and_which_setting_changed(tiny_model_path, tmp_path, monkeypatch):
    rows, said = draw_rows(sample(30), SHORT, 0), []

    def trained(settings: TrainSettings, ctrl_c: int | None = None) -> dict[str, Any]:
        said.clear()
        with monkeypatch.context() as patch:
            if ctrl_c is not None:
                step = Trainer.training_step

                def stopping(trainer, *arguments, **named):
                    if trainer.state.global_step == ctrl_c:
                        raise KeyboardInterrupt
                    return step(trainer, *arguments, **named)

                patch.setattr(Trainer, "training_step", stopping)
            return train(rows, str(tiny_model_path), tmp_path / "model", settings, PLAIN, say=said.append)

    with pytest.raises(KeyboardInterrupt):
        trained(SHORT, ctrl_c=1)
    assert said[1:] == ["stopped at step 1 of 6; the same command begins again: there is no checkpoint yet"]
    with pytest.raises(KeyboardInterrupt):
        trained(SHORT, ctrl_c=5)
    assert said[1:] == ["stopped at step 5 of 6; the same command goes on after step 4"]
    with pytest.raises(KeyboardInterrupt):
        trained(SHORT.model_copy(update={"learning_rate": 2e-3}), ctrl_c=3)
    assert said[1:] == [
        "training begins at step 1: the checkpoint of step 4 is of other settings "
        "(train.learning_rate is 0.001 there and 0.002 here)",
        "stopped at step 3 of 6; the same command goes on after step 2",
    ]
    other = {"log_steps": 1, "save_steps": 1, "report_to": ()}
    record = trained(SHORT.model_copy(update=other))
    assert said[1:] == ["training goes on after step 4 of 6"], "no setting that matters is another one"
    assert record["steps"] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "checkpoints of other settings are gone too"


@pytest.mark.parametrize(
    ("train_settings", "loss_settings", "same"),
    [
        ({"log_steps": 1, "save_steps": 1, "report_to": (), "gradient_checkpointing": True}, {}, True),
        ({}, {"memory_budget": 5}, True),
        ({"epochs": 7}, {}, True),  # max_steps says how long
        ({"max_steps": None, "epochs": 7}, {}, False),
        ({"retention": 0.9}, {}, False),
        ({"learning_rate": 2e-3}, {}, False),
        ({}, {"mini_batch_size": 5}, True),  # of the cached loss alone
        ({}, {"cached": True}, False),  # other masks of dropout
        ({}, {"scale": 5}, False),
    ],
)
def test_what_decides_a_model_is_told_from_what_does_not(train_settings, loss_settings, same):
    before = SHORT.deciding(), PLAIN.deciding()
    after = SHORT.model_copy(update=train_settings).deciding(), PLAIN.model_copy(update=loss_settings).deciding()
    assert (before == after) == same
    judged = SHORT.model_copy(update={"retention": 0.9})
    assert judged.deciding() != judged.model_copy(update={"save_steps": 1}).deciding(), "another choice of checkpoints"


def test_a_loss_that_is_no_number_stops_the_run(tiny_model_path, tmp_path):
    wild = SHORT.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30})
    with pytest.raises(ClearirError, match=r"step \d+: the loss is not finite.*train\.learning_rate"):
        train(draw_rows(sample(30), wild, 0), str(tiny_model_path), tmp_path / "model", wild, PLAIN)
    assert not (tmp_path / "model").exists()


def test_rows_without_target_queries_are_refused(tiny_model_path, tmp_path):
    with pytest.raises(InputError, match="no target query"):
        train([Row(query="a", passage="b")], str(tiny_model_path), tmp_path / "model", SHORT, PLAIN)


def test_dropout_is_set_for_the_training_and_not_saved(tiny_model_path, tmp_path):
    def trained(name: str, **settings: float) -> dict[str, torch.Tensor]:
        train(sample(12), str(tiny_model_path), tmp_path / name, SHORT.model_copy(update=settings), PLAIN)
        return weights(tmp_path / name)

    off = trained("off", dropout=0.0)
    assert not same(off, trained("own"))
    assert not same(off, trained("much", dropout=0.5))
    config = json.loads((tmp_path / "off" / "config.json").read_text())
    assert (
        config["hidden_dropout_prob"]
        == json.loads((tiny_model_path / "config.json").read_text())["hidden_dropout_prob"]
        > 0
    )


def whole_table(monkeypatch) -> None:
    monkeypatch.setattr(clearir.training.words_in_use, "MOST", 0.0)


@pytest.mark.parametrize("loss", [PLAIN, LossSettings(mini_batch_size=3)], ids=["plain", "cached"])
def test_words_in_use_are_trained_as_in_the_whole_table(exact_model_path, tmp_path, monkeypatch, caplog, loss):
    monkeypatch.setattr(Trainer, "create_optimizer", descend)
    settings = SHORT.model_copy(update={"retention": 1e-9, "learning_rate": 0.1})
    rows = draw_rows(sample(30), settings, 0)
    with caplog.at_level("INFO", "clearir.training.words_in_use"):
        used = train(rows, str(exact_model_path), tmp_path / "used", settings, loss, dev=dev())
        whole_table(monkeypatch)
        whole = train(rows, str(exact_model_path), tmp_path / "whole", settings, loss, dev=dev())
    assert [one.getMessage() for one in caplog.records] == ["training 53 of 77 words: those in use"]
    for one, other in zip(used["log"], whole["log"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
    before, trained, other = (weights(path) for path in (exact_model_path, tmp_path / "used", tmp_path / "whole"))
    for name, weight in other.items():
        torch.testing.assert_close(trained[name], weight, atol=1e-9, rtol=0)
    moved = (trained[TABLE] != before[TABLE]).any(dim=1)
    assert torch.equal(moved, (other[TABLE] != before[TABLE]).any(dim=1))
    assert 0 < moved.sum() < 53, "the word for padding has no gradient"


def test_words_that_are_not_in_use_do_not_decay(still_model_path, tmp_path, monkeypatch):
    settings = SHORT.model_copy(update={"weight_decay": 0.1})
    rows = draw_rows(sample(30), settings, 0)
    train(rows, str(still_model_path), tmp_path / "used", settings, PLAIN)
    before, used = weights(still_model_path)[TABLE], weights(tmp_path / "used")[TABLE]
    assert (used == before).all(dim=1).sum() == 77 - 53 + 1, "and the word for padding, which is all zeros"
    whole_table(monkeypatch)
    train(rows, str(still_model_path), tmp_path / "whole", settings, PLAIN)
    assert (weights(tmp_path / "whole")[TABLE] == before).all(dim=1).sum() == 1, "in a whole table all do"


def test_the_table_is_left_whole_where_processes_share_the_model(tiny_model_path, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(clearir.support.processes, "shares_model", lambda: True)
    with caplog.at_level("INFO", "clearir.training.words_in_use"):
        train(draw_rows(sample(30), SHORT, 0), str(tiny_model_path), tmp_path / "model", SHORT, PLAIN)
    assert not caplog.records


def test_a_table_of_words_is_a_model_too(tmp_path: Path) -> None:
    static_model().save_pretrained(str(tmp_path / "table"), create_model_card=False)
    rows = [
        Row(query="amber birch", passage="delta", target_query="fjord", language="fi"),
        Row(query="delta", passage="amber fjord", target_query="birch birch", language="fi"),
    ]
    settings = TrainSettings(max_steps=2, batch_size=2, learning_rate=0.1)
    train(rows * 2, str(tmp_path / "table"), tmp_path / "out", settings, LossSettings(scale=20))
    before, after = (next(load_model(tmp_path / name).parameters()) for name in ("table", "out"))
    assert (before - after).abs().max() > 0.01
