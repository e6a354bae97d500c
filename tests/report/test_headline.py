"""The words are those that the scores allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from clearir.evaluation.scores import Direction, Scores
from clearir.report.headline import a_point, sentences, title, what_was_searched
from clearir.report.load import Run

Runs = Callable[..., Run]


@pytest.fixture
def make_run(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> Runs:
    """A run of these ranks before and after, by language; on English passages."""

    def make(**ranks: tuple[list[int], list[int]]) -> Run:
        before, after = (
            make_scores([make_direction(language, "en", pair[side]) for language, pair in ranks.items()])
            for side in (0, 1)
        )
        return Run("x", before, after, ("before.json", "after.json"))

    return make


def first(places: int, of: int = 100) -> list[int]:
    """Ranks of queries of which so many have the right page first, the others in place 2."""
    return [1] * places + [2] * (of - places)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (10, 80, "Searches in German now put the right page in first place 8 times as often."),
        (30, 72, "Searches in German now put the right page in first place 2.4 times as often."),
        (40, 80, "Searches in German now put the right page in first place twice as often."),
        (50, 70, "Searches in German now put the right page in first place 40 % more often."),
        (0, 30, "Searches in German now put the right page in first place in 30 % of cases, and never did before."),
        (80, 20, "Searches in German now put the right page in first place less often: in 20 % of them, 80 % before."),
        (
            40,
            41,
            "No clear change for searches in German: the right page is in first place in 41 % of them, 40 % before; "
            "that may be chance.",
        ),
        (
            40,
            40,
            "No clear change for searches in German: the right page is in first place in 40 % of them, as before.",
        ),
    ],
)
def test_how_often_the_right_page_comes_first(make_run: Runs, before: int, after: int, words: str) -> None:
    assert sentences(make_run(de=(first(before), first(after)))) == [words]


def test_few_searches_are_too_few_to_tell(make_run: Runs) -> None:
    (words,) = sentences(make_run(de=(first(0, 3), first(1, 3))))
    assert words.endswith("in first place in 33 % of them, 0 % before; 3 searches are too few to tell.")


def test_several_languages_are_named_or_counted(make_run: Runs) -> None:
    better = (first(10), first(80))
    few, many = make_run(de=better, fi=better), make_run(de=better, fi=better, ar=better, hi=better)
    assert sentences(few)[0].startswith("Searches in German and Finnish now put")
    assert sentences(many)[0].startswith("Searches in the 4 languages now put")
    assert title(few) == "Searching English pages in German and Finnish, before and after training"
    assert title(many) == "Searching English pages in 4 languages, before and after training"


def test_scores_without_and_with_a_reranker_are_not_called_training(make_run: Runs) -> None:
    run = make_run(de=(first(10), first(80)))
    behind = {"rerank": {"model_hash": run.before.model_hash, "top": 50}}
    both = replace(run.after, model=f"{run.before.model} + ranker (top 50)", model_hash="both", settings=behind)
    assert title(replace(run, after=both)) == "Searching English pages in German, without and with a reranker"
    other = replace(both, settings={"rerank": {"model_hash": "another", "top": 50}})  # the model is another one too
    assert title(replace(run, after=other)).endswith("before and after training")
    assert title(replace(run, before=both, after=both)).endswith("before and after training")


def test_languages_that_are_worse_are_named(make_run: Runs) -> None:
    run = make_run(de=(first(0), first(100)), fi=(first(80), first(20)))
    assert sentences(run)[-1] == "Worse than before: Finnish."


def test_english_is_as_good_as_before_if_a_loss_can_be_excluded(make_run: Runs) -> None:
    assert sentences(make_run(en=(first(50), first(50)))) == ["Search in English is as good as before."]


def test_english_on_few_queries_is_not_called_as_good(make_run: Runs) -> None:
    assert sentences(make_run(en=([1] * 12, [1] * 12))) == [
        "No clear change in English: 100.0 points before, 100.0 after."
    ]


def test_english_that_may_have_lost_is_not_called_as_good(make_run: Runs) -> None:
    """4 of 100 fall from place 1 to 2 (-36.9 points each), 3 rise: the interval of -0.4 reaches below -2."""
    before, after = [1] * 4 + [2] * 3 + [1] * 93, [2] * 4 + [1] * 3 + [1] * 93
    assert sentences(make_run(en=(before, after))) == ["No clear change in English: 98.9 points before, 98.5 after."]


@pytest.mark.parametrize(("before", "after", "change"), [(20, 80, "better"), (80, 20, "worse")])
def test_english_that_changed_is_told_in_points(make_run: Runs, before: int, after: int, change: str) -> None:
    def score(places: int) -> str:
        return f"{places + (100 - places) / 1.584962500721156:.1f}"  # the others in place 2: 1 / log2(3)

    assert sentences(make_run(en=(first(before), first(after)))) == [
        f"Search in English got {change}: from {score(before)} to {score(after)} points."
    ]


def test_a_point_has_an_example_from_the_run(make_run: Runs) -> None:
    """The mean rises from 1/4 to 3/4: two of four queries come from nowhere to the first place."""
    run = make_run(de=([1, 50, 50, 50], [1, 1, 1, 50]))
    assert a_point(run).endswith(
        "to the first: German gained 50.0 points, and the right page comes first in 3 of its 4 searches instead of 1, "
        "and among the first ten in 3 instead of 1."
    )
    assert "German lost 50.0 points" in a_point(replace(run, before=run.after, after=run.before))


def test_a_point_without_a_change_has_no_example(make_run: Runs) -> None:
    assert a_point(make_run(de=([1, 2], [1, 2]))).endswith("to the first.")


def test_what_was_searched_tells_how_it_is_averaged(make_run: Runs) -> None:
    one, two = make_run(de=([1], [1])), make_run(de=([1, 2], [1, 2]), fi=([1], [1]), en=([1], [1]))
    assert what_was_searched(one) == "1 search in German, each among 200 English pages."
    assert what_was_searched(two) == (
        "3 searches in German and Finnish, each among 200 English pages. "
        "Every language counts the same (macro-averaged success@1)."
    )
    assert what_was_searched(make_run(en=([1], [1]))) == ""


def test_of_bitext_the_words_are_sentences_and_translations(make_run: Runs) -> None:
    run = make_run(de=(first(10), first(80)))

    def as_bitext(scores: Scores) -> Scores:
        directions = {
            name: replace(one, values={"accuracy": [float(rank == 1) for rank in one.ranks]})
            for name, one in scores.directions.items()
        }
        return replace(scores, task="bitext", directions=directions)

    run = replace(run, before=as_bitext(run.before), after=as_bitext(run.after))
    assert title(run) == "Finding English translations of sentences in German, before and after training"
    assert sentences(run)[0] == ("Searches in German now put the right translation in first place 8 times as often.")
    assert a_point(run).startswith(
        "One point (accuracy × 100) is 1 sentence in 100 whose right translation moves to the first place: German "
        "gained 70.0 points, and the right translation comes first in 80 of its 100 searches instead of 10"
    )
    assert what_was_searched(run).endswith("English sentences.")
