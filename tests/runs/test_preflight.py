"""What cannot be done is said before the first stage: nothing is written, and no model is trained."""

from __future__ import annotations

import json
import sys

import pytest

from clearir.runs import train_run
from clearir.runs.preflight import check_run, check_training, needs_dev
from clearir.runs.recipe import Recipe
from clearir.support.errors import InputError, MissingExtraError


@pytest.fixture
def recipe(tiny_model_path, tmp_path):
    """A function that makes a recipe of 24 rows with changes: ``recipe(train={...})``."""
    rows = [
        {
            "query": f"Where is bridge {n}?",
            "passage": f"Bridge {n} stands in town {3 * n} by the river.",
            "target_query": f"Wo ist Brücke {n}?",
            "language": "de",
        }
        for n in range(24)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def make(**changes):
        content = {
            "name": "early",
            "model": str(tiny_model_path),
            "output": str(tmp_path / "out"),
            "data": {"path": str(tmp_path / "rows.jsonl"), "test": 4},
            "filter": None,
        }
        return Recipe.model_validate(content | changes)

    return make


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "./no/such/folder"}, "no such folder"),
        ({"train": {"retention": 0.995}}, "train.retention is judged on dev rows, and none are held out"),
        ({"merge": {}}, "merge is judged on dev rows, and none are held out"),
        ({"train": {"report_to": ["wandbb"]}}, "train.report_to: 'wandbb' is no tracker that is installed here"),
        ({"train": {"attention": "flesh"}}, "flesh"),
        ({"loss": {"teacher": "./no-such-model"}}, "loss.teacher: ./no-such-model"),
        ({"train": {"max_seq_length": 10**6}}, "1000000"),
        ({"train": {"lora": {"targets": ["q_proj"]}}}, "no linear layer 'q_proj'; it has query, key, value, dense"),
        ({"train": {"lora": {"r": 99}}}, r"train\.lora\.r: a rank of 99 is over that of the layers themselves \(16 in"),
    ],
)
def test_what_would_fail_in_training_fails_before_rows_are_prepared(recipe, tmp_path, monkeypatch, changes, words):
    monkeypatch.setattr("clearir.runs.prepare_run.prepare", lambda *given, **more: pytest.fail("rows are prepared"))
    if "lora" in changes.get("train", {}):
        pytest.importorskip("peft", reason="the extra lora is not installed")
    with pytest.raises(InputError, match=words):
        train_run.run(recipe(**changes))
    assert not (tmp_path / "out").exists()


def test_adapters_without_peft_are_said_before_a_model_is_fetched(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'peft is not installed; run: pip install "clearir\[lora\]"'):
        train_run.run(recipe(model="./no/such/folder", train={"lora": {}}))
    assert not (tmp_path / "out").exists()


def test_a_precision_that_the_machine_lacks(recipe):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is an accelerator here")
    with pytest.raises(InputError, match=r"train\.precision: fp16 needs an accelerator"):
        check_training(recipe(train={"precision": "fp16"}))


def test_what_processes_that_share_a_model_cannot_do(recipe, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    check_training(recipe())
    with pytest.raises(InputError, match="under FSDP none has the whole model"):
        check_training(recipe(train={"retention": 0.995}))
    with pytest.raises(InputError, match=r"loss\.mini_batch_num_tokens does not go with FSDP"):
        check_training(recipe(loss={"mini_batch_num_tokens": 512}))


@pytest.mark.parametrize("test", [0, 0.0, {"de": 0}])
def test_a_run_without_test_rows(recipe, test):
    good = recipe()
    data = good.data.model_copy(update={"test": test})
    with pytest.raises(InputError, match=r"nothing to score on; hold rows out, for example with data\.test=0\.1"):
        check_run(good.model_copy(update={"data": data}))


def test_a_good_recipe_passes(recipe):
    for good in (
        recipe(),
        recipe(train={"gradient_checkpointing": True, "report_to": ["none"]}, merge={"weight": 0.5}),
    ):
        check_run(good)
        check_training(good)


def test_rows_that_cannot_be_read_are_said_before_a_model_is_fetched(recipe, tmp_path):
    (tmp_path / "rows.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"rows\.jsonl:1: "):
        train_run.run(recipe(model="./no/such/folder"))


def test_what_is_chosen_on_dev_rows(recipe):
    assert needs_dev(recipe()) is None
    assert needs_dev(recipe(merge={"weight": 0.5})) is None
    assert needs_dev(recipe(merge={})) == "merge"
    assert needs_dev(recipe(train={"retention": 1.0})) == "train.retention"


def test_a_share_that_is_no_row_is_said_before_mining(recipe, tmp_path):
    good = recipe()
    few = good.data.model_copy(update={"test": 0.01})  # of 24 rows 0.24
    with pytest.raises(InputError, match=r"data\.test=0\.01 held out none of the rows; ask for a number"):
        train_run.run(good.model_copy(update={"data": few}))
    assert not (tmp_path / "out" / "mined").exists()


def test_ids_that_contradict_each_other_are_said_before_mining(recipe, tmp_path):
    rows = [json.loads(line) | {"query_id": "7"} for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(InputError, match="query id '7' has two texts in en"):
        train_run.run(recipe())
    assert not (tmp_path / "out" / "mined").exists()


def test_a_model_that_cannot_mine_is_said_before_rows_are_prepared(recipe, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        train_run.prepare_data(recipe(model="./no/such/folder", mine={"negatives": 1}))
    assert not (tmp_path / "out").exists()
    done = train_run.prepare_data(recipe(model="./no/such/folder"))
    assert done.facts["mined"] is None
