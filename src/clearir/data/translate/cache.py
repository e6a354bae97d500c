"""Finished translations on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from clearir.support.sqlite import open_database

_SELECT = (
    "SELECT text, translation FROM translations WHERE translator = ? AND source = ? AND target = ? AND text IN (?)"
)
_PER_QUERY = 500  # below the number of variables that every SQLite allows


class TranslationCache:
    """A SQLite file of translations, by translator, language pair and text.

    Each `put` is one transaction: after a kill at any moment the file holds all of it or nothing of it.

    Args:
        path: the file; it is made when there is none.

    Raises:
        InputError: the file is no such cache.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._open() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS translations (translator TEXT, source TEXT, target TEXT, text TEXT,"
                " translation TEXT NOT NULL, PRIMARY KEY (translator, source, target, text)) WITHOUT ROWID"
            )

    def get(self, translator: str, source: str, target: str, texts: Iterable[str]) -> dict[str, str]:
        """Of ``texts``, those that are finished, with their translations."""
        wanted = list(texts)
        found: dict[str, str] = {}
        with self._open() as connection:
            for start in range(0, len(wanted), _PER_QUERY):
                part = wanted[start : start + _PER_QUERY]
                query = _SELECT.replace("(?)", f"({','.join('?' * len(part))})")
                found.update(connection.execute(query, (translator, source, target, *part)))
        return found

    def put(self, translator: str, source: str, target: str, finished: Mapping[str, str]) -> None:
        """Keep translations, by text."""
        values: Sequence[tuple[str, ...]] = [(translator, source, target, *pair) for pair in finished.items()]
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO translations VALUES (?, ?, ?, ?, ?)", values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        wrong, advice = "not a usable cache of translations", "delete it or name another"
        with open_database(self.path, wrong, advice) as connection, connection:
            yield connection
