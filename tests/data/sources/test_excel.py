"""Spreadsheets: which sheet, which row is the header, what cells hold."""

from __future__ import annotations

import datetime
import logging
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("python_calamine")
openpyxl = pytest.importorskip("openpyxl")

from clearir.data.passages import read_corpus  # noqa: E402
from clearir.data.rows import Row  # noqa: E402
from clearir.data.sources import files  # noqa: E402
from clearir.data.sources.tables import read  # noqa: E402
from clearir.support.errors import InputError, MissingExtraError  # noqa: E402

Cells = Sequence[Sequence[Any]]
FAQ: Cells = [["Question", "Answer", "Question (Spanish)"], ["q1", "p1", "s1"], [7, "two\nlines", None]]
ROWS = [Row("q1", "p1", "s1", "es"), Row("7", "two\nlines")]


def write(path: Path, **sheets: Cells) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def test_a_sheet_is_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "faq.xlsx", FAQ=FAQ, Empty=[])
    with caplog.at_level(logging.WARNING):
        assert list(read(path)) == ROWS
    said = [record.message for record in caplog.records]
    assert said[0].startswith(f"{path}: read 'Question' as query, 'Answer' as passage, 'Question (Spanish)' as")
    assert said[1:] == [f"{path}: numbers in columns of texts are read as text: 'Question' (1)"]


def test_the_first_row_with_a_cell_is_the_header_and_places_are_those_of_the_sheet(tmp_path: Path) -> None:
    cells = [[], [], [None, "query", "passage", None], [None, "q", "p", "x"], [], [None, "", " "], [None, "r", "s"]]
    path = write(tmp_path / "a.xlsx", One=cells)
    assert list(files.records(path)) == [
        (f"{path}, sheet 'One', row 4", {"query": "q", "passage": "p"}),
        (f"{path}, sheet 'One', row 7", {"query": "r", "passage": "s"}),
    ]


def test_cells_are_what_they_show(tmp_path: Path) -> None:
    day, moment = datetime.date(2024, 5, 1), datetime.datetime(2024, 5, 1, 12, 30)
    path = write(tmp_path / "a.xlsx", One=[["a", "b", "c", "d", "e"], [7, 7.5, True, day, moment]])
    ((_, record),) = files.records(path)
    assert list(record.values()) == [7, 7.5, True, "2024-05-01", "2024-05-01T12:30:00"]
    assert [type(value) for value in record.values()] == [int, float, bool, str, str]


def test_the_one_sheet_that_is_a_table_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "faq.xlsx", Notes=[["for", "Ann"]], FAQ=FAQ)
    with caplog.at_level(logging.WARNING):
        assert list(read(path)) == ROWS
    assert f"{path}: the sheet 'FAQ' is read; skipped: 'Notes'" in caplog.messages


def test_a_hidden_sheet_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "faq.xlsx", Old=FAQ, FAQ=FAQ)
    with pytest.raises(InputError, match=r"the sheets 'Old' and 'FAQ' are both tables; hide the others, or save the"):
        list(read(path))
    book = openpyxl.load_workbook(path)
    book["Old"].sheet_state = "hidden"
    book.save(path)
    assert list(read(path)) == ROWS


def test_a_spreadsheet_is_a_corpus(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", One=[["id", "title", "text", "price"], [3, "Rain", "It falls.", 2.5]])
    (passage,) = read_corpus(path).passages
    assert (passage.id, passage.content, passage.fields) == ("3", "Rain It falls.", {"price": 2.5})


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        ({"One": [["query", "body text", "x"], ["q", "p"]], "Two": [["a"], ["b"]]}, None),
        ({"One": [["frage", "pasage"], ["q", "p"]]}, r"a\.xlsx: no columns 'query' and 'passage'; .*passage=pasage"),
        ({"One": [["query", "query", "passage"], ["q", "p"]]}, r"a\.xlsx, sheet 'One': two columns are called 'query'"),
        ({"One": [["query", "passage"], ["q", None]]}, r"a\.xlsx, sheet 'One', row 2: column 'passage' is empty"),
        ({"One": [["query", "passage"]]}, r"a\.xlsx: no rows; "),
        ({"One": []}, r"a\.xlsx: no rows; "),
    ],
)
def test_bad_sheets_are_named(sheets: dict[str, Cells], message: str | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", **sheets)
    if message is None:
        assert list(read(path)) == [Row("q", "p")]
        return
    with pytest.raises(InputError, match=message):
        list(read(path))


def test_what_is_no_spreadsheet(tmp_path: Path) -> None:
    for content in (b"", b"PK", write(tmp_path / "b.xlsx", One=FAQ).read_bytes()[:-50]):
        (tmp_path / "a.xlsx").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.xlsx: not a whole spreadsheet \(.+\); save or fetch it again"):
            list(read(tmp_path / "a.xlsx"))


def test_damaged_spreadsheets_give_rows_or_an_input_error() -> None:
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        content = write(Path(folder) / "a.xlsx", One=FAQ).read_bytes()
        for _ in range(200):
            damaged = bytearray(content)
            for _ in range(3):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            (Path(folder) / "b.xlsx").write_bytes(damaged)
            try:
                list(read(Path(folder) / "b.xlsx"))
            except InputError as error:
                message = str(error)
                assert "b.xlsx" in message


def test_without_the_extra_it_is_said_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    path = write(tmp_path / "a.xlsx", One=FAQ)
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "python_calamine":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr("clearir.support.extras.import_module", without)
    with pytest.raises(MissingExtraError, match=r'pip install "clearir\[excel\]"'):
        list(read(path))
