from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from clearir.support.errors import InputError
from clearir.support.sqlite import open_database

WORDS = ("no usable cache", "delete it")


def test_the_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.sqlite"
    with open_database(path, *WORDS) as database, database:
        database.execute("CREATE TABLE numbers (number INTEGER)")
        database.execute("INSERT INTO numbers VALUES (7)")
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        database.execute("SELECT 1")
    with open_database(path, *WORDS) as again:
        assert again.execute("SELECT number FROM numbers").fetchall() == [(7,)]


def test_a_file_that_is_no_database_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database " * 100)
    with (
        pytest.raises(InputError, match=r"notes\.txt: no usable cache \(file is not a database\); delete it$"),
        open_database(path, *WORDS) as database,
    ):
        database.execute("CREATE TABLE numbers (number INTEGER)")
    assert path.read_text() == "no database " * 100


def test_a_place_where_no_file_can_be_is_the_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "folder.sqlite").mkdir()
    with (
        pytest.raises(InputError, match=r"folder\.sqlite: unable to open database file; change its rights"),
        open_database(tmp_path / "folder.sqlite", *WORDS),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"file.*check the path") as caught,
        open_database(tmp_path / "file" / "c.sqlite", *WORDS),
    ):
        pass
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno in (errno.EEXIST, errno.ENOTDIR)
