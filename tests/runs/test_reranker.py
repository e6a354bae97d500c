"""A recipe with `kind: reranker`, from rows to report, with a tiny model."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sentence_transformers import CrossEncoder
from tiny_recipe import tiny_recipe

from clearir.data.rows import Rows
from clearir.evaluation.scores import Scores
from clearir.report.study_table import BASE
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe
from clearir.runs.study_run import TEST, study
from clearir.support.artifacts import read_json
from clearir.support.errors import InputError

TOP = 4
PAIRS = [["amber birch 3", "about amber birch 3"], ["amber birch 3", "about jade"]]
#: without clearir: the scores of pairs
ELSEWHERE = f"""
import json, sys
from sentence_transformers import CrossEncoder
model = CrossEncoder(sys.argv[1], device="cpu", local_files_only=True)
assert "clearir" not in sys.modules
print(json.dumps(model.predict({PAIRS}).tolist()))
"""


def rows(count: int = 36) -> Iterator[dict[str, str]]:
    """Rows of words, asked for from the end in the other language."""
    draw = random.Random(0)
    for i in range(count):
        words = [draw.choice("abcdefghijkl") * 3 for _ in range(3)]
        query, passage = f"{' '.join(words)} {i}", f"about {' '.join(words)} {i}"
        target = " ".join(reversed(query.split()))
        yield {"query": query, "passage": passage, "target_query": target}


@pytest.fixture(scope="module")
def recipe_path(tiny_model_path, tmp_path_factory) -> Path:
    return tiny_recipe(
        tmp_path_factory.mktemp("reranker"),
        tiny_model_path,
        rows(),
        name="tiny reranker",
        kind="reranker",
        rerank={"top": TOP},
        prompts={"query": "q: ", "passage": "p: "},
        mine={"negatives": 2, "target_negatives": 0, "window": [1, 10]},
    )


@pytest.fixture(scope="module")
def recipe(recipe_path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def finished(recipe):
    return train_run.run(recipe)


def test_scores_start_from_the_dense_model_and_go_on_behind_it(recipe, finished):
    assert finished.before.model == f"{recipe.model} (dense)"
    assert finished.after.model == recipe.name
    assert finished.after.settings["rerank"]["top"] == TOP
    assert finished.before.directions.keys() == finished.after.directions.keys()
    assert finished.before.model_hash != finished.after.model_hash
    assert finished.training.steps == 4
    assert {"forward", "direct"} <= finished.training.log[0].keys()


def test_the_first_passages_are_in_the_rerankers_order(recipe, finished):
    model = CrossEncoder(str(Path(recipe.output) / "model"), device="cpu")
    suite = train_run.test_suite(recipe)
    before, after = (one.directions["de->en"] for one in (finished.before, finished.after))
    for query, found, reranked in zip(after.query_ids, before.top, after.top, strict=True):
        text = suite.queries["de"][query]
        scores = dict(
            zip(reranked, model.predict([(text, suite.passages["en"][one]) for one in reranked]), strict=True)
        )
        assert sorted(scores.values(), reverse=True) == pytest.approx(list(scores.values()))
        assert len(set(found) | set(reranked)) <= TOP  # three of each are kept, of the same four


def test_training_begins_with_a_head_that_is_fitted_to_the_best_layer(recipe, finished):
    start = Path(recipe.output) / "start"
    fit = read_json(start / "manifest.json")["result"]
    rows = Rows.from_parquet(Path(recipe.output) / "mined" / "train.parquet").rows
    assert (fit["of"], fit["lists"], fit["chance"]) == (2, len({row.query for row in rows}), math.log(1 + 2))
    for folder in (start, start.parent / "model"):
        assert CrossEncoder(str(folder), device="cpu").transformers_model.config.num_hidden_layers == fit["layers"]


def test_the_model_loads_elsewhere_with_the_same_scores(recipe, finished):
    path = str(Path(recipe.output) / "model")
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path], capture_output=True, text=True, check=True, timeout=900
    )
    own = CrossEncoder(path, device="cpu").predict(PAIRS).tolist()
    assert json.loads(found.stdout) == pytest.approx(own)
    assert own[0] != own[1]


def test_report_and_card_say_how_to_use_it(recipe, finished):
    out = Path(recipe.output)
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "from sentence_transformers import CrossEncoder" in card
    assert f"The scores below are of the first {TOP} passages that a dense model found." in card
    assert "pipeline_tag: text-ranking" in card
    assert "(dense)" in (out / "report.md").read_text(encoding="utf-8")
    (search,) = read_json(out / "searches.json")
    assert len(search["before"]) == len(search["after"]) == 3


def test_a_finished_run_is_found_again_and_another_depth_is_scored_anew(recipe, finished):
    said: list[str] = []
    train_run.run(recipe, say=said.append)
    assert all("already" in line for line in said if line.startswith(("model", "scores")))
    deeper = recipe.model_copy(update={"rerank": recipe.rerank.model_copy(update={"top": TOP + 1})})
    assert train_run.training_settings(deeper) == train_run.training_settings(recipe)
    with pytest.raises(InputError, match="scores"):
        train_run.run(deeper)


def test_it_goes_on_from_a_reranker(recipe, finished, tmp_path):
    path = str(Path(recipe.output) / "model")
    further = {"model": path, "output": str(tmp_path / "out"), "searches": ()}
    with pytest.raises(InputError, match=r"rerank\.first: .* is a model of the kind reranker, which finds no passages"):
        train_run.run(recipe.model_copy(update=further))
    rerank = recipe.rerank.model_copy(update={"first": recipe.model})
    run = train_run.run(recipe.model_copy(update={**further, "rerank": rerank}))
    assert run.before.model == path
    assert not (tmp_path / "out" / "start").exists()  # it has a head
    assert run.before.directions["de->en"].values == finished.after.directions["de->en"].values


def test_a_study_begins_with_the_dense_model(recipe, tmp_path):
    objectives = ("0.4*forward+0.4*direct+0.2*consistency", "infonce-bridge")
    settings = recipe.study.model_copy(update={"objectives": objectives, "seeds": 1})
    lines = study(recipe.model_copy(update={"output": str(tmp_path), "study": settings}))
    assert {line.objective for line in lines if line.suite == TEST} == {BASE, *objectives}
    assert Scores.load(tmp_path / "runs" / "base-0" / "scores" / "scores.json").model == "base (dense)"
    found = read_json(tmp_path / "runs" / "infonce-bridge-0" / "result.json")
    assert (found["settings"]["kind"], found["settings"]["rerank"]["top"]) == ("reranker", TOP)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("merge={weight: 0.5}", "merge: it mixes"),
        ("train.retention=0.99", "train.retention: it compares"),
        ("train.lora={}", "train.lora: it would leave the head as it is, untrained"),
        ("loss.objective=hybrid-plus", "loss: retain: a reranker has no vectors to compare"),
        ("kind=dense", "rerank: it is for kind: reranker, and this recipe has kind: dense"),
        ("rerank.first=no/where", r"rerank\.first: no/where"),
    ],
)
def test_settings_that_do_not_go_with_it_are_said_before_the_first_stage(recipe_path, tmp_path, override, words):
    recipe = load_recipe(recipe_path, [override, f"output={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=words):
        train_run.run(recipe)
    assert not (tmp_path / "out" / "rows").exists()


def test_rows_without_hard_negatives_are_refused(recipe_path, tmp_path):
    recipe = load_recipe(recipe_path, ["mine.negatives=0", f"output={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=r"the rows have no hard negatives.*set mine\.negatives=5"):
        train_run.run(recipe)
