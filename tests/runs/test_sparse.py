"""A recipe with `kind: sparse`, from rows to report, with a tiny model."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sentence_transformers import SparseEncoder
from tiny_recipe import tiny_recipe

from clearir.evaluation.fired_words import TOP
from clearir.evaluation.scores import Scores
from clearir.report.study_table import BASE
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe
from clearir.runs.study_run import TEST, study
from clearir.support.artifacts import read_json
from clearir.support.errors import InputError

TEXTS = ["amber birch 3", "about amber"]
#: without clearir: the weights of the words of some texts
ELSEWHERE = f"""
import json, sys
from sentence_transformers import SparseEncoder
model = SparseEncoder(sys.argv[1], device="cpu", local_files_only=True)
assert "clearir" not in sys.modules
print(json.dumps(model.encode({TEXTS}).to_dense().tolist()))
"""


def rows(count: int = 40) -> Iterator[dict[str, str]]:
    """Rows of words; the other language writes them with letters of the end of the alphabet."""
    draw = random.Random(0)
    for i in range(count):
        words = [draw.choice("abcdefghijkl") * 3 for _ in range(3)]
        query, passage = f"{' '.join(words)} {i}", f"about {' '.join(words)} {i}"
        target = query.translate(str.maketrans("abcdefghijkl", "nopqrstuvwxy"))
        yield {"query": query, "passage": passage, "target_query": target}


@pytest.fixture(scope="module")
def recipe_path(tiny_model_path, tmp_path_factory) -> Path:
    return tiny_recipe(
        tmp_path_factory.mktemp("sparse"),
        tiny_model_path,
        rows(),
        name="tiny sparse",
        kind="sparse",
        mine={"negatives": 1, "target_negatives": 1, "window": [1, 10]},
    )


@pytest.fixture(scope="module")
def recipe(recipe_path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def finished(recipe):
    return train_run.run(recipe)


def test_scores_start_from_the_dense_model(recipe, finished):
    assert recipe.loss.objective == "hybrid-sparse"
    assert finished.before.model == f"{recipe.model} (dense)"
    assert finished.before.directions.keys() == finished.after.directions.keys()
    assert {"forward", "direct", "flops"} <= finished.training.log[0].keys()


def test_each_passage_is_ranked_by_the_models_own_similarity(recipe, finished):
    model = SparseEncoder(str(Path(recipe.output) / "model"), device="cpu")
    assert model.similarity_fn_name == "dot"
    suite = train_run.test_suite(recipe)
    direction = finished.after.directions["de->en"]
    for identifier, top in zip(direction.query_ids, direction.top, strict=True):
        query = model.encode_query(suite.queries["de"][identifier])
        scores = [float(model.similarity(query, model.encode_document(suite.passages["en"][one]))) for one in top]
        assert scores == sorted(scores, reverse=True)


def test_the_model_loads_elsewhere_with_the_same_weights(recipe, finished):
    path = str(Path(recipe.output) / "model")
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path], capture_output=True, text=True, check=True, timeout=900
    )
    own = SparseEncoder(path, device="cpu").encode(TEXTS).to_dense().tolist()
    for ours, theirs in zip(own, json.loads(found.stdout), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-5)


def test_the_words_that_queries_fire_are_told(recipe, finished):
    found = read_json(Path(recipe.output) / "words.json")
    (language,) = found["languages"]
    assert (language["language"], language["queries"]) == ("de", 10)
    assert 0 <= language["before"] <= TOP
    assert len(found["examples"]) == 3
    example = found["examples"][0]
    for side in ("before", "after"):
        for word in example[side]:
            letter = word["word"]
            if word["bridge"]:  # a letter of the English row that the query does not have
                assert letter in example["meaning"] + "about"
                assert letter not in example["query"]
    report = (Path(recipe.output) / "report.md").read_text(encoding="utf-8")
    assert "Words that queries fire" in report


def test_card_says_how_to_use_it(recipe, finished):
    card = (Path(recipe.output) / "model" / "README.md").read_text(encoding="utf-8")
    assert "from sentence_transformers import SparseEncoder" in card
    assert "model.decode(queries[0], top_k=10)" in card
    assert "- splade\n" in card
    assert "(dense)" in (Path(recipe.output) / "report.md").read_text(encoding="utf-8")
    assert read_json(Path(recipe.output) / "searches.json")


def test_a_finished_run_is_found_again(recipe, finished):
    said: list[str] = []
    train_run.run(recipe, say=said.append)
    assert all("already" in line for line in said if line.startswith(("model", "new head", "scores")))


def test_it_goes_on_from_a_sparse_model(recipe, finished, tmp_path):
    path = str(Path(recipe.output) / "model")
    further = recipe.model_copy(update={"model": path, "output": str(tmp_path / "out"), "searches": ()})
    run = train_run.run(further)
    assert run.before.model == path
    assert run.before.directions["de->en"].values == finished.after.directions["de->en"].values
    assert not (tmp_path / "out" / "start").exists()


def test_a_study_begins_with_the_dense_model(recipe, tmp_path):
    objectives = ("hybrid-sparse", "1*forward+0.001*flops")
    settings = recipe.study.model_copy(update={"objectives": objectives, "seeds": 1})
    lines = study(recipe.model_copy(update={"output": str(tmp_path), "study": settings}))
    assert {line.objective for line in lines if line.suite == TEST} == {BASE, *objectives}
    assert Scores.load(tmp_path / "runs" / "base-0" / "scores" / "scores.json").model == "base (dense)"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("merge={weight: 0.5}", "merge: it mixes the model with its base, which does not have the head"),
        ("train.lora={}", "train.lora: it would leave the head as it is, untrained"),
        ("rerank.top=5", "rerank: it is for kind: reranker, and this recipe has kind: sparse"),
    ],
)
def test_settings_that_do_not_go_with_it_are_said_before_the_first_stage(recipe_path, tmp_path, override, words):
    recipe = load_recipe(recipe_path, [override, f"output={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=words):
        train_run.run(recipe)
    assert not (tmp_path / "out" / "rows").exists()
