from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from clearir.evaluation.compare import _with_holm, compare
from clearir.evaluation.scores import Scores
from clearir.support.errors import InputError

Make = Callable[..., Scores]


def test_a_difference_by_hand(make_scores: Make) -> None:
    before = make_scores({"de->en": [0.5, 0.0, 1.0, 0.5]})
    after = make_scores({"de->en": [1.0, 0.5, 1.0, 0.5]}, model="tuned")
    row = compare(before, after).row("tuned", "de->en")
    assert row is not None
    assert (row.queries, row.clusters) == (4, 4)
    assert row.baseline == pytest.approx((0.5 + 0 + 1 + 0.5) / 4)
    assert row.mean == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    assert row.difference == pytest.approx(0.25)
    assert row.retention == pytest.approx(0.75 / 0.5)
    # Sign flips: the two zeros have no sign; of the four of the others, ++ and -- are as extreme: 2 / 4.
    assert row.p == pytest.approx(0.5, abs=0.03)
    # Resampling 4 of (0.5, 0.5, 0, 0): means 0 ... 0.5; the 2.5 % quantile is 0 (1/16 of the samples), the other 0.5.
    assert (row.low, row.high) == (0, 0.5)
    assert row.verdict == "not shown"


def test_queries_on_one_passage_are_one_observation(make_scores: Make) -> None:
    gains = [0.1] * 40
    alone = make_scores({"de->en": [0.5] * 40}), make_scores({"de->en": [0.5 + g for g in gains]}, model="t")
    row = compare(*alone).row("t", "de->en")
    assert row is not None
    assert row.p == pytest.approx(2 / 10_000)  # none of 9,999 flips is as extreme
    assert row.verdict == "better"
    gold = ["p0"] * 20 + ["p1"] * 20
    tied = (
        make_scores({"de->en": [0.5] * 40}, gold=gold),
        make_scores({"de->en": [0.5 + g for g in gains]}, gold=gold, model="t"),
    )
    row = compare(*tied).row("t", "de->en")
    assert row is not None
    assert row.clusters == 2
    assert row.p == pytest.approx(2 / 4, abs=0.03)  # ++ and -- of four
    assert row.verdict == "not shown"
    named = [replace(scores, clusters={f"q{n}": "p" for n in range(40)}) for scores in alone]
    row = compare(*named).row("t", "de->en")
    assert row is not None
    assert (row.clusters, row.p, row.low, row.high) == (1, 1.0, None, None)


def test_clusters_of_different_sizes_are_weighed_by_their_queries(make_scores: Make) -> None:
    gold = ["a", "a", "a", "b"]
    before = make_scores({"de->en": [0.0] * 4}, gold=gold)
    after = make_scores({"de->en": [1.0, 1.0, 1.0, 0.0]}, gold=gold, model="t")
    row = compare(before, after).row("t", "de->en")
    assert row is not None
    assert row.difference == pytest.approx(3 / 4)
    assert row.retention is None
    assert (row.low, row.high) == (0, 1)  # b twice, a twice


def test_the_interval_agrees_with_the_textbook(make_scores: Make) -> None:
    values = np.random.default_rng(1).normal(0.1, 0.3, 400)
    before, after = make_scores({"de->en": [0.5] * 400}), make_scores({"de->en": list(0.5 + values)}, model="t")
    row = compare(before, after).row("t", "de->en")
    assert row is not None
    half = 1.96 * values.std() / np.sqrt(400)
    assert row.low == pytest.approx(values.mean() - half, abs=0.003)
    assert row.high == pytest.approx(values.mean() + half, abs=0.003)


def test_holm_by_hand() -> None:
    row = {"model": "t", "part": "directions", "queries": 1, "clusters": 1, "baseline": 0.0, "mean": 1.0}
    row |= {"difference": 1.0, "retention": None, "low": 0.0, "high": 1.0}
    rows = [row | {"name": f"{n}", "p": p} for n, p in enumerate([0.04, 0.01, 0.03, 0.5])]
    found = [(one.p_holm, one.verdict) for one in _with_holm(rows, "ndcg@10")]
    # In order: 0.01 x 4, 0.03 x 3, 0.04 x 2 (but not below the one before), 0.5 x 1.
    assert [p for p, _ in found] == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert [verdict for _, verdict in found] == ["not shown", "better", "not shown", "not shown"]


def test_kinds_weigh_each_direction_the_same_and_keep_passages_together(make_scores: Make) -> None:
    directions = {"en->en": [1.0] * 30, "de->en": [0.5] * 30, "fi->en": [0.5] * 10}
    better = {"en->en": [1.0] * 30, "de->en": [0.6] * 30, "fi->en": [0.9] * 10}
    comparison = compare(make_scores(directions), make_scores(better, model="t"))
    kinds = {row.name: row for row in comparison.part("t", "kinds")}
    assert list(kinds) == ["en->en", "x->en"]
    assert kinds["x->en"].difference == pytest.approx((0.1 + 0.4) / 2)
    assert kinds["x->en"].queries == 40
    assert kinds["x->en"].clusters == 30  # fi's queries hang on the same passages as the first ten of de's
    assert kinds["x->en"].verdict == "better"
    assert kinds["en->en"].retention == 1
    assert kinds["en->en"].p == 1


def test_pools_are_rows_of_their_own(make_scores: Make) -> None:
    before = make_scores({"de->en": [0.5] * 20}, pools={"de->all": [0.5] * 20, "en->all": [0.1] * 20})
    after = make_scores({"de->en": [0.5] * 20}, pools={"de->all": [0.2] * 20}, model="t")
    rows = compare(before, after).part("t", "pools")
    assert [(row.name, row.verdict) for row in rows] == [("de->all", "worse")]
    assert rows[0].p_holm == rows[0].p  # one row, nothing to correct


def test_lower_is_better_for_ranks(make_scores: Make) -> None:
    before = make_scores({"de->en": [9.0] * 20}, metric="max@r")
    after = make_scores({"de->en": [3.0] * 20}, metric="max@r", model="t")
    row = compare(before, after, metric="max@r").row("t", "de->en")
    assert row is not None
    assert row.difference == pytest.approx(-6)
    assert row.verdict == "better"


def test_the_sentence_says_what_is_not_significant(make_scores: Make) -> None:
    before = make_scores({"en->en": [0.8] * 30, "de->en": [0.4] * 30})
    after = make_scores({"en->en": [0.8] * 29 + [0.5], "de->en": [0.6] * 30}, model="tuned")
    sentence = compare(before, after).sentences["tuned"]
    assert (
        "significantly better in 1 of 2 directions, significantly worse in 0, no significant difference in 1"
        in sentence
    )
    assert "(sign-flip test over passages, Holm-corrected, 5% level)" in sentence
    assert "x->en: +20.0 points (+20.0 to +20.0), significantly better." in sentence
    assert "en->en: -1.0 points" in sentence
    assert f"not significant, {(29 * 0.8 + 0.5) / (30 * 0.8):.1%} retained" in sentence


def test_few_queries_are_said(make_scores: Make) -> None:
    languages = [f"l{n:02}" for n in range(12)]
    directions = {f"{language}->en": [0.5] * (49 + n // 11) for n, language in enumerate(languages)}
    sentence = compare(make_scores(directions), make_scores(directions, model="t")).sentences["t"]
    assert sentence.endswith("l08 49, l09 49 and 1 more; score more queries.")  # eleven languages with 49, one with 50
    several = {"de->en": [0.5] * 50, "de->de": [0.5] * 10}  # a language counts by its largest direction
    assert "Fewer" not in compare(make_scores(several), make_scores(several, model="t")).sentences["t"]


def test_the_same_seed_gives_the_same_figures(make_scores: Make) -> None:
    values = list(np.random.default_rng(0).uniform(0, 1, 50))
    before, after = make_scores({"de->en": [0.5] * 50}), make_scores({"de->en": values}, model="t")
    assert compare(before, after) == compare(before, after)
    assert compare(before, after, seed=1) != compare(before, after)


def test_several_models_and_the_same_name_twice(make_scores: Make) -> None:
    base, same, other = (
        make_scores({"de->en": [0.5]}),
        make_scores({"de->en": [0.7]}),
        make_scores({"de->en": [0.1]}, model="b"),
    )
    comparison = compare(base, same, other)
    assert comparison.baseline == "base"
    assert list(comparison.sentences) == ["base (2)", "b"]
    assert asdict(comparison)["rows"][0]["difference"] == pytest.approx(0.2)


def test_queries_in_another_order_are_matched_by_id(make_scores: Make) -> None:
    before, after = make_scores({"de->en": [0.0, 0.5, 1.0]}), make_scores({"de->en": [0.0, 0.5, 1.0]}, model="t")
    direction = after.directions["de->en"]
    turned = replace(direction, query_ids=direction.query_ids[::-1], values={"ndcg@10": [1.0, 0.5, 0.0]})
    row = compare(before, replace(after, directions={"de->en": turned})).row("t", "de->en")
    assert row is not None
    assert row.p == 1


def test_scores_that_cannot_be_compared(make_scores: Make) -> None:
    scores = make_scores({"de->en": [0.5, 0.5]})
    with pytest.raises(InputError, match="nothing to compare"):
        compare(scores)
    with pytest.raises(
        InputError,
        match=r"base was scored on toy \(0123, bridge en\) and t was scored on toy \(9999, bridge en\): different",
    ):
        compare(scores, make_scores({"de->en": [0.5, 0.5]}, model="t", suite_hash="9999"))
    with pytest.raises(InputError, match=r"\(0123, bridge de\): different texts, languages or bridge"):
        compare(scores, make_scores({"de->en": [0.5, 0.5]}, model="t", bridge="de"))
    pools = {"de->all": [0.5, 0.5]}, {"de->all": [0.5]}
    with pytest.raises(InputError, match="de->all: b and t were scored on different queries"):
        compare(
            *(make_scores({"de->en": [0.5]}, pools=pool, model=name) for pool, name in zip(pools, "bt", strict=True))
        )
    with pytest.raises(InputError, match="de->en: base and t were scored on different queries"):
        compare(scores, make_scores({"de->en": [0.5]}, model="t"))
    with pytest.raises(InputError, match="fi->en: base and t were scored on different queries"):
        compare(scores, make_scores({"de->en": [0.5, 0.5], "fi->en": [0.1]}, model="t"))
    with pytest.raises(InputError, match="has no metric 'map@100'; there are ndcg@10"):
        compare(scores, make_scores({"de->en": [0.5, 0.5]}, model="t"), metric="map@100")


def test_the_same_texts_under_another_name_can_be_compared(make_scores: Make) -> None:
    scores = make_scores({"de->en": [0.5, 0.5]})
    assert compare(scores, make_scores({"de->en": [0.5, 0.5]}, model="t", suite="moved")).suite == "toy"
