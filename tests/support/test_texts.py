from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearir.support.texts import clean, clip, is_blank, text_key, words

TEXT = "Case 0: the river flows to the sea."
# zero-width space, byte order mark, soft hyphen, word joiner, left-to-right mark, variation selector
INVISIBLE = ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\ufe0f"]


@pytest.mark.parametrize(
    "other",
    [
        *(f"{one}{TEXT}" for one in INVISIBLE),
        *(f"{TEXT}{one}" for one in INVISIBLE),
        *(TEXT.replace("river", f"ri{one}ver") for one in INVISIBLE),
        TEXT.replace(" ", "\u200b \u200b"),
        f"\u202a{TEXT}\u202c",  # in an embedding of text from left to right
        f"\u2067{TEXT}\u2069",
        TEXT.upper(),
        TEXT.replace(" ", "\u00a0"),
        TEXT.replace(" ", "\u3000 \t"),
        f" {TEXT}\n",
        TEXT.replace("C", "\uff23"),  # a full-width C
    ],
)
def test_what_a_reader_takes_for_the_same_text_is_the_same(other):
    assert other != TEXT
    assert text_key(other) == text_key(TEXT)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("é", "e\u0301"),
        ("e\u00ad\u0301", "é"),  # what stood between a letter and its accent is gone
        ("Straße", "STRASSE"),
        ("می\u200cخواهم", "میخواهم"),  # with and without the joiner that Persian writes or leaves out
    ],
)
def test_letters_written_in_two_ways_are_the_same(one, two):
    assert text_key(one) == text_key(two)


@pytest.mark.parametrize(("one", "two"), [("Rain.", "Rain"), ("case 0", "case 1"), ("a b", "ab"), ("", "a")])
def test_what_a_reader_tells_apart_stays_apart(one, two):
    assert text_key(one) != text_key(two)


@given(st.text())
def test_a_key_is_its_own_key(text):
    assert text_key(text_key(text)) == text_key(text)
    assert is_blank(text) == (text_key(text) == "")


def test_a_text_without_anything_to_see_is_blank():
    assert is_blank("")
    assert is_blank(" \u200b\ufeff\n\u00ad")
    assert not is_blank(" \u200b.")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the river, number_0!", ["the", "river", "number_0"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),  # vowel signs are no ends of words
        ("e\u0301t\u0301", ["e\u0301t\u0301"]),
        ("東京 is 東", ["東", "京", "is", "東"]),  # where no spaces are written each character is a word
        ("...", []),
    ],
)
def test_words(text, found):
    assert words(text) == found


def test_every_white_space_is_blank():
    assert is_blank("".join(char for char in map(chr, range(0x3100)) if char.isspace()))


def test_clean_keeps_one_line_of_the_text_and_nothing_that_turns_it_round() -> None:
    assert clean("a\n\tb\u202egnol\u202c\u2066x\u2069\x00") == "a bgnolx"
    assert clean("\ud800") == "\ufffd"
    assert clean("abcdef", 4) == "abc…"


def test_long_text_ends_with_a_whole_word_if_one_is_near() -> None:
    assert clean("one two three", 11) == "one two th…"  # "one two" is too short
    assert clean("sixteen letters and more", 20) == "sixteen letters and…"
    assert len(clean("letters " * 50, 100)) <= 100


def test_clean_keeps_what_scripts_need() -> None:
    joined = "می\u200cخواهم"  # a zero-width non-joiner is spelling in Persian
    assert clean(joined) == joined


def test_a_text_is_clipped_where_it_is_longer():
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "abc ..."
