from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearir.data.texts import is_blank, text_key, words

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
