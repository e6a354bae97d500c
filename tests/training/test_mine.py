"""Texts lie on a circle: the text "a30 ..." is the unit vector at 30 degrees, so every rank can be read off."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row
from clearir.settings import MineSettings
from clearir.support.errors import InputError
from clearir.training import mine as module

HOW = ("seed", "cache", "ready", "prompts")


def mine(rows, model, **options):
    """`clearir.training.mine.mine` with its settings as keywords, five and five where no number is said."""
    how = {name: options.pop(name) for name in HOW if name in options}
    return module.mine(rows, model, MineSettings(**{"negatives": 5, "target_negatives": 5, **options}), **how)


def circle(texts, kind):
    angles = [math.radians(float(re.match(r"a(-?[\d.]+)", text.strip().lower())[1])) for text in texts]
    return np.array([[math.cos(a), math.sin(a)] for a in angles], dtype=np.float32)


def row(angle, language="sw", **more):
    """Query, passage and target query all at ``angle``."""
    values = {
        "query": f"a{angle} q",
        "passage": f"a{angle} p",
        "target_query": f"a{angle} {language}",
        "language": language,
    }
    return Row(**(values | more))


FIVE = [row(0), row(10), row(25), row(45), row(70)]


def test_takes_the_ranks_of_the_window_hardest_first():
    # Around 0 degrees the others stand at 10, 25, 45, 70: ranks 2 and 3 are 25 and 45.
    mined = mine(FIVE, circle, negatives=2, target_negatives=2, window=(2, 3))
    assert mined.rows[0].negatives == ("a25 p", "a45 p")
    assert mined.rows[0].target_negatives == ("a25 sw", "a45 sw")
    # Around 45: 25 (20 away), 70 (25), 10 (35), 0 (45).
    assert mined.rows[3].negatives == ("a70 p", "a10 p")
    assert (mined.topped_up_passages, mined.topped_up_queries) == (0, 0)


def test_keeps_everything_else_of_the_rows():
    mined = mine(FIVE, circle, negatives=1, target_negatives=1, window=(1, 4))
    assert [replace(r, negatives=(), target_negatives=()) for r in mined.rows] == FIVE


def test_scores_are_cosines_of_positives_and_negatives():
    mined = mine(FIVE, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert mined.scores["passage"] == pytest.approx([1.0] * 5)
    nearest = [math.cos(math.radians(a)) for a in (10, 10, 15, 20, 25)]
    assert mined.scores["negative passage"] == pytest.approx(nearest, abs=1e-6)
    assert mined.scores["negative query"] == pytest.approx(nearest, abs=1e-6)


def test_the_draw_depends_on_the_seed_alone():
    rows = [row(a / 2) for a in range(300)]
    first, again, other = (mine(rows, circle, window=(10, 100), seed=s) for s in (1, 1, 2))
    assert first.rows == again.rows
    assert first.rows != other.rows


def test_bridge_reads_the_bridge_query_and_target_the_target_query():
    # The model misreads the target language: the Swahili of the nearest English query lies far away.
    rows = [row(0), row(10, target_query="a180 far"), row(80, target_query="a5 near")]
    options = {"negatives": 0, "target_negatives": 1, "window": (1, 1)}
    assert mine(rows, circle, **options).rows[0].target_negatives == ("a180 far",)
    assert mine(rows, circle, mine_target="target", **options).rows[0].target_negatives == ("a5 near",)


def test_every_query_of_the_same_passage_is_right():
    rows = [row(0), row(1, passage="a0 p"), row(30), row(60)]
    mined = mine(rows, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert mined.rows[0].target_negatives == mined.rows[1].target_negatives == ("a30 sw",)


def test_every_passage_of_the_same_query_is_right():
    rows = [row(0), row(1, query="a0 q", target_query="a0 sw"), row(30), row(60)]
    mined = mine(rows, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert mined.rows[0].negatives == mined.rows[1].negatives == ("a30 p",)


def test_questions_tied_by_id_or_by_translation_are_the_same_question():
    by_id = [row(0, query_id="7"), row(1, query_id="7"), row(30)]
    by_translation = [row(0), row(1, target_query="a0 sw"), row(30)]
    for rows in (by_id, by_translation):
        mined = mine(rows, circle, negatives=1, target_negatives=0, window=(1, 1))
        assert mined.rows[0].negatives == mined.rows[1].negatives == ("a30 p",)


def test_passages_tied_by_id_are_the_same_passage():
    rows = [row(0, passage_id="7"), row(1, passage_id="7"), row(30)]
    mined = mine(rows, circle, negatives=0, target_negatives=1, window=(1, 1))
    assert mined.rows[0].target_negatives == ("a30 sw",)


def test_another_translation_of_a_right_question_is_right():
    # Row 1 asks row 0's English question of another passage, in other words in the target language.
    rows = [row(0), row(2, query="a0 q", target_query="a2 other words"), row(30)]
    mined = mine(rows, circle, negatives=0, target_negatives=1, window=(1, 1))
    assert mined.rows[0].target_negatives == ("a30 sw",)


def test_texts_equal_after_normalisation_are_one():
    rows = [row(0), row(1, passage="A0\u00a0\u00a0P"), row(2, passage="a0 p\u200b"), row(30)]
    mined = mine(rows, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert {one.negatives for one in mined.rows[:3]} == {("a30 p",)}
    assert {one.target_negatives for one in mined.rows[:3]} == {("a30 sw",)}


def test_languages_and_bridges_stay_apart():
    rows = [row(a, language) for a in (0, 20, 40) for language in ("sw", "yo")]
    rows += [row(a, "fon", bridge="fr", query=f"a{a} fr q", passage=f"a{a} fr p") for a in (1, 21)]
    mined = mine(rows, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert [r.target_negatives for r in mined.rows[:2]] == [("a20 sw",), ("a20 yo",)]
    assert mined.rows[0].negatives == ("a20 p",)  # and not the French one at 1 degree
    assert (mined.rows[6].negatives, mined.rows[6].target_negatives) == (("a21 fr p",), ("a21 fon",))


def test_rows_without_target_query_get_passages_only():
    rows = [*FIVE[:3], Row("a4 q", "a4 p")]
    mined = mine(rows, circle, negatives=1, target_negatives=1, window=(1, 1))
    assert (mined.rows[3].negatives, mined.rows[3].target_negatives) == (("a0 p",), ())
    assert mined.rows[0].target_negatives == ("a10 sw",)
    english = [replace(r, target_query=None, language=None) for r in FIVE]
    assert mine(english, circle, negatives=1, window=(1, 5)).rows[0].target_negatives == ()


def test_margin_is_relative_to_the_positive():
    # The positive stands at 60 degrees: cosine 0.5, less 5 % is 0.475, which is 61.64 degrees.
    rows = [row(0, passage="a60 p"), row(30), row(61), row(62), row(90)]
    mined = mine(rows, circle, negatives=2, target_negatives=0, window=(1, 4), margin=0.05)
    assert mined.rows[0].negatives == ("a62 p", "a90 p")
    assert mined.topped_up_passages == 0


def test_margin_lowers_the_limit_of_a_negative_positive_too():
    # cos 120 = -0.5; less 5 % of 0.5 is -0.525: 121.7 degrees.
    rows = [row(0, passage="a120 p"), row(30), row(121), row(122), row(130)]
    mined = mine(rows, circle, negatives=2, target_negatives=0, window=(1, 4), margin=0.05)
    assert mined.rows[0].negatives == ("a122 p", "a130 p")


def test_max_score_is_a_cosine():
    mined = mine(FIVE, circle, negatives=1, target_negatives=1, window=(1, 3), max_score=math.cos(math.radians(30)))
    assert mined.rows[0].negatives == ("a45 p",)
    assert mined.rows[0].target_negatives == ("a45 sw",)


def test_tops_up_with_random_others_and_counts_the_rows():
    # Ranks 4 and 5 are asked for, and there are 4: one is drawn from the others.
    mined = mine(FIVE, circle, negatives=2, target_negatives=0, window=(4, 5))
    assert mined.rows[0].negatives[0] == "a70 p"
    assert mined.rows[0].negatives[1] in {"a10 p", "a25 p", "a45 p"}
    assert (mined.topped_up_passages, mined.topped_up_queries, mined.above_limit) == (5, 0, 0)


TEN = [row(a) for a in range(0, 100, 10)]


@pytest.mark.parametrize("seed", range(5))
def test_topped_up_negatives_keep_max_score(seed):
    # Around 0 the window holds 10 and 20 degrees; cosine 0.6 is 53.1 degrees: 60, 70, 80 and 90 are left.
    options = {"negatives": 3, "target_negatives": 3, "window": (1, 3), "max_score": 0.6, "seed": seed}
    mined = mine(TEN, circle, **options)
    assert {angle(text) for text in mined.rows[0].negatives} < {60, 70, 80, 90}
    assert {angle(text) for text in mined.rows[0].target_negatives} < {60, 70, 80, 90}
    # From 50 nothing is that far: the farthest are taken.
    assert {angle(text) for text in mined.rows[5].negatives} == {0, 10, 90}


def test_topped_up_negatives_keep_the_margin():
    # The positive of row 0 stands at 45 degrees: cosine 0.707, less 10 % is 0.636, which is 50.5 degrees.
    rows = [row(0, passage="a45 p"), *TEN[1:]]
    mined = mine(rows, circle, negatives=3, target_negatives=0, window=(1, 3), margin=0.1)
    assert {angle(text) for text in mined.rows[0].negatives} < {60, 70, 80, 90}


def test_where_too_few_keep_the_limit_the_lowest_are_taken_and_the_rows_counted(caplog):
    # Cosine 0.51 is 59.3 degrees. Row 0 and row 10 have one that far (70), row 70 has two (10 and 0), rows 25 and 45
    # have none.
    mined = mine(FIVE, circle, negatives=2, target_negatives=0, window=(3, 4), max_score=0.51)
    assert [one.negatives for one in mined.rows] == [
        ("a70 p", "a45 p"),
        ("a70 p", "a45 p"),
        ("a70 p", "a0 p"),
        ("a0 p", "a10 p"),
        ("a10 p", "a0 p"),
    ]
    assert (mined.topped_up_passages, mined.above_limit) == (4, 4)
    assert "4 rows have negatives that score above margin or max_score" in caplog.text


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 90), min_size=8, max_size=25, unique=True),
    st.integers(1, 4),
    st.integers(1, 6),
    st.none() | st.floats(0, 0.5),
    st.none() | st.floats(0, 1),
    st.integers(0, 5),
)
def test_negatives_keep_margin_and_max_score(angles, wanted, low, margin, most, seed):
    window = (low, low + wanted - 1)
    limits = {"margin": margin, "max_score": most}
    mined = mine(
        [row(a) for a in angles], circle, negatives=wanted, target_negatives=0, window=window, seed=seed, **limits
    )
    limit = min(1 - (margin or 0), 1 if most is None else most)  # the positive's cosine is 1
    above = 0
    for one in mined.rows:
        scores = [math.cos(math.radians(angle(text) - angle(one.query))) for text in one.negatives]
        assert len(set(one.negatives)) == wanted
        if max(scores) > limit + 1e-5:
            above += 1
            others = sorted(math.cos(math.radians(a - angle(one.query))) for a in angles if a != angle(one.query))
            assert sorted(scores)[-1] <= others[wanted - 1] + 1e-5  # no lower ones were left
    assert above <= mined.above_limit


def test_tops_up_where_the_window_lies_beyond_the_last_text():
    mined = mine(FIVE, circle, negatives=4, target_negatives=4, window=(10, 100))
    assert (mined.topped_up_passages, mined.topped_up_queries) == (5, 5)
    assert set(mined.rows[0].negatives) == {"a10 p", "a25 p", "a45 p", "a70 p"}


def test_a_large_pool_is_topped_up_without_right_answers():
    rows = [row(a / 10) for a in range(200)]
    mined = mine(rows, circle, negatives=5, target_negatives=5, window=(196, 200))  # of 199
    assert mined.topped_up_passages == mined.topped_up_queries == 200
    for one in mined.rows:
        assert len(set(one.negatives) - {one.passage}) == len(set(one.target_negatives) - {one.target_query}) == 5


def test_too_few_texts_say_how_many_there_are():
    with pytest.raises(InputError, match=r"row 1 \(en\): only 4 other texts to take 5 negative passages from"):
        mine(FIVE, circle)
    rows = [*FIVE, row(80), row(90, "yo")]
    with pytest.raises(InputError, match=r"row 7 \(yo over en\): only 0 other texts .* target queries .* at most 0"):
        mine(rows, circle)


def refused(texts, kind):
    raise AssertionError(f"{kind} texts are embedded for nothing")


def test_what_nobody_asks_for_is_not_embedded():
    embedded = []

    def noted(texts, kind):
        embedded.append((kind, texts[0].split()[1]))
        return circle(texts, kind)

    nothing = mine(FIVE, refused, negatives=0, target_negatives=0)
    assert (nothing.rows, nothing.topped_up_passages, nothing.above_limit) == (tuple(FIVE), 0, 0)
    english = [replace(r, target_query=None, language=None) for r in FIVE]
    assert mine(english, refused, negatives=0).rows == tuple(english)
    mine(FIVE, noted, negatives=1, target_negatives=0, window=(1, 1))
    assert sorted(embedded) == [("passage", "p"), ("query", "q")]
    embedded.clear()
    mine(FIVE, noted, negatives=0, target_negatives=1, window=(1, 1), mine_target="target")
    assert sorted(embedded) == [("passage", "p"), ("query", "sw")]  # the bridge queries are not ranked


def test_too_few_texts_are_told_before_anything_is_embedded():
    with pytest.raises(InputError, match="only 4 other texts to take 5 negative passages from"):
        mine(FIVE, refused)
    with pytest.raises(InputError, match="only 4 other texts to take 5 negative target queries from"):
        mine(FIVE, refused, negatives=1)


@pytest.mark.parametrize(
    "options", [{"window": (0, 10)}, {"window": (20, 10)}, {"window": (1, 4)}, {"negatives": -1}, {"mine_target": "x"}]
)
def test_settings_that_cannot_work_are_refused(options):
    with pytest.raises(ValueError, match="MineSettings"):
        mine(FIVE, circle, **options)


def angle(text):
    return float(re.match(r"a([\d.]+)", text)[1])


def reference(one, rows, depth):
    """The distances of ranks 1 to ``depth``, the slow and obvious way (bridge mining), and what may stand there."""
    translations = {r.target_query for r in rows if r.query == one.query}
    same_question = [r for r in rows if r.query == one.query or r.target_query in translations]
    passages = {r.passage for r in rows} - {r.passage for r in same_question}
    questions = {r.query for r in rows if r.passage == one.passage}
    first_query = {}
    for r in rows:
        first_query.setdefault(r.target_query, r.query)
    targets = set(first_query) - {r.target_query for r in rows if r.query in questions}
    near = sorted(abs(angle(p) - angle(one.query)) for p in passages)[:depth]
    near_targets = sorted(abs(angle(first_query[t]) - angle(one.passage)) for t in targets)[:depth]
    return passages, near, targets, near_targets, first_query


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 11)] * 3), min_size=1, max_size=30), st.integers(1, 3), st.integers(1, 40))
def test_agrees_with_the_slow_way_in_any_block_size(links, wanted, block):
    rows = [Row(f"a{7 * q} q", f"a{7 * p + 3} p", f"a{7 * t} sw", "sw") for q, p, t in links]
    expected = [reference(one, rows, wanted) for one in rows]
    if any(len(near) < wanted or len(near_targets) < wanted for _, near, _, near_targets, _ in expected):
        return  # too few texts: an error, tested above
    before, module.BLOCK = module.BLOCK, block
    try:
        mined = mine(rows, circle, negatives=wanted, target_negatives=wanted, window=(1, wanted))
    finally:
        module.BLOCK = before
    for one, (passages, near, targets, near_targets, first_query) in zip(mined.rows, expected, strict=True):
        assert set(one.negatives) <= passages
        assert [abs(angle(p) - angle(one.query)) for p in one.negatives] == near
        assert set(one.target_negatives) <= targets
        assert [abs(angle(first_query[t]) - angle(one.passage)) for t in one.target_negatives] == near_targets


def test_encodes_each_text_once_with_its_prompt_and_finds_hard_negatives(minilm_path, tmp_path):
    from clearir.models.load import load_model

    model = load_model(minilm_path, device="cpu")
    pairs = [
        ("How do I boil an egg?", "Put the egg into boiling water for eight minutes.", "Wie koche ich ein Ei?"),
        ("How do I fry an egg?", "Heat butter in a pan and break the egg into it.", "Wie brate ich ein Ei?"),
        (
            "Who was the first person on the moon?",
            "Armstrong walked on the moon in 1969.",
            "Wer war zuerst auf dem Mond?",
        ),
        (
            "When did people land on the moon?",
            "The lunar module touched down in July 1969.",
            "Wann war die Mondlandung?",
        ),
    ]
    rows = [Row(q, p, t, "de") for q, p, t in pairs]
    options = {"negatives": 1, "target_negatives": 1, "window": (1, 1), "cache": tmp_path}
    mined = mine(rows, model, prompts={"query": "query: "}, **options)
    assert [r.negatives[0] for r in mined.rows] == [pairs[i][1] for i in (1, 0, 3, 2)]
    assert [r.target_negatives[0] for r in mined.rows] == [pairs[i][2] for i in (1, 0, 3, 2)]
    assert mine(rows, model, prompts={"query": "query: "}, **options).rows == mined.rows


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, clearir.training.mine;"
        "print(sorted({'torch', 'sentence_transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
