"""Tables as people have them, through the command line: what is typed, what is said, what comes out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clearir.cli import main
from clearir.data.rows import Row, Rows

Clearir = Callable[..., str]


@pytest.fixture
def clearir(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Clearir:
    """Runs the command line and gives back all that it said."""

    def run(*arguments: object, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["clearir", *map(str, arguments)])
        ended = 0
        try:
            main()
        except SystemExit as end:
            ended = int(end.code or 0)
        said = capsys.readouterr()
        assert ended == status, said.err
        return said.out + said.err

    return run


def translated(clearir: Clearir, table: Path, *options: str) -> tuple[Row, ...]:
    """The rows after a translation by `cat`, which leaves the queries as they are."""
    out = table.with_suffix(".out.parquet")
    clearir("translate", table, "command=cat", *options, "--out", out)
    return Rows.from_parquet(out).rows


def test_rows_that_name_their_language_alone_are_translated_into_it(clearir: Clearir, tmp_path: Path) -> None:
    table = tmp_path / "mixed.csv"
    table.write_text("query,passage,target_query,language\nq1,p1,t1,de\nq2,p2,,sw\nq3,p3,,\n")
    expected = (Row("q1", "p1", "t1", "de"), Row("q2", "p2", "q2", "sw"), Row("q3", "p3", "q3", "es"))
    assert translated(clearir, table, "--to", "es") == expected
