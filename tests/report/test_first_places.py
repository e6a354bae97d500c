from __future__ import annotations

from collections.abc import Callable

import pytest

from clearir.evaluation.compare import DIRECTIONS, KINDS
from clearir.evaluation.scores import Direction, Scores
from clearir.report.load import Run


@pytest.fixture
def run(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> Run:
    """First places in German rise from 1 of 4 to 3 of 4, in Finnish from 0 of 2 to 1 of 2."""

    def scores(german: list[int], finnish: list[int]) -> Scores:
        directions = [make_direction("de", "en", german), make_direction("fi", "en", finnish)]
        return make_scores([*directions, make_direction("en", "de", [1, 1])])

    return Run("x", scores([1, 2, 3, 50], [2, 2]), scores([1, 1, 1, 2], [1, 3]), ("", ""))


def test_every_language_counts_the_same(run: Run) -> None:
    row = run.first_place("x->en", KINDS)
    assert row is not None
    assert row.baseline == pytest.approx((1 / 4 + 0) / 2)
    assert row.mean == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert row.queries == 6


def test_directions_are_counted_alone(run: Run) -> None:
    row = run.first_place("de->en")
    assert row is not None
    assert (row.baseline, row.mean) == pytest.approx((1 / 4, 3 / 4))


def test_passages_in_other_languages_are_left_out(run: Run) -> None:
    assert {row.name for row in run.first_places.rows if row.part == DIRECTIONS} == {"de->en", "fi->en"}
    assert run.first_place("en->de") is None
