"""Vectors already computed, on disk: one SQLite file per model."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clearir.support.sqlite import open_database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def vector_key(text: str, prompt: str, max_seq_length: int | None, route: str | None = None) -> bytes:
    """16 bytes of everything beside the model that a vector depends on.

    Args:
        text: without its prompt.
        prompt: put before it.
        max_seq_length: tokens that are read.
        route: see `clearir.models.one_way.routes_of`.
    """
    head = json.dumps([prompt, str(max_seq_length), *([] if route is None else [route])]).encode()
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), key=hashlib.sha256(head).digest(), digest_size=16
    ).digest()


@contextmanager
def open_cache(folder: Path, name: str) -> Iterator[sqlite3.Connection]:
    """The file of the model ``name`` in a folder of them.

    Raises:
        InputError: the file is no such cache, or the disk does not let us.
    """
    wrong, advice = "cannot be used as a cache of vectors", "delete it or give another folder"
    with open_database(folder / f"{name}.sqlite", wrong, advice) as database:
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB UNIQUE NOT NULL, vector BLOB NOT NULL)")
        yield database


def read(database: sqlite3.Connection, keys: dict[str, bytes]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Those of the texts whose keys are there, with their vectors."""
    import numpy as np

    for text, key in keys.items():
        row = database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        if row is not None:
            yield text, np.frombuffer(row[0], dtype="<f4")


def write(database: sqlite3.Connection, vectors: dict[str, NDArray[np.float32]], keys: dict[str, bytes]) -> None:
    """Keep vectors, by the keys of their texts."""
    with database:  # one transaction; what another run wrote meanwhile stays
        database.executemany(
            "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
            ((keys[text], vector.astype("<f4").tobytes()) for text, vector in vectors.items()),
        )
