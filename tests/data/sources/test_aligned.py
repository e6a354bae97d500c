from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from clearir.data.sources import aligned
from clearir.support.errors import InputError


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """A pair as Moses and OPUS have it."""
    english, finnish = tmp_path / "menu.en-fi.en", tmp_path / "menu.en-fi.fi"
    english.write_text("a dog\n a cat \n", encoding="utf-8")
    finnish.write_text("koira\nkissa", encoding="utf-8")  # no line break at the end
    return [english, finnish]


def test_line_by_line(pair: list[Path]) -> None:
    assert list(aligned.read_texts(pair)) == [{"en": "a dog", "fi": "koira"}, {"en": "a cat", "fi": "kissa"}]


def test_a_packed_file(pair: list[Path]) -> None:
    packed = pair[1].with_name("menu.fi.txt.gz")
    packed.write_bytes(gzip.compress(pair[1].read_bytes()))
    assert [group["fi"] for group in aligned.read_texts([pair[0], packed])] == ["koira", "kissa"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("corpus.om", "om"),
        ("help.om.txt", "om"),
        ("om.txt", "om"),
        ("GNOME.en-om.om", "om"),
        ("eng_Latn.devtest", "en"),  # FLORES-200
        ("zho_Hant.dev", "zh-Hant"),
        ("news.pt-BR.txt.gz", "pt-BR"),
        ("help.txt", None),
        ("README", None),
        ("train.csv", None),  # csv, tsv, ids and xml are codes of languages, too
        ("train.tsv.gz", None),
        ("GNOME.en-om.ids", None),
        ("GNOME.en-om.xml", None),
    ],
)
def test_the_language_in_a_name(name: str, code: str | None) -> None:
    assert aligned.language_in_name(Path(name)) == code


def test_files_of_unequal_lengths(pair: list[Path]) -> None:
    pair[0].write_text("a dog\na cat\na cow\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        list(aligned.read_texts(pair))
    assert str(raised.value) == (
        f"{pair[0]} has 3 lines and {pair[1]} has 2; line n of the one must be the translation of line n of the other"
    )


@pytest.mark.parametrize(("bad", "reason"), [(b" \xe2\x80\x8b", "an empty line"), (b"kiss\xe4", "byte 5 .* UTF-8")])
def test_a_bad_line_is_an_error_or_left_out(
    pair: list[Path], bad: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair[1].write_bytes(b"koira\n" + bad + b"\n")
    with pytest.raises(InputError, match=rf"menu\.en-fi\.fi:2: .*{reason}.*; .*leave such rows out with on_bad=skip"):
        list(aligned.read_texts(pair))
    assert list(aligned.read_texts(pair, on_bad="skip")) == [{"en": "a dog", "fi": "koira"}]
    assert "1 rows left out" in caplog.text


def test_names_and_numbers_of_files_that_do_not_do(pair: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("x\ny\n")
    with pytest.raises(InputError, match=r"notes\.txt: no language in the name of the file; name .* NAME\.om\.txt"):
        list(aligned.read_texts([pair[0], other]))
    again = tmp_path / "other.eng"
    again.write_text("x\ny\n")
    with pytest.raises(InputError, match=r"menu\.en-fi\.en and .*other\.eng are both in en; give one file"):
        list(aligned.read_texts([pair[0], again]))
    with pytest.raises(InputError, match=r"one language alone; give the file of each language, --data NAME\.en"):
        list(aligned.read_texts(pair[:1]))


def test_empty_files(pair: list[Path]) -> None:
    for path in pair:
        path.write_text("")
    with pytest.raises(InputError, match="no rows; check that this is the right file"):
        list(aligned.read_texts(pair))


def test_the_texts_of_a_folder(pair: list[Path], tmp_path: Path) -> None:
    for name in ("README", "LICENSE", "menu.en-fi.ids", "rows.tsv", ".menu.sw"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sw").mkdir()
    assert aligned.texts_in(tmp_path) == pair


def test_a_table_with_a_column_for_each_language(tmp_path: Path) -> None:
    table = tmp_path / "menu.tsv"
    table.write_text("id\ten\tFinnish\n1\ta dog\tkoira\n2\ta cat\t\n", encoding="utf-8")
    assert aligned.is_table(table)
    with pytest.raises(InputError, match=r"menu\.tsv:3: column 'Finnish' is empty; .* on_bad=skip"):
        list(aligned.read_table(table))
    assert list(aligned.read_table(table, on_bad="skip")) == [{"en": "a dog", "fi": "koira"}]


def test_other_tables(tmp_path: Path) -> None:
    for name, content in (
        ("rows.jsonl", '{"query": "q", "passage": "p", "target_query": "k", "language": "fi"}\n'),
        ("faq.csv", "question,answer,fi,sw\na,b,c,d\n"),
        ("headless.tsv", "a dog\tkoira\n"),
        ("one.tsv", "en\na dog\n"),
        ("broken.jsonl", "{\n"),
        ("empty.jsonl", ""),
    ):
        (tmp_path / name).write_text(content)
        assert not aligned.is_table(tmp_path / name), name
    assert not aligned.is_table(tmp_path / "menu.en")
