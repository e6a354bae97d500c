from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearir.evaluation.matrix import evaluate
from clearir.evaluation.mteb_task import run_mteb, task_of
from clearir.evaluation.registry import load_suite
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
    monkeypatch.setitem(sys.modules, "mteb", None)
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


def test_an_unknown_task_and_one_out_of_reach(tiny_model: Any) -> None:
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')
    with pytest.raises(InputError, match="MTEB has no task 'NoSuchTask'"):
        run_mteb(tiny_model(), "NoSuchTask")
    with pytest.raises(InputError, match=r"could not run XQuADRetrieval .* check the connection"):
        run_mteb(tiny_model(), "XQuADRetrieval")
