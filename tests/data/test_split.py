from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row
from clearir.data.split import Split, decontaminate, group, split
from clearir.support.errors import InputError

WORDS = ["apple", "bread", "cloud", "drum", "eagle", "field", "glass", "horse", "ivory", "jar", "kite", "lamp"]


def passage(seed: int, length: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def same(rows: list[Row]) -> list[set[int]]:
    """The groups, each as the set of the places of its rows."""
    numbers = group(rows)
    found = ({i for i, other in enumerate(numbers) if other == number} for number in dict.fromkeys(numbers))
    return sorted(found, key=min)


def sizes(parts: Split) -> list[dict[str | None, int]]:
    return [dict(Counter(row.language for row in side)) for side in (parts.test, parts.dev, parts.train)]


ROWS = [
    *(Row(f"question {i}", passage(i), f"Frage {i}", "de", passage_id=f"p{i}") for i in range(60)),
    *(Row(f"question {i}", passage(i), f"kysymys {i}", "fi", passage_id=f"p{i}") for i in range(10)),
]


def test_rows_of_a_passage_hang_together() -> None:
    rows = [
        Row("a", "The  Moon\n is full."),
        Row("b", "the moon is ｆull."),  # the same after NFKC, case folding and squeezing of white space
        Row("c", "Of something else.", passage_id="p"),
        Row("d", "Of another thing.", passage_id="p"),
        Row("e", "A third matter.", target_passage="Der Mond."),
        Row("f", "A fourth matter.", target_passage="der  mond."),
        Row("g", "Alone."),
        Row("h", "A first section.", page_id="p"),  # a page's id is none of a passage
        Row("i", "A second section.", page_id="p"),
    ]
    assert same(rows) == [{0, 1}, {2, 3}, {4, 5}, {6}, {7, 8}]


def test_what_hangs_together_over_a_third_row_does_too() -> None:
    rows = [Row("a", "One.", passage_id="p"), Row("b", "Two."), Row("c", "two.", passage_id="p")]
    assert same(rows) == [{0, 1, 2}]


def test_near_duplicates_hang_together_and_relatives_do_not() -> None:
    words = passage(1, length=100).split()
    nearly = [*words[:50], "zebra", *words[51:]]  # 3 of 98 runs of three words differ: 95 / 101 = 0.94 in common
    half = [*words[:50], *passage(2, length=50).split()]  # 48 of 98 are the same: 48 / 148 = 0.32 in common
    rows = [Row("a", " ".join(words)), Row("b", " ".join(nearly)), Row("c", " ".join(half))]
    assert same(rows) == [{0, 1}, {2}]


def test_near_duplicates_where_no_spaces_are_written() -> None:
    text = "春夏秋冬東西南北上下左右大小長短高低遠近明暗新旧強弱重軽早遅広狭深浅"
    rows = [Row("a", text), Row("b", text[:-1] + "海"), Row("c", text[::-1])]
    assert same(rows) == [{0, 1}, {2}]


def test_the_sizes_are_those_asked_for() -> None:
    parts = split(ROWS, test={"de": 12, "fi": 4}, dev={"deu": 5}, seed=3)
    assert sizes(parts) == [{"de": 12, "fi": 4}, {"de": 5}, {"de": 60 - 12 - 5, "fi": 10 - 4}]
    assert parts.groups == 60


def test_a_share_is_taken_of_every_language() -> None:
    parts = split(ROWS, test=0.1, dev=0.2)
    assert sizes(parts) == [{"de": 6, "fi": 1}, {"de": 12, "fi": 2}, {"de": 42, "fi": 7}]
    assert sizes(split(ROWS, test=2))[0] == {"de": 2, "fi": 2}


def test_a_language_that_is_not_named_follows_its_passages() -> None:
    assert sizes(split(ROWS, test={"fi": 0.5}))[0] == {"fi": 5, "de": 5}
    with pytest.raises(InputError, match="none of the 5 rows wanted in 'fi' can be held out, because"):
        split(ROWS, test={"fi": 5, "de": 0})


def test_a_rare_language_gets_its_rows_although_a_common_one_has_all_its_passages() -> None:
    assert sizes(split(ROWS, test={"de": 10, "fi": 9}))[0] == {"de": 10, "fi": 9}


def test_no_passage_is_on_two_sides() -> None:
    parts = split(ROWS, test=0.2, dev=0.2, seed=5)
    ids = [{row.passage_id for row in side} for side in (parts.train, parts.dev, parts.test)]
    assert sum(map(len, ids)) == len(set().union(*ids)) == 60


def test_the_order_of_the_rows_plays_no_part_and_the_seed_does() -> None:
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    one, two, other = split(ROWS, seed=1), split(shuffled, seed=1), split(ROWS, seed=2)
    assert set(one.test) == set(two.test)
    assert set(one.test) != set(other.test)
    assert list(one.train) == [row for row in ROWS if row in one.train]


def test_rows_without_a_target_count_for_the_bridge() -> None:
    rows = [Row(f"q{i}", passage(i)) for i in range(10)]
    assert len(split(rows, test={"en": 3}).test) == 3
    assert len(split([replace(row, bridge="fr") for row in rows], test={"fr": 3}).test) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": {"de": 50}, "dev": {"de": 10}}, "test and dev together ask for 60 of the 60 rows of 'de'"),
        ({"test": 1.0}, "ask for 60 of the 60 rows of 'de', which leaves none for training; ask for less"),
        ({"test": {"sw": 5}}, "test: no rows in 'sw'; there are rows in de, fi"),
        ({"test": {"de": 5, "deu": 6}}, "test: 'de' is given twice, also as 'deu'; give it once"),
        ({"dev": {"xx": 5}}, "unknown language code 'xx'"),
        ({"test": -1}, "test is -1; write a share such as 0.1, or a number of rows"),
        ({"test": {"de": "many"}}, "test is 'many'; write a share"),
        ({"dev": float("nan")}, "dev is nan; write a share"),
    ],
)
def test_sizes_that_cannot_be_had(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(ROWS, **options)


def test_a_group_that_is_too_large_is_never_cut(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row(f"q{i}", "One and the same.", f"F{i}", "de") for i in range(20)]
    with pytest.raises(InputError, match="none of the 5 rows wanted in 'de' can be held out"):
        split(rows, test=5)
    parts = split([*rows, Row("q", "Another.", "F", "de")], test=5)
    assert [row.passage for row in parts.test] == ["Another."]
    assert "test has 1 rows of 'de'; 5 were wanted" in caplog.text


row = st.builds(
    Row,
    query=st.just("q"),
    passage=st.sampled_from("abcdefgh"),
    target_query=st.sampled_from("xyz"),
    language=st.sampled_from(["de", "fi", "sw"]),
    passage_id=st.none() | st.sampled_from("123456"),
    page_id=st.none() | st.sampled_from("123456"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(row, min_size=1, max_size=30), st.sampled_from([0, 0.1, 0.3, 1, 3]), st.randoms(), st.integers())
def test_every_row_is_on_one_side_and_every_group_too(rows: list[Row], size: Any, shuffle: Any, seed: int) -> None:
    try:
        parts = split(rows, test=size, dev=size, seed=seed)
    except InputError:
        return
    sides = [parts.train, parts.dev, parts.test]
    assert Counter(one for side in sides for one in side) == Counter(rows)
    assert parts.train
    for key in ("passage", "passage_id", "page_id"):
        values = [{getattr(one, key) for one in side} - {None} for side in sides]
        assert sum(map(len, values)) == len(set().union(*values))
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    assert Counter(split(shuffled, test=size, dev=size, seed=seed).test) == Counter(parts.test)


THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"query": "  WATER falls? "}, "query equals an evaluation text"),
        ({"target_query": "Water falls?"}, "query equals an evaluation text"),
        ({"passage": "water ｆalls?"}, "passage equals an evaluation text"),
        ({"passage": "\ufeffWater fa\u00adlls?\u200b"}, "passage equals an evaluation text"),
        ({"target_passage": "Water falls?"}, "passage equals an evaluation text"),
        ({"passage": f"But {THIRTEEN.upper()}, and on."}, "passage shares 13 words with an evaluation text"),
        ({"passage": THIRTEEN.replace(" ", "\u200b \u200b")}, "passage shares 13 words with an evaluation text"),
        ({"query": f"why {THIRTEEN}?"}, "query shares 13 words with an evaluation text"),
        ({"passage": f"But {THIRTEEN.rpartition(' ')[0]} and on."}, None),  # 12
        ({"negatives": ("Water falls?",)}, None),  # a negative is not learned as an answer
    ],
)
def test_decontaminate(changed: dict[str, Any], reason: str | None) -> None:
    clean = Row("Who sings?", "The lark sings.", "Wer singt?", "de", target_passage="Die Lerche singt.")
    rows = [clean, replace(clean, **changed)]
    left, dropped = decontaminate(rows, ["Water falls?", f"{THIRTEEN} fourteen"])
    assert list(left) == (rows if reason is None else [clean])
    assert dropped == ({} if reason is None else {reason: 1})


def test_vowel_signs_do_not_cut_words() -> None:
    hindi = "नदी का पानी ठंडा है और लोग यहाँ तैरते हैं"  # 10 words, with 10 signs in them
    rows = [Row("Who sings?", f"{hindi} बहुत।")]
    assert decontaminate(rows, [f"{hindi} कम।"]) == (tuple(rows), {})


def test_afriqas_passages_are_on_one_side(shared_data: Any) -> None:
    from clearir.data.sources.afriqa import read

    rows = list(read(shared_data / "afriqa" / "gold_passages", languages=["ha", "ig"], on_bad="skip"))
    parts = split(rows, test=0.2, seed=1)
    held_out = {" ".join(row.passage.casefold().split()) for row in parts.test}
    assert not any(" ".join(row.passage.casefold().split()) in held_out for row in parts.train)
    assert sizes(parts)[0] == {"ha": round(0.2 * 445), "ig": round(0.2 * 612)}
