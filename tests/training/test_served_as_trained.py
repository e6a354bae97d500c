"""What training was told (prompts, length, similarity), serving knows: the saved model gives the report's figures."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from clearir.evaluation.scores import Scores
from clearir.models.load import load_model
from clearir.models.prompts import Prompts, prompts_of
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe
from clearir.settings import LossSettings, PromptSettings, TrainSettings
from clearir.support.artifacts import read_json

QUERY, PASSAGE = "query: ", "passage: "
LENGTH = 32
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")


@pytest.fixture(scope="module")
def recipe(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("prompted")
    draw = random.Random(0)
    lines = []
    for i in range(60):
        words = draw.sample(WORDS, 3)
        lines.append(
            {
                "query": " ".join(words),
                "passage": f"{i} {words[0]} {words[1]} and {' '.join(draw.sample(WORDS, 4))}",
                "target_query": " ".join(word[::-1] for word in words),
                "language": "fi",
            }
        )
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    recipe = {
        "name": "prompted",
        "model": str(tiny_model_path),
        "output": str(folder / "out"),
        "data": {"path": str(folder / "rows.jsonl"), "test": {"fi": 20}},
        "mine": {"negatives": 1, "target_negatives": 1, "window": [1, 10]},
        "train": {"max_steps": 3, "batch_size": 8, "learning_rate": 0.001, "max_seq_length": LENGTH},
        "loss": {"cached": False},
        "merge": {"weight": 0.5},
        "prompts": {"query": QUERY, "passage": PASSAGE},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    loaded = load_recipe(folder / "recipe.yaml")
    train_run.run(loaded)
    return loaded


@pytest.fixture(scope="module")
def model(recipe: Recipe) -> Path:
    return Path(recipe.output) / "model"


@pytest.fixture(scope="module")
def reported(recipe: Recipe) -> Scores:
    return Scores.load(Path(recipe.output) / "scores" / "after.json")


@pytest.mark.parametrize("folder", ["model", "trained"])
def test_they_stand_in_the_folder(recipe: Recipe, folder: str) -> None:
    path = Path(recipe.output) / folder
    config = read_json(path / "config_sentence_transformers.json")
    assert config["prompts"] == {"query": QUERY, "document": PASSAGE}
    assert config["similarity_fn_name"] == "cosine"
    assert load_model(path).max_seq_length == LENGTH


def test_evaluate_gives_the_reports_figures(
    recipe: Recipe, model: Path, reported: Scores, clearir: Any, tmp_path: Path
) -> None:
    test = next((Path(recipe.output) / "rows" / "data").glob("test-*.parquet"))
    arguments = ("evaluate", model, "--data", test, "--cache", tmp_path / "cache")
    assert clearir(*arguments, "--out", tmp_path / "told")[0] == 0
    found = Scores.load(next((tmp_path / "told").glob("*--model.json")))
    assert found.summary() == reported.summary()
    assert found.settings["prompts"] == reported.settings["prompts"] == {"query": QUERY, "passage": PASSAGE}
    # or the figures would say nothing of the prompts
    assert clearir(*arguments, "--query-prompt", "", "--passage-prompt", "", "--out", tmp_path / "without")[0] == 0
    without = Scores.load(next((tmp_path / "without").glob("*--model.json")))
    assert without.summary() != reported.summary()


def test_sentence_transformers_gives_the_reports_figures(recipe: Recipe, model: Path, reported: Scores) -> None:
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(str(model), device="cpu")
    suite = train_run.test_suite(recipe)
    passages = list(suite.passages["en"])
    queries = list(suite.queries["fi"])
    found = network.similarity(
        network.encode_query([suite.queries["fi"][one] for one in queries]),
        network.encode_document([suite.passages["en"][one] for one in passages]),
    ).numpy()
    gains = []
    for row, query in zip(found, queries, strict=True):
        [right] = suite.qrels[query]
        rank = 1 + int((row > row[passages.index(right)]).sum())
        gains.append(1 / math.log2(1 + rank) if rank <= 10 else 0.0)
    assert np.mean(gains) == pytest.approx(reported.mean("fi->en"), abs=1e-6)


def test_the_index_asks_as_training_did(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.data.passages import read_corpus
    from clearir.search.index import build_index

    (tmp_path / "passages.txt").write_text("amber birch\ncobalt delta\n")
    info, _ = build_index(read_corpus(tmp_path / "passages.txt"), str(model), tmp_path / "i", cache=tmp_path / "cache")
    assert (info.query_prompt, info.passage_prompt, info.max_seq_length) == (QUERY, PASSAGE, LENGTH)


def test_the_card_says_what_stands_in_front(model: Path) -> None:
    card = (model / "README.md").read_text(encoding="utf-8")
    assert '`encode_query` puts `"query: "` before a text, `encode_document` puts `"passage: "`.' in card
    assert f"The model reads the first {LENGTH} tokens of each text." in card


def test_a_merge_keeps_them(tiny_model_path: Path, model: Path, clearir: Any, tmp_path: Path) -> None:
    trained = model.with_name("trained")
    assert clearir("merge", tiny_model_path, trained, "--weight", 0.3, "--out", tmp_path / "merged")[0] == 0
    merged = load_model(tmp_path / "merged")
    assert (prompts_of(merged), merged.max_seq_length) == (Prompts(QUERY, PASSAGE), LENGTH)


def test_empty_prompts_win_over_the_bases_and_cosine_over_its_dot(model: Path, tmp_path: Path) -> None:
    from clearir.data.rows import Row
    from clearir.training.train import train

    base = load_model(model)
    base.similarity_fn_name = "dot"
    base.save_pretrained(str(tmp_path / "base"), create_model_card=False)
    settings = TrainSettings(max_steps=1, batch_size=4)
    rows = [Row(query=f"one {i}", passage=f"a text {i}", target_query=f"yksi {i}", language="fi") for i in range(4)]
    none = PromptSettings(query="", passage="")
    train(rows, str(tmp_path / "base"), tmp_path / "out", settings, LossSettings(cached=False), prompts=none)
    config = read_json(tmp_path / "out" / "config_sentence_transformers.json")
    assert config["prompts"] == {"query": "", "document": ""}
    assert config["similarity_fn_name"] == "cosine"
