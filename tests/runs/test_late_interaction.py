"""A recipe with `kind: late-interaction`, from rows to report, with a tiny model."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from tiny_recipe import tiny_recipe

from clearir.data.passages import Corpus, Passage
from clearir.evaluation.scores import Scores
from clearir.models.load import load_late_interaction
from clearir.report.study_table import BASE
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe
from clearir.runs.study_run import TEST, study
from clearir.support.artifacts import read_json
from clearir.support.errors import InputError

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")
#: without clearir: the token vectors of a query and of a passage
ELSEWHERE = """
import json, sys
from sentence_transformers import MultiVectorEncoder
model = MultiVectorEncoder(sys.argv[1], device="cpu", local_files_only=True)
assert "clearir" not in sys.modules
texts = ["amber birch 3"]
print(json.dumps([one(texts)[0].tolist() for one in (model.encode_query, model.encode_document)]))
"""


def rows(count: int = 40) -> Iterator[dict[str, str]]:
    """Rows of words that are turned round in the other language."""
    draw = random.Random(0)
    for i in range(count):
        words = draw.sample(WORDS, 3)
        query, passage = f"{' '.join(words)} {i}", f"about {' '.join(words)} {i} {' '.join(draw.sample(WORDS, 3))}"
        turned = [" ".join(word[::-1] for word in text.split()) for text in (query, passage)]
        yield {"query": query, "passage": passage, "target_query": turned[0], "target_passage": turned[1]}


@pytest.fixture(scope="module")
def recipe_path(tiny_model_path, tmp_path_factory) -> Path:
    return tiny_recipe(
        tmp_path_factory.mktemp("late"),
        tiny_model_path,
        rows(),
        name="tiny late",
        kind="late-interaction",
        prompts={"query": "q: ", "passage": "p: "},
        mine={"negatives": 1, "target_negatives": 1, "window": [1, 10]},
    )


@pytest.fixture(scope="module")
def recipe(recipe_path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def finished(recipe):
    return train_run.run(recipe)


def test_scores_start_from_the_dense_model_and_go_on_with_maxsim(recipe, finished):
    assert finished.before.model == f"{recipe.model} (dense)"
    assert finished.before.directions.keys() == finished.after.directions.keys()
    assert finished.before.model_hash != finished.after.model_hash
    assert finished.training.steps == 4


def test_each_passage_is_ranked_by_the_models_own_similarity(recipe, finished):
    model = MultiVectorEncoder(str(Path(recipe.output) / "model"), device="cpu")
    suite = train_run.test_suite(recipe)
    passages = sorted(suite.passages["en"], reverse=True)
    own = [suite.passages["en"][one] for one in passages]
    direction = finished.after.directions["de->en"]
    queries = [suite.queries["de"][one] for one in direction.query_ids]
    scores = model.similarity(model.encode_query(queries), model.encode_document(own))
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :3]
    assert direction.top == [[passages[place] for place in row] for row in best.tolist()]


def test_the_model_loads_elsewhere_with_the_same_token_vectors(recipe, finished):
    path = str(Path(recipe.output) / "model")
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path], capture_output=True, text=True, check=True, timeout=900
    )
    model = MultiVectorEncoder(path, device="cpu")
    assert model.similarity_fn_name == "meanmaxsim"
    own = [one(["amber birch 3"])[0] for one in (model.encode_query, model.encode_document)]
    for ours, theirs in zip(own, json.loads(found.stdout), strict=True):
        torch.testing.assert_close(ours, torch.tensor(theirs))
    assert not torch.equal(*own)  # q: and p: stand before them


def test_pylate_loads_the_model_with_the_same_token_vectors(recipe, finished, in_pylate):
    path, texts = str(Path(recipe.output) / "model"), ["amber birch 3", "about ember"]
    asked = {"queries": texts, "documents": texts, "prompts": True}
    queries, documents = json.loads(in_pylate("encode", said={path: asked}))[path]
    model = MultiVectorEncoder(path, device="cpu")
    for theirs, ours in zip(queries + documents, model.encode_query(texts) + model.encode_document(texts), strict=True):
        torch.testing.assert_close(torch.tensor(theirs), ours)


def test_what_pylate_cannot_load_is_said_after_training(recipe, finished, tmp_path):
    base = load_late_interaction(Path(recipe.output) / "model", device="cpu")
    base[2].skiplist_tasks = ["query", "document"]
    base.save_pretrained(str(tmp_path / "base"), create_model_card=False)
    said: list[str] = []
    settings = {"model": str(tmp_path / "base"), "output": str(tmp_path / "out"), "searches": ()}
    train_run.run(recipe.model_copy(update=settings), say=said.append)
    assert any(line.endswith("PyLate knows no ignored words other than those of documents") for line in said)
    assert "PyLate" not in (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")
    assert load_late_interaction(tmp_path / "out" / "model", device="cpu")[2].skiplist_tasks == ["query", "document"]


def test_report_and_card_say_how_to_use_it(recipe, finished):
    out = Path(recipe.output)
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    assert "from sentence_transformers import MultiVectorEncoder" in card
    assert "`clearir index path/to/this/folder passages.jsonl --out index`" in card
    assert "compared by MaxSim" in card
    assert 'models.ColBERT("path/to/this/folder")' in card
    assert "- PyLate\n" in card
    assert "(dense)" in (out / "report.md").read_text(encoding="utf-8")
    assert read_json(out / "searches.json")


def test_a_finished_run_is_found_again_and_another_kind_is_another_run(recipe, finished):
    said: list[str] = []
    train_run.run(recipe, say=said.append)
    assert all("already" in line for line in said if line.startswith(("model", "scores")))
    assert train_run.training_settings(recipe)["kind"] == "late-interaction"
    dense = recipe.model_copy(update={"kind": "dense"})
    assert "kind" not in train_run.training_settings(dense)  # runs of before there were kinds are still finished


def test_it_goes_on_from_a_model_of_late_interaction(recipe, finished, tmp_path):
    path = str(Path(recipe.output) / "model")
    further = recipe.model_copy(update={"model": path, "output": str(tmp_path / "out"), "searches": ()})
    run = train_run.run(further)
    assert run.before.model == path
    assert run.before.directions["de->en"].values == finished.after.directions["de->en"].values
    assert run.before.model_hash == finished.after.model_hash


def test_clearir_evaluate_tells_the_kind_by_the_folder(recipe, finished, clearir, tmp_path):
    path = Path(recipe.output) / "model"
    rows = Path(recipe.output) / "rows"
    status, _, said = clearir("evaluate", path, "--data", rows, "--out", tmp_path / "scores")
    assert status == 0, said
    (file,) = [one for one in (tmp_path / "scores").glob("*.json") if one.name != "texts.json"]
    found = Scores.load(file)
    assert found.directions["de->en"].values == finished.after.directions["de->en"].values


def test_an_index_of_it_is_known_by_the_scores_of_the_run(recipe, finished, tmp_path):
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search.index import build_index

    corpus = Corpus("c", (Passage("1", "amber"),))
    info, _ = build_index(corpus, str(Path(recipe.output) / "model"), tmp_path / "index", cache=tmp_path / "cache")
    assert info.model_hash == finished.after.model_hash


def test_where_a_vector_a_text_is_needed_it_is_refused_with_what_to_use(recipe, finished, clearir, tmp_path):
    status, _, said = clearir("trim", Path(recipe.output) / "model", "--languages", "en", "--out", tmp_path / "small")
    assert status == 2
    assert "a model of late interaction" in said
    assert "docs/late-interaction.md" in said
    assert not (tmp_path / "small").exists()


def test_a_study_begins_with_the_dense_model(recipe, tmp_path):
    settings = recipe.study.model_copy(update={"objectives": ("clear-plus", "infonce-bridge"), "seeds": 1})
    lines = study(recipe.model_copy(update={"output": str(tmp_path), "study": settings}))
    assert {line.objective for line in lines if line.suite == TEST} == {BASE, "clear-plus", "infonce-bridge"}
    assert Scores.load(tmp_path / "runs" / "base-0" / "scores" / "scores.json").model == "base (dense)"
    found = read_json(tmp_path / "runs" / "clear-plus-0" / "result.json")
    assert found["settings"]["kind"] == "late-interaction"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("merge={weight: 0.5}", "merge: it mixes"),
        ("train.retention=0.99", "train.retention: it compares"),
        ("train.lora={}", "train.lora: it would leave"),
        ("loss={objective: mimo, teacher: somewhere}", "loss.teacher: it has"),
    ],
)
def test_settings_that_do_not_go_with_it_are_said_before_the_first_stage(recipe_path, tmp_path, override, words):
    recipe = load_recipe(recipe_path, [override, f"output={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=words):
        train_run.run(recipe)
    assert not (tmp_path / "out" / "rows").exists()


def test_passages_are_not_shifted_by_language(recipe_path, tmp_path):
    recipe = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", "study.objectives=[base+shift]"])
    with pytest.raises(InputError, match=r"\+shift moves the one vector of a passage"):
        study(recipe)
    assert not (tmp_path / "out" / "seeds").exists()


def test_an_unknown_kind_is_refused(recipe_path):
    with pytest.raises(InputError, match="kind: Input should be 'dense', 'late-interaction', 'sparse' or 'reranker'"):
        load_recipe(recipe_path, ["kind=colbert"])


def test_a_dense_training_refuses_a_model_of_late_interaction(recipe, finished, tmp_path):
    path = str(Path(recipe.output) / "model")
    dense = recipe.model_copy(update={"model": path, "kind": "dense", "output": str(tmp_path / "out")})
    with pytest.raises(InputError, match="Train it on with kind: late-interaction"):
        train_run.run(dense)
