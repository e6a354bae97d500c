from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clearir.evaluation.compare import compare
from clearir.evaluation.scores import Direction, Scores
from clearir.report.direction_table import Cell, DirectionTable, cell, direction_table
from clearir.support.errors import InputError


def direction(query: str, passage: str, values: dict[str, float]) -> Direction:
    """A direction with these values of nDCG@10 by query id."""
    ids = list(values)
    return Direction(query, passage, 9, ids, ids, {"ndcg@10": list(values.values())}, [1] * len(ids), [[]] * len(ids))


@pytest.fixture
def pair(make_scores: Callable[..., Scores]) -> tuple[Scores, Scores]:
    """German is asked a and b, Finnish c; English all three."""
    before = make_scores(
        [
            direction("en", "en", {"a": 1.0, "b": 0.8, "c": 0.6}),
            direction("de", "en", {"a": 0.2, "b": 0.4}),
            direction("fi", "en", {"c": 0.1}),
            direction("en", "de", {"a": 0.5, "b": 0.5}),
        ]
    )
    after = make_scores(
        [
            direction("en", "en", {"a": 1.0, "b": 0.6, "c": 0.7}),
            direction("de", "en", {"b": 0.8, "a": 0.4}),
            direction("fi", "en", {"c": 0.05}),
            direction("en", "de", {"a": 0.5, "b": 0.7}),
        ],
        model="tuned",
    )
    return before, after


@pytest.fixture
def table(pair: tuple[Scores, Scores]) -> DirectionTable:
    return direction_table(*pair, ["de", "fi"])


def as_pair(found: Cell | None) -> Any:
    assert found is not None
    return pytest.approx((found.before, found.after))


def test_each_language_has_its_own_means(table: DirectionTable) -> None:
    german, finnish = table.rows
    assert (german.language, german.queries) == ("de", 2)
    assert as_pair(german.cells["x->en"]) == ((0.2 + 0.4) / 2, (0.4 + 0.8) / 2)
    assert as_pair(german.cells["en->x"]) == (0.5, (0.5 + 0.7) / 2)
    assert (finnish.language, finnish.queries) == ("fi", 1)
    assert as_pair(finnish.cells["x->en"]) == (0.1, 0.05)


def test_english_is_averaged_over_the_queries_of_the_row(table: DirectionTable) -> None:
    german, finnish = table.rows
    assert as_pair(german.cells["en->en"]) == ((1.0 + 0.8) / 2, (1.0 + 0.6) / 2)
    assert as_pair(finnish.cells["en->en"]) == (0.6, 0.7)


def test_what_was_not_scored_is_left_out(table: DirectionTable) -> None:
    assert table.kinds == ["en->en", "x->en", "en->x"]
    assert "en->x" not in table.rows[1].cells


def test_the_mean_counts_every_language_once(table: DirectionTable) -> None:
    assert as_pair(table.mean["x->en"]) == ((0.3 + 0.1) / 2, (0.6 + 0.05) / 2)
    assert as_pair(table.mean["en->x"]) == (0.5, 0.6)
    assert table.cross == table.mean["x->en"]
    assert table.mean["x->en"].difference == pytest.approx(0.325 - 0.2)
    assert table.mean["x->en"].relative == pytest.approx((0.325 - 0.2) / 0.2)


def test_retention_is_over_all_english_queries(table: DirectionTable) -> None:
    assert table.retention == pytest.approx((1.0 + 0.6 + 0.7) / (1.0 + 0.8 + 0.6))


def test_who_improved_is_what_the_comparison_shows(pair: tuple[Scores, Scores], table: DirectionTable) -> None:
    comparison = compare(*pair)
    verdicts = {"de->en": "better", "fi->en": "not shown", "en->en": "worse", "x->en": "better"}
    judged = [replace(row, verdict=verdicts.get(row.name, "not shown")) for row in comparison.rows]
    found = direction_table(*pair, ["de", "fi"], comparison=replace(comparison, rows=tuple(judged)))
    assert (found.improved, found.worse, found.unclear) == (["de"], [], ["fi"])
    assert found.english is not None
    assert found.english.verdict == "worse"
    assert [row.cells["en->en"].verdict for row in found.rows] == [None, None]  # over the row's queries: not tested
    assert {kind: cell.verdict for kind, cell in found.mean.items()} == {
        "en->en": None,
        "x->en": "better",
        "en->x": "not shown",
    }
    assert (table.improved, table.worse, table.unclear) == ([], [], [])  # nothing was tested


def test_all_languages_are_taken_unasked(pair: tuple[Scores, Scores]) -> None:
    assert [row.language for row in direction_table(*pair).rows] == ["de", "fi"]


def test_a_language_without_scores_has_no_row(pair: tuple[Scores, Scores]) -> None:
    assert [row.language for row in direction_table(*pair, ["sw", "fi", "en"]).rows] == ["fi"]


def test_scores_of_zero_have_no_relative_change() -> None:
    assert Cell(0.0, 0.5).relative is None
    assert Cell(0.0, 0.5).ratio is None


def test_other_queries_are_refused(pair: tuple[Scores, Scores], make_scores: Callable[..., Scores]) -> None:
    other = replace(pair[1], directions=pair[1].directions | {"fi->en": direction("fi", "en", {"x": 0.4})})
    with pytest.raises(InputError, match=r"fi->en: .* different queries"):
        direction_table(pair[0], other)


@pytest.mark.parametrize("change", [{"suite_hash": "f"}, {"bridge": "de"}])
def test_other_suites_are_refused(pair: tuple[Scores, Scores], change: dict[str, str]) -> None:
    with pytest.raises(InputError, match="with the same --suite"):
        direction_table(pair[0], replace(pair[1], **change))


def test_an_unknown_metric_is_refused(pair: tuple[Scores, Scores]) -> None:
    with pytest.raises(InputError, match="no metric 'map'; there are ndcg@10"):
        direction_table(*pair, metric="map")


def test_no_common_query_is_no_cell(pair: tuple[Scores, Scores]) -> None:
    assert cell(*pair, "en->en", "ndcg@10", ["elsewhere"]) is None
    assert cell(*pair, "de->fi", "ndcg@10") is None
