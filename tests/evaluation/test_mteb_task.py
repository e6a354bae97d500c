from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearir.evaluation.matrix import evaluate
from clearir.evaluation.mteb_task import load_task, run_mteb, score_mteb, task_of
from clearir.evaluation.registry import load_suite
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.models.prompts import Prompts
from clearir.support.errors import InputError, MissingExtraError

SAME = {
    "ndcg_at_1": "ndcg@1",
    "ndcg_at_10": "ndcg@10",
    "recall_at_100": "recall@100",
    "mrr_at_10": "mrr@10",
    "map_at_100": "map@100",
}


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch, suite: Any) -> None:
    for name in ("mteb", "mteb.abstasks.retrieval"):  # an earlier test may have imported it
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r'pip install "clearir\[mteb\]"'):
        task_of(suite)


def test_the_matrix_equals_mtebs_evaluator_on_mlqa(shared_data: Path, minilm_path: Path) -> None:
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    suite = load_suite("mlqa", shared_data / "mlqa", ["de", "es"])
    model = load_model(minilm_path, max_seq_length=16)  # short, for speed
    ours = evaluate(model, suite)
    theirs = run_mteb(model, task_of(suite, ["es->de"]))["test"]["es->de"]
    assert 0.05 < theirs["ndcg_at_10"] < 0.95
    for name, metric in SAME.items():
        assert ours.mean("es->de", metric) == pytest.approx(theirs[name], abs=1e-4), metric


def test_the_matrix_equals_mtebs_evaluator_where_the_queries_are_passages_and_a_passage_is_lost(
    echo: Any, suite: Any
) -> None:
    """What ArguAna has."""
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    passages = {"en": suite.passages["en"] | suite.queries["en"]}
    qrels = {"q1": {"d2": 1}, "q2": {"d2": 2, "d1": 1, "gone": 1}}
    odd = replace(suite, queries={"en": suite.queries["en"]}, passages=passages, qrels=qrels, lost=frozenset(["gone"]))
    ours = evaluate(echo, odd)
    theirs = run_mteb(echo, task_of(odd))["test"]["en->en"]
    assert 0.05 < theirs["ndcg_at_10"] < 0.95
    for name, metric in SAME.items():
        assert ours.mean("en->en", metric) == pytest.approx(theirs[name], abs=1e-4), metric


def test_prompts_reach_mteb(tiny_model: Any, suite: Any) -> None:
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    model = tiny_model()
    seen: list[str | None] = []
    preprocess = model[0].preprocess

    def listening(texts: Any, prompt: str | None = None, **options: Any) -> Any:
        seen.append(prompt)
        return preprocess(texts, prompt=prompt, **options)

    model[0].preprocess = listening
    run_mteb(model, task_of(suite, ["de->en"]), prompts=Prompts("q: ", "p: "))
    assert set(seen) - {None} == {"q: ", "p: "}


# -- other tasks than retrieval

Task = Callable[..., Any]

# Cosines 1, 0.8 and 0 in the order of the scores; in the second subset in the opposite order.
PAIRS = {"sentence1": ["a [1 0 0]", "b [1 0 0]", "c [1 0 0]"], "sentence2": ["d [1 0 0]", "e [4 3 0]", "f [0 0 1]"]}
STS = {"en": {"test": PAIRS | {"score": [5, 3, 1]}}, "en-de": {"test": PAIRS | {"score": [1, 3, 5]}}}


def test_sts_by_hand(echo: Any, mteb_task: Task, tmp_path: Path) -> None:
    scores = score_mteb(echo, mteb_task("STS", STS), name="echo")
    assert (scores.task, scores.type, scores.main_score, scores.model) == ("TinySTS", "STS", "cosine_spearman", "echo")
    assert scores.main_scores == {("test", "en"): pytest.approx(1), ("test", "en-de"): pytest.approx(-1)}
    assert scores.mean == pytest.approx((1 - 1) / 2)
    scores.save(tmp_path / "sts.json")
    stored = json.loads((tmp_path / "sts.json").read_text())
    assert stored["format"] == "clearir-mteb/1"
    assert stored["scores"]["test"]["en"]["cosine_spearman"] == pytest.approx(1)


def test_classification_by_hand(echo: Any, mteb_task: Task) -> None:
    train = {"text": [f"{n} [{x}]" for n in range(2) for x in ("1 0", "0 1")], "label": [0, 1, 0, 1]}
    test = {"text": ["a [1 0]", "b [0 1]", "c [1 0.1]", "d [1 0.2]"], "label": [0, 1, 0, 1]}
    scores = score_mteb(echo, mteb_task("Classification", {"en": {"train": train, "test": test}}), name="echo")
    assert scores.main_scores == {("test", "en"): 3 / 4}  # d lies where 0 is
    assert scores.type == "Classification"


def test_what_cannot_be_computed_is_not_stored(echo: Any, mteb_task: Task, tmp_path: Path) -> None:
    """The correlation with scores that are all the same; JSON has no NaN."""
    same = {"en": {"test": PAIRS | {"score": [2, 2, 2]}}, "de": STS["en"]}
    scores = score_mteb(echo, mteb_task("STS", same), name="echo")
    assert scores.main_scores == {("test", "en"): None, ("test", "de"): pytest.approx(1)}
    assert scores.mean == pytest.approx(1)
    scores.save(tmp_path / "sts.json")
    assert "NaN" not in (tmp_path / "sts.json").read_text()


def test_bitext_equals_mtebs_evaluator(echo: Any, mteb_task: Task) -> None:
    english = ["one [1 0 0]", "two [0 1 0]", "three [0 0 1]", "four [1 1 0]"]
    german = ["eins [1 0.1 0]", "zwei [0.9 0.2 0]", "drei [0 0.1 1]", "vier [1 0.9 0]"]
    task = mteb_task("BitextMining", {"de-en": {"test": {"sentence1": german, "sentence2": english}}})
    theirs = run_mteb(echo, task)["test"]["de-en"]
    groups = [{"en": e, "de": d} for e, d in zip(english, german, strict=True)]
    ours = evaluate(echo, Suite.from_translations(groups, "numbers"))
    # eins and zwei find one, drei finds three, vier finds four
    assert theirs["accuracy"] == ours.mean("de->en", "accuracy") == 3 / 4
    assert theirs["main_score"] == pytest.approx(ours.mean("de->en", "f1"), abs=1e-6)
    assert theirs["f1"] == pytest.approx((2 / 3 + 0 + 1 + 1) / 4)


def test_where_a_task_has_no_sides_all_texts_are_queries(echo: Any, mteb_task: Task) -> None:
    echo[0].seen.clear()
    echo.prompts = {"query": "own q: ", "document": "own p: "}
    try:
        run_mteb(echo, mteb_task("STS", STS), prompts=Prompts("q: ", "p: "))
        assert {text[:3] for text in echo[0].seen} == {"q: "}
        assert echo.prompts == {"query": "own q: ", "document": "own p: "}
    finally:
        echo.prompts = {}


def test_the_subsets_in_some_languages(mteb_task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    task = mteb_task("STS", dict.fromkeys(("en", "de", "en-de", "zh"), STS["en"]))
    kept: list[list[str]] = []

    def get_task(name: str, hf_subsets: list[str] | None = None) -> Any:
        kept.append(hf_subsets or [])
        return task

    monkeypatch.setattr("mteb.get_task", get_task)
    load_task("TinySTS", ["de", "eng_Latn"])
    assert kept[-1] == ["en", "de", "en-de"]
    load_task("TinySTS", ["zh"])
    assert kept[-1] == ["zh"]
    with pytest.raises(InputError, match="TinySTS has no subset in sw alone; its languages are de, en, zh"):
        load_task("TinySTS", ["sw"])


def test_mtebs_own_tasks_know_their_languages() -> None:
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    assert sorted(load_task("STS22.v2", ["en", "de"]).hf_subsets) == ["de", "de-en", "en"]


def test_an_unknown_task_and_one_out_of_reach(tiny_model: Any) -> None:
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    with pytest.raises(InputError, match="MTEB has no task 'NoSuchTask'"):
        run_mteb(tiny_model(), "NoSuchTask")
    with pytest.raises(InputError, match=r"could not run XQuADRetrieval .* check the connection"):
        run_mteb(tiny_model(), "XQuADRetrieval")
