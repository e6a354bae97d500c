"""Rows in are rows out, or bad rows with a place: separators, quotation marks, line breaks in cells."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path) -> list[list[str] | str]:
    """Of each record its cells, or why it is a bad row."""
    return [
        record.reason if isinstance(record, BadRowError) else list(map(str, record.values()))
        for _, record in files.records(path)
    ]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_a_quotation_mark_in_tsv_is_a_character(name: str, tmp_path: Path) -> None:
    content = b'id\ttext\n1\t"Rain falls.\n2\tFire burns."\n3\t"Snow" lies\n4\t"Ice"\n'
    path = write(tmp_path, name, gzip.compress(content, mtime=0) if name.endswith("gz") else content)
    assert cells(path) == [["1", '"Rain falls.'], ["2", 'Fire burns."'], ["3", '"Snow" lies'], ["4", '"Ice"']]


def test_a_mark_that_could_open_a_cell_of_several_rows_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "a.tsv", 'id\ttext\n1\t"Rain falls.\n2\tFire burns."\n3\t"Snow\n')
    with caplog.at_level(logging.WARNING):
        assert len(cells(path)) == 3
    said = (
        "2 cells begin with a quotation mark that no other closes (the first in line 2); it is read as part of the text"
    )
    assert [record.message for record in caplog.records] == [f"{path}: {said}"]


def test_what_a_csv_writer_had_to_quote_in_tsv_is_unquoted(tmp_path: Path) -> None:
    rows = [
        ['say "a"', "x"],
        ["two\nlines", "y"],
        ["a\ttab", "z"],
        ["a\ttab", "two\nlines\n"],
        ["three\n\nlines", "and\ntwo"],
        ["a\rb", '"'],
    ]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter="\t").writerows([["one", "two"], *rows])
    assert cells(write(tmp_path, "a.tsv", out.getvalue())) == rows


def test_a_tsv_with_every_cell_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", '"id"\t"text"\n"1"\t"Rain"\n"2"\t"say ""a"""\n')
    assert cells(path) == [["1", "Rain"], ["2", 'say "a"']]


def test_a_line_with_too_few_cells_takes_no_other_with_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", 'id\ttext\n"1\n2\tFire"\n3\tSnow\n')
    assert cells(path) == ["1 cells where the header has 2", ["2", 'Fire"'], ["3", "Snow"]]


def test_the_place_is_the_first_line_of_a_row(tmp_path: Path) -> None:
    for name, separator in (("a.csv", ","), ("a.tsv", "\t")):
        path = write(tmp_path, name, f'a{separator}b\n"x\ny"{separator}1\n\nz{separator}2\n')
        assert [place for place, _ in files.records(path)] == [f"{path}:2", f"{path}:5"]


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_line_that_is_not_utf8_is_one_bad_row(name: str, separator: str, tmp_path: Path) -> None:
    path = write(tmp_path, name, "a,b\nä,1\nX,2\nz,3\n".replace(",", separator).encode().replace(b"X", b"\xff"))
    assert cells(path) == [["ä", "1"], "byte 1 of the line is not UTF-8", ["z", "3"]]


@pytest.mark.parametrize(("name", "separator"), [("a.csv", s) for s in ";\t|"] + [("a.tsv", s) for s in ",;|"])
def test_the_header_says_the_separator(
    name: str, separator: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [["query", "passage"], ["a, b", "c; d"], ["x | y", "z"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(rows)
    path = write(tmp_path, name, out.getvalue())
    with caplog.at_level(logging.WARNING):
        assert cells(path) == rows[1:]
    assert [record.message for record in caplog.records] == [f"{path}: read as separated by {separator!r}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query;passage, if any\na;b\nc;d, e\n", [["a", "b"], ["c", "d, e"]]),  # both split the header
        ("query;passage, if any\na;b,b\nc;d,e\n", [["a;b", "b"], ["c;d", "e"]]),  # and all rows: as the name says
        ("query\na;b\nc;d\n", [["a;b"], ["c;d"]]),  # one column, whatever stands in it
        ("sep=;\r\nquery;passage\r\na;b\r\n", [["a", "b"]]),  # for Excel
        ('"query; all",passage\na,b\n', [["a", "b"]]),
        ('query,passage\n"a;\nb",c\n', [["a;\nb", "c"]]),
    ],
)
def test_what_may_be_a_separator_and_is_none(content: str, expected: list[list[str]], tmp_path: Path) -> None:
    assert cells(write(tmp_path, "a.csv", content)) == expected


def test_empty_rows_and_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "\n,query,passage,\n0,a,b,\n,,,\n1,c,d,x\n")  # of pandas and of Excel
    assert cells(path) == [["a", "b"], ["c", "d"]]


text = st.text(st.sampled_from('ab ",;\t\n'), max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(text, text, text), max_size=6))
def test_every_line_of_tsv_is_in_one_record_or_counted(rows: list[tuple[str, str, str]]) -> None:
    """Written without quoting, as people do. What stands in no record is blank."""
    lines = ["a\tb\tc", *("\t".join(row).replace("\n", " ") for row in rows)]
    with tempfile.TemporaryDirectory() as folder:
        found = list(files.records(write(Path(folder), "a.tsv", "\n".join(lines) + "\n")))
    covered = {1}
    for place, record in found:
        first = int(place.rpartition(":")[2])
        breaks = 0 if isinstance(record, BadRowError) else sum(cell.count("\n") for cell in record.values())
        own = set(range(first, first + breaks + 1))
        assert not own & covered
        covered |= own
    assert not any(lines[n - 1].strip('\t"') for n in range(1, len(lines) + 1) if n not in covered)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(text, text), min_size=1, max_size=6), st.sampled_from([",", ";", "|"]))
def test_what_a_csv_writer_writes_comes_back(rows: list[tuple[str, str]], separator: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows([("one", "two"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        found = cells(write(Path(folder), "a.csv", out.getvalue()))
    assert found == [list(row) for row in rows if any(row)]
