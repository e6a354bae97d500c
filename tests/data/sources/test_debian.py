from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row
from clearir.data.sources.debian import read, read_english
from clearir.support.errors import InputError

# Packages that do not exist. "tea" and "tea-doc" are a family: their texts begin with the same paragraph. "kettle-2"
# and "kettle-3" are one too, since numbers do not count. Two families are called "spoon".
ENGLISH = """\
Package: tea-doc
Description-md5: m1
Description-en: brews tea - documentation
 Tea is a program
 that brews   tea, version 1.
 .
 This package has the manual.

Package: tea
Description-md5: m2
Description-en: brews tea
 Tea is a program that brews tea, version 2.
 .
   * green
   * black

Package: kettle-2
Description-md5: m3
Description-en: boils water
 Kettle 2 boils.

Package: kettle-3
Description-md5: m4
Description-en: boils water
 Kettle 3 boils.

Package: spoon-steel
Description-md5: m5
Description-en: spoon
 A spoon of steel.

Package: spoon-wood
Description-md5: m6
Description-en: Spoon
 A spoon of wood.

Package: cup
Description-md5: m7
Description-en: holds tea
 A vessel.

Package: mug
Description-md5: m8
Description-en: transitional package for cup
 Remove it.

Package: task-tea-desktop
Description-md5: m11
Description-en: tea on the desktop
 This task localises the tea.

Package: saucer
Description-md5: m9
Description-en: nothing more to say

Package: tea
Description-md5: m10
Description-en: brews tea, with a security update
 Another text.
"""
GERMAN = """\
Package: tea
Description-md5: m2
Description-de: kocht Tee
 Tea ist ein Programm,
 das Tee kocht.
 .
 Grün und schwarz.

Package: kettle-3
Description-md5: m4
Description-de: kocht Wasser
 Kessel 3 kocht.

Package: spoon-steel
Description-md5: m5
Description-de: Löffel aus Stahl
 Ein Löffel aus Stahl.

Package: cup
Description-md5: m7
Description-de: Holds tea
 Ein Gefäß.
"""
TEA = "Tea is a program that brews tea, version 2.\n* green * black"
TEE = "Tea ist ein Programm, das Tee kocht.\nGrün und schwarz."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Translation-en").write_text(ENGLISH)
    (tmp_path / "Translation-de").write_text(GERMAN)
    return tmp_path


def test_rows_are_one_of_each_family(folder: Path) -> None:
    skipped: Counter[str] = Counter()
    assert list(read(folder, skipped=skipped)) == [
        Row("brews tea", TEA, "kocht Tee", "de", (), (), TEE, "tea", "tea"),
        Row("boils water", "Kettle 3 boils.", "kocht Wasser", "de", (), (), "Kessel 3 kocht.", "kettle-3", "kettle-3"),
    ]
    assert skipped == {
        "another package of its family": 2,  # tea-doc; kettle-2, which has no translation
        "query of several packages": 1,  # spoon-steel
        "translation is the English text": 1,  # cup
    }


def test_the_corpus_has_one_of_each_family_too(folder: Path) -> None:
    corpus = read_english(folder)
    assert list(corpus) == ["tea", "kettle-3", "spoon-steel", "spoon-wood", "cup"]
    assert corpus["tea"] == ("brews tea", TEA)
    for row in read(folder):
        assert corpus[row.passage_id or ""] == (row.query, row.passage)


def test_the_corpus_is_the_same_whichever_languages_are_read(folder: Path) -> None:
    (folder / "Translation-fi").write_text(
        "Package: kettle-2\nDescription-md5: m3\nDescription-fi: keittää vettä\n Kattila 2 keittää.\n"
    )
    # Each has one translation now, so the first name wins; German has none of kettle-2 and loses its row.
    assert [row.passage_id for row in read(folder, ["de"])] == ["tea"]
    assert [row.passage_id for row in read(folder, ["fin"])] == ["kettle-2"]
    assert [row.language for row in read(folder)] == ["de", "fi"]


def test_a_target_query_of_several_packages_is_left_out(folder: Path) -> None:
    (folder / "Translation-de").write_text(GERMAN.replace("kocht Wasser", "kocht Tee!"))
    skipped: Counter[str] = Counter()
    with pytest.raises(InputError, match="no rows"):
        list(read(folder, skipped=skipped))
    assert skipped["query of several packages"] == 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("Package: pot\nDescription-md5: m20\n Text.\n", r"Translation-de:24: an entry without a description; fetch"),
        ("Description-md5: m20\nDescription-de: Topf\n", r"Translation-de:24: an entry without 'Package'"),
        ("Package: pot\nDescription-de: Topf\n", r"Translation-de:24: an entry without 'Description-md5'"),
        ("<html>\n", r"Translation-de:24: an entry without 'Package'"),
        ("Package: \xff\n", r"Translation-de:24: byte 10 of the line is not UTF-8"),
    ],
)
def test_broken_entries_are_named_with_their_line(folder: Path, entry: str, message: str) -> None:
    (folder / "Translation-de").write_bytes(GERMAN.encode() + b"\n" + entry.encode("latin1"))
    with pytest.raises(InputError, match=message):
        list(read(folder))
    if "UTF-8" not in message:
        assert len(list(read(folder, on_bad="skip"))) == 2


def test_bad_folders_and_languages(folder: Path) -> None:
    with pytest.raises(InputError, match="no language 'fi'; choose from de"):
        read(folder, ["fi"])
    with pytest.raises(InputError, match="no such folder; fetch the descriptions first"):
        read(folder / "no")
    (folder / "Translation-en").unlink()
    with pytest.raises(InputError, match="no file Translation-en; fetch the descriptions again"):
        read_english(folder)


lines = st.sampled_from(
    ["Package: a", "Package: ", "Description-md5: m", "Description-de: x", "Description-en: y", " z", " .", "", "?"]
)


@settings(max_examples=100, deadline=None)
@given(english=st.lists(lines), german=st.lists(lines | st.text(max_size=5)))
def test_any_entries_give_rows_or_an_input_error(
    english: list[str], german: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "Translation-en").write_text("\n".join(english))
    (folder / "Translation-de").write_bytes("\n".join(german).encode(errors="surrogatepass"))
    try:
        rows = list(read(folder, on_bad="skip"))
    except InputError as error:
        rows = []
        assert str(folder) in str(error)  # noqa: PT017
    assert all(row.query and row.passage and row.target_query and row.target_passage for row in rows)
