from __future__ import annotations

import pytest

from clearir.search.highlight import around, sentences, shares_words, with_words


def marked(text: str, query: str) -> list[str]:
    parts = with_words(text, query)
    assert "".join(part for part, _ in parts) == text
    return [part for part, here in parts if here]


@pytest.mark.parametrize(
    ("text", "query", "words"),
    [
        ("Delete files for good", "how to delete a file", ["Delete", "files"]),  # short endings, any case
        ("Formatierung", "form", []),  # another word
        ("How to do it", "how to do", []),  # words of less than four letters
        ("L’objet supprimé", "objet supprime", ["L’objet", "supprimé"]),  # apostrophes and accents
        ("гра в шахи", "Шахи", ["шахи"]),
        ("फ़ाइल हटाएँ", "फ़ाइल", ["फ़ाइल"]),  # vowel signs are no ends of words
        ("nothing", "", []),
    ],
)
def test_words_of_the_query_are_found(text, query, words):
    assert marked(text, query) == words


def test_a_passage_in_the_language_of_the_query_has_half_of_its_words():
    assert shares_words("You can delete a file.", "delete file forever") is True
    assert shares_words("You can open a file.", "delete file forever") is False
    assert shares_words("GNOME opens files.", "GNOME फ़ाइलें हटाएँ") is False
    assert shares_words("The file", "the") is False  # no word that is long enough


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! “Three?” Four", ["One.", "Two!", "“Three?”", "Four"]),
        ("Open it, e.g. this one. 1. Click OK.", ["Open it, e.g. this one.", "1. Click OK."]),
        ("Version 2.5 is out.\nA line\n\n another", ["Version 2.5 is out.", "A line", "another"]),
        ("पहला वाक्य। दूसरा।", ["पहला वाक्य।", "दूसरा।"]),
        ("日本語。これ。", ["日本語。", "これ。"]),
        ("ما هذا؟ هذا كتاب.", ["ما هذا؟", "هذا كتاب."]),
        ("", []),
    ],
)
def test_sentences_end_where_readers_end_them(text, parts):
    assert [text[begin:end] for begin, end in sentences(text)] == parts


def test_a_sentence_is_shown_with_what_is_around_it():
    text = "One.\nTwo here. Three."
    assert around(text, 5, 14, 100) == ("One. ", "Two here.", " Three.")
    assert around(text, 0, 4, 100) == ("", "One.", " Two here. Three.")
    assert around("日本語。これ。", 4, 7, 100) == ("日本語。", "これ。", "")


def test_a_sentence_far_down_comes_first():
    text = "word " * 50 + "end. The one. " + "more " * 50
    begin = text.index("The one.")
    before, sentence, after = around(text, begin, begin + 8, 60)
    assert (before, sentence) == ("… ", "The one.")
    assert after.startswith(" more more")
    assert len(before + sentence + after) <= 63
