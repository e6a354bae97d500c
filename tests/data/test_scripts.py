from __future__ import annotations

import pytest

from clearir.data.scripts import script_of, scripts_of, share_in_script


def test_scripts_are_known_by_language():
    assert scripts_of("uk") == {"Cyrl"}
    assert scripts_of("zh-Hant") == {"Hani", "Bopo"}
    assert scripts_of("ja") == {"Hira", "Kana", "Hani"}
    assert scripts_of("am") == {"Ethi"}
    assert scripts_of("yo") == scripts_of("sr-Latn") == {"Latn"}
    assert scripts_of("zgh-Zsye") is None  # emoji are no script


def test_the_share_of_a_texts_letters():
    assert share_in_script("Мост bridge 7", "uk") == 4 / 10
    assert share_in_script("7?", "uk") is None
    assert share_in_script("Мост", "zgh-Zsye") is None
    assert share_in_script("ᎣᏏᏲ", "chr") == 1
    assert share_in_script("ｆｕｌｌ", "en") == 1  # of full width
    assert share_in_script("データ、々", "ja") == 1  # a long vowel, and a sign that says a character again


def test_letters_that_scripts_share_do_not_count():
    assert share_in_script("ʻokina", "haw") == 1
    assert share_in_script("ʻ", "haw") is None
    assert share_in_script("ـب", "ar") == 1  # the stroke that draws words out is of Arabic and of Syriac
    assert share_in_script("ـب", "en") == 0


@pytest.mark.parametrize(
    ("letters", "script"),
    [("aéａª", "Latn"), ("я", "Cyrl"), ("कि", "Deva"), ("ᱚ", "Olck"), ("ｶ", "Kana"), ("7.\u0301ー", None)],
)
def test_the_script_of_a_letter(letters, script):
    assert {script_of(letter) for letter in letters} == {script}
