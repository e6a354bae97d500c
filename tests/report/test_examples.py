from __future__ import annotations

from collections.abc import Callable

import pytest

from clearir.evaluation.scores import Direction, Scores, Texts
from clearir.report.examples import extremes, most_changed, typical, typical_searches
from clearir.report.load import Run


@pytest.fixture
def run(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> Run:
    """Ranks of five queries before and after; beyond 10 nDCG@10 is 0."""
    before = make_scores([make_direction("de", "en", [20, 50, 1, 3, 1])])
    after = make_scores([make_direction("de", "en", [1, 1, 11, 3, 2])])
    texts = Texts({"de": {"q1": "eine Frage"}, "en": {"q1": "a question"}}, {"en": {"p1": "an answer"}})
    return Run("x", before, after, ("before.json", "after.json"), texts)


def test_those_that_gained_and_lost_most_come_first(run: Run) -> None:
    gained, lost = extremes(run, "de->en")
    # 0 and 1 both go from nothing to the top; 1 came from further down.
    assert [change.query_id for change in gained] == ["q1", "q0"]
    assert [change.query_id for change in lost] == ["q2", "q4"]
    assert [change.ranks for change in lost] == [(1, 11), (1, 2)]
    assert lost[0].difference == -1.0


def test_only_so_many(run: Run) -> None:
    gained, lost = extremes(run, "de->en", number=1)
    assert [change.query_id for change in [*gained, *lost]] == ["q1", "q2"]


def test_texts_are_looked_up_and_may_be_missing(run: Run) -> None:
    first, second = extremes(run, "de->en")[0]
    assert (first.query, first.meaning, first.gold.text) == ("eine Frage", "a question", "an answer")
    assert (second.query, second.meaning, second.gold.text) == (None, None, None)
    assert second.gold.identifier == "p0"


def test_the_relevant_passage_is_marked(run: Run) -> None:
    change = extremes(run, "de->en")[0][0]
    assert [found.right for found in change.top[0]] == [False, False, False]
    assert [found.right for found in change.top[1]] == [True, False, False]


def test_another_relevant_passage_is_known_by_its_rank(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]
) -> None:
    before, after = make_direction("de", "en", [20]), make_direction("de", "en", [2])
    after.top[0][:] = ["p7", "p8", "p9"]
    run = Run("x", make_scores([before]), make_scores([after]), ("", ""))
    assert [found.right for found in extremes(run, "de->en")[0][0].top[1]] == [False, True, False]


def test_queries_are_matched_by_id_not_by_place(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]
) -> None:
    before = make_scores([make_direction("de", "en", [1, 2, 3], ["q0", "q1", "q2"])])
    after = make_scores([make_direction("de", "en", [3, 2, 1], ["q2", "q1", "q0"])])
    assert extremes(Run("x", before, after, ("", "")), "de->en") == ([], [])


def test_a_direction_that_was_not_scored_has_none(run: Run) -> None:
    assert extremes(run, "fi->en") == ([], [])


def test_one_query_a_language(run: Run) -> None:
    gained, lost = most_changed(run)
    assert [change.query_id for change in [*gained, *lost]] == ["q1", "q2"]


def test_the_typical_query_has_the_median_gain(run: Run) -> None:
    # from the largest loss to the largest gain: q2, q4, q3, q0, q1
    assert [change.query_id for change in typical(run, "de->en")] == ["q3"]
    assert [change.query_id for change in typical(run, "de->en", 2)] == ["q0", "q4"]
    assert [change.query_id for change in typical(run, "de->en", 9)] == ["q1", "q0", "q3", "q4", "q2"]
    assert typical(run, "fi->en") == []


def test_the_median_of_two_is_the_lower(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]
) -> None:
    before, after = (make_scores([make_direction("de", "en", ranks)]) for ranks in ([2, 2], [1, 3]))
    assert [change.query_id for change in typical(Run("x", before, after, ("", "")), "de->en")] == ["q1"]


def test_few_languages_have_more_typical_queries(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]
) -> None:
    def changes(languages: list[str]) -> tuple[str, list[str]]:
        scores = make_scores([make_direction(language, "en", list(range(1, 9))) for language in languages])
        words, found = typical_searches(Run("x", scores, scores, ("", "")))
        return words, [change.language for change in found]

    assert changes(["de"])[1] == ["de"] * 6
    assert changes(["de", "fi"])[1] == ["de"] * 3 + ["fi"] * 3
    assert changes(["de", "fi", "ar", "hi"]) == (
        "A typical search in each language: the one with the median gain.",
        ["ar", "de", "fi", "hi"],
    )
    assert changes([])[1] == []
