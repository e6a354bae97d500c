"""A prepared folder (`clearir prepare`), read again."""

from __future__ import annotations

from pathlib import Path

from clearir.data.rows import Row, Rows
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError


def read_part(folder: Path, part: str) -> tuple[Row, ...]:
    """The rows of a prepared folder's ``train``, ``dev`` or ``test``; none where it holds none out.

    Raises:
        InputError: it is no prepared folder.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: not a prepared folder; make one with: clearir prepare RECIPE.yaml")
    return tuple(row for path in sorted(folder.glob(f"data/{part}-*.parquet")) for row in Rows.from_parquet(path))
