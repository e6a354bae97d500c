from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clearir.data.rows import Row, Rows
from clearir.data.sources import help_html, read
from clearir.data.split import split
from clearir.support.errors import InputError

SAVE = "Press the button with the disk to save the document."
SPEICHERN = "Mit der Taste, auf der eine Diskette ist, wird das Dokument gespeichert."


def page(*sections: tuple[str, str, str]) -> str:
    """A page of sections, each an id, a heading and paragraphs that a line break parts."""
    texts = (
        f"<h2 id='{name}'>{heading}</h2>" + "".join(f"<p>{text}</p>" for text in body.split("\n"))
        for name, heading, body in sections
    )
    return "".join(texts)


def folder_of(tmp_path: Path, pages: dict[str, str]) -> Path:
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def read_pair(tmp_path: Path, english: str, german: str) -> tuple[list[Row], Counter[str]]:
    """Rows of a page in two languages, and what was left out. A row that is always there keeps it from being empty."""
    kept = [("kept", "A section that is kept", "Some text for the section."), ("", "", "")]
    ours = [("kept", "Ein Abschnitt, der bleibt", "Etwas Text im Abschnitt."), ("", "", "")]
    folder_of(tmp_path, {"en/kept.html": page(kept[0]), "de/kept.html": page(ours[0])})
    folder_of(tmp_path, {"en/save.html": english, "de/save.html": german})
    skipped: Counter[str] = Counter()
    rows = list(help_html.read(tmp_path, skipped=skipped))
    return [row for row in rows if row.page_id != "kept.html"], +skipped


def test_a_heading_is_a_query_and_the_text_under_it_the_passage(tmp_path: Path) -> None:
    english = page(("save", "Saving a document:", f"{SAVE}\nThat is all."))
    rows, skipped = read_pair(tmp_path, english, page(("save", "Dokument speichern", f"{SPEICHERN}\nDas ist alles.")))
    assert rows == [
        Row(
            query="Saving a document",
            passage=f"{SAVE}\nThat is all.",
            target_query="Dokument speichern",
            language="de",
            target_passage=f"{SPEICHERN}\nDas ist alles.",
            passage_id="save.html#save",
            query_id="save.html#save",
            page_id="save.html",
        )
    ]
    assert not skipped


TITLE = ("title", "Saving", "How documents are kept for later use.")
TITEL = ("title", "Speichern", "Wie man Dokumente aufhebt, um sie später zu benutzen.")


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ([("a", "…", SAVE)], "heading without words"),
        ([("", "Save all of it", SAVE)], "heading without an id of its own"),
        ([("title", "Save all of it", SAVE)], "heading without an id of its own"),
        ([("a", "Save all of it", "")], "section without text"),
        ([("a", "Save all of it", "Save all of it")], "section without text"),
        ([("a", "Save all of it", "Only 18 letters here")], "section without text"),
        ([("a", "Save all of it", "How documents are KEPT for later use")], "text of an earlier section"),
        ([("a", "Save all", SAVE)], "label of less than 3 words"),
        ([("a", "a section that is  KEPT!", SAVE)], "heading of several sections"),
    ],
)
def test_what_english_sections_are_left_out(sections: list[Any], reason: str, tmp_path: Path) -> None:
    german = [(name, f"Deutsch: {heading}", SPEICHERN) for name, heading, _ in sections]
    rows, skipped = read_pair(tmp_path, page(TITLE, *sections), page(TITEL, *german))
    assert skipped[reason] == (2 if reason == "heading of several sections" else 1)
    assert "save.html#a" not in {row.passage_id for row in rows}


def test_a_heading_that_is_not_translated_is_left_out(tmp_path: Path) -> None:
    english = page(("a", "Save all of it", SAVE), ("b", "Save some of it", "Choose what is to be saved, and press it."))
    german = page(("a", "Save all of it.", SPEICHERN), ("b", "Teile speichern", "Wählen, was gespeichert wird."))
    rows, skipped = read_pair(tmp_path, english, german)
    assert [row.query for row in rows] == ["Save some of it"]
    assert skipped == {"heading not translated": 1}


def test_a_target_heading_of_several_sections_is_left_out(tmp_path: Path) -> None:
    english = page(("a", "Save all of it", SAVE), ("b", "Store all of it", "Choose what is to be saved, and press it."))
    german = page(("a", "Alles speichern", SPEICHERN), ("b", "Alles Speichern", "Wählen, was gespeichert wird."))
    rows, skipped = read_pair(tmp_path, english, german)
    assert not rows
    assert skipped == {"target heading of several sections": 2}


@pytest.mark.parametrize("damaged", [("Dokument \x9aspeichern", SPEICHERN), ("Dokument speichern", f"\x98{SPEICHERN}")])
def test_translations_with_control_characters_are_damaged(tmp_path: Path, damaged: tuple[str, str]) -> None:
    english, german = page(("save", "Saving a document", SAVE)), page(("save", *damaged))
    rows, skipped = read_pair(tmp_path, english, german)
    assert (rows, skipped) == ([], {"damaged letters in the translation": 1})


def test_headings_that_differ_in_a_vowel_sign_are_two(tmp_path: Path) -> None:
    english = page(
        ("a", "What is the matter", SAVE), ("b", "What is the time", "It stands in the corner of the screen.")
    )
    rows, skipped = read_pair(tmp_path, english, page(("a", "कल", SPEICHERN), ("b", "काल", "Es steht in der Ecke.")))
    assert [row.target_query for row in rows] == ["कल", "काल"]
    assert not skipped


@pytest.mark.parametrize(
    ("english", "german", "expected"),
    [
        ("12345678 a\nmore text for it", "12345678 a\nelf Zeichen", "elf Zeichen"),  # 11 of 10 + 11 are translated
        ("12345678 a\nmore text for it", "12345678 a\nzehn zeich", None),  # 10 of 10 + 10: no more than half
        (SAVE, SAVE, None),
        (SAVE, "", None),
    ],
)
def test_text_that_is_not_translated_is_no_target_passage(
    english: str, german: str, expected: str | None, tmp_path: Path
) -> None:
    rows, skipped = read_pair(tmp_path, page(("a", "Save all of it", english)), page(("a", "Alles speichern", german)))
    assert [row.target_passage for row in rows] == [expected]
    assert not skipped


def test_sections_of_a_page_stand_on_one_side_of_a_split(tmp_path: Path) -> None:
    words = ["apple", "bread", "cloud", "drum", "eagle", "field", "glass", "horse", "ivory", "jar", "kite", "lamp"]
    for p, noun in enumerate(words):
        text = [(f"{v}", f"How to {v} the {noun}", f"{noun} {v} {v}ing {noun} {noun}s of {v}") for v in words]
        folder_of(tmp_path, {f"en/{p}.html": page(*text)})
        folder_of(tmp_path, {f"de/{p}.html": page(*((v, f"{h} auf deutsch", f"{b} auf deutsch") for v, h, b in text))})
    parts = split(Rows.collect(help_html.read(tmp_path)).rows, test=0.25)
    assert len(parts.test) == 12 * 12 // 4
    assert not {row.page_id for row in parts.test} & {row.page_id for row in parts.train}


def test_the_corpus_has_what_can_be_found_translated_or_not(tmp_path: Path) -> None:
    folder_of(
        tmp_path, {"en/a.html": page(TITLE, ("x", "Options", SAVE), ("y", "Options", "Other options of saving."))}
    )
    corpus = help_html.read_english(tmp_path)
    assert [(key, section.name) for key, section in corpus.items()] == [
        ("a.html#title", "Saving"),
        ("a.html#x", "Saving: Options"),
        ("a.html#y", "Saving: Options"),
    ]


def test_folders_are_languages(tmp_path: Path) -> None:
    english, german = page(("a", "Save all of it", SAVE)), page(("a", "Alles speichern", SPEICHERN))
    names = ["en-US", "de", "sr@latin", "ca", "ca-valencia", "pt_BR"]
    folder_of(tmp_path, {f"{name}/sub/a.html": german if name != "en-US" else english for name in names})
    folder_of(tmp_path, {"media/a.html": german, "fi/readme.txt": german, "readme.html": german})
    assert [row.language for row in help_html.read(tmp_path)] == ["ca", "de", "pt-BR", "sr-Latn"]
    assert [row.language for row in read("help-html", tmp_path, languages=["deu"])] == ["de"]
    with pytest.raises(InputError, match="no language 'fi'; choose from ca, de, pt-BR, sr-Latn"):
        list(help_html.read(tmp_path, ["fi"]))
    folder_of(tmp_path, {"deu/a.html": german})
    with pytest.raises(InputError, match="de and deu are for the same language; move one away"):
        list(help_html.read(tmp_path))


def test_folders_without_english_pages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; give the folder with one subfolder per language"):
        help_html.read(tmp_path / "no")
    folder_of(tmp_path, {"de/a.html": page(TITEL)})
    with pytest.raises(InputError, match=r"no folder 'en' \(or en-US, C\) with \.html or \.htm or \.xhtml files in it"):
        help_html.read(tmp_path)
    folder_of(tmp_path, {"en/a.html": page(TITLE)})
    assert len(list(help_html.read(tmp_path))) == 1
