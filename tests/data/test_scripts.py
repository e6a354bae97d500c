from __future__ import annotations

from clearir.data.scripts import scripts_of, share_in_script


def test_scripts_are_known_by_language():
    assert scripts_of("uk") == ("CYRILLIC",)
    assert scripts_of("zh-Hant") == ("CJK", "BOPOMOFO")
    assert scripts_of("am") == ("ETHIOPIC",)
    assert scripts_of("yo") == ("LATIN",)


def test_the_share_of_a_texts_letters():
    assert share_in_script("Мост bridge 7", "uk") == 4 / 10
    assert share_in_script("7?", "uk") is None
    assert share_in_script("ᎣᏏᏲ", "chr") is None  # a script that is not among ours
