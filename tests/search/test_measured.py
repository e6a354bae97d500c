"""What the scores of a run say of the models that are served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lancedb", reason="the extra search is not installed")

from clearir.evaluation.scores import Direction, Scores
from clearir.models.reranker import Reranking
from clearir.search.examples import First
from clearir.search.index import IndexInfo
from clearir.search.measured import Measured

TUNED = IndexInfo("rows", 100, {"en": 100}, (), "model", "tuned-hash", 16)
BASE = replace(TUNED, model_hash="base-hash")


def direction(query: str, passage: str, ranks: list[int]) -> Direction:
    ids = [f"q{i}" for i in range(len(ranks))]
    values = {"ndcg@10": [0.0] * len(ranks)}
    return Direction(query, passage, 40, ids, ids, values, ranks, [[] for _ in ranks])


def scores(model_hash: str, *directions: Direction, suite_hash: str = "suite") -> Scores:
    return Scores("suite", suite_hash, "model", model_hash, "en", {one.name: one for one in directions})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "scores").mkdir()
    after = [("en", "en", [1, 1]), ("km", "en", [1, 2, 3]), ("hi", "en", [1, 1]), ("hi", "hi", [1, 1])]
    before = [("en", "en", [1, 1]), ("km", "en", [9, 2, 1]), ("hi", "en", [5, 2]), ("hi", "hi", [1, 1])]
    scores("tuned-hash", *(direction(*one) for one in after)).save(tmp_path / "scores" / "after.json")
    scores("base-hash", *(direction(*one) for one in before)).save(tmp_path / "scores" / "before.json")
    return tmp_path


def test_first_places_are_counted_towards_the_bridge(run):
    measured = Measured.of(run, TUNED, BASE)
    assert measured is not None
    assert measured.lines == (First("km", 3, 1, 1), First("hi", 2, 2, 0))
    assert (measured.total.queries, measured.total.tuned, measured.total.base) == (5, 3, 1)
    assert measured.passages == 40


def test_without_an_index_of_the_base_model_there_is_no_before(run):
    measured = Measured.of(run, TUNED)
    assert measured is not None
    assert measured.total.base is None
    assert measured.lines == (First("km", 3, 1, None), First("hi", 2, 2, None))


def test_behind_a_reranker_the_scores_of_both_together_are_shown(run, overlap):
    fifty, ten = Reranking(overlap, "overlap", 50), Reranking(overlap, "overlap", 10)
    assert Measured.of(run, TUNED, BASE, fifty) is None
    scores(fifty.hash_with("tuned-hash"), direction("km", "en", [1, 1, 3])).save(run / "scores" / "reranked.json")
    assert Measured.of(run, TUNED, BASE, fifty).lines == (First("km", 3, 2, None),)
    assert Measured.of(run, TUNED, BASE, ten) is None
    assert Measured.of(run, TUNED, BASE).total.tuned == 3  # without it, as before


def test_scores_of_another_model_are_not_shown(run):
    assert Measured.of(run, replace(TUNED, model_hash="quantised"), BASE) is None
    assert Measured.of(run / "nowhere", TUNED) is None


def test_scores_of_other_queries_are_not_compared(run):
    other = scores("base-hash", direction("km", "en", [1, 1, 1]), suite_hash="other")
    other.save(run / "scores" / "before.json")
    assert Measured.of(run, TUNED, BASE) is None


def test_languages_are_those_of_the_rows_that_were_trained_on(run):
    assert Measured.of(run, TUNED).trained == ("km", "hi")  # no rows: those that were measured
    (run / "rows").mkdir()
    manifest = {"result": {"splits": {"train": {"km": 5, "hi": 4, "sw": 3, "null": 2}}}}
    (run / "rows" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert Measured.of(run, TUNED).trained == ("hi", "km", "sw")


@pytest.mark.parametrize(
    ("query", "languages"),
    [("ខ្មែរ", ("km",)), ("फ़ाइल GNOME हटाएँ", ("hi",)), ("a file", ("en",)), ("แฟ้ม", ()), ("12?", ("en", "km", "hi"))],
)
def test_the_script_of_a_query_tells_which_languages_it_may_be_in(run, query, languages):
    assert Measured.of(run, TUNED).may_be(query) == languages
