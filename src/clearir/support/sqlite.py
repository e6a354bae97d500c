"""SQLite files: they stay whole when a run is killed and when several runs write at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from clearir.support.disk import disk_errors, disk_problem
from clearir.support.errors import InputError


@contextmanager
def open_database(path: Path, wrong: str, advice: str) -> Iterator[sqlite3.Connection]:
    """A connection to a SQLite file, closed at the end of the block. File and folder are made where there are none.

    Args:
        path: of the file.
        wrong: said of a file that is none of ours: ``"no usable cache of translations"``.
        advice: what to do about it: ``"delete it or name another"``.

    Raises:
        InputError: during the block, the file is no database or not this one, or the disk does not let us.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            yield database
    except sqlite3.DatabaseError as error:
        raise InputError(disk_problem(error, path) or f"{path}: {wrong} ({error}); {advice}") from error
