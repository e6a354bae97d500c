"""What clearir takes of the libraries that it needs."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

import clearir

#: of sentence-transformers, whose minor version pyproject.toml holds still because of them
GRADIENT_CACHE = {"_backward_hook", "_create_minibatch", "_get_batch_size", "_minibatch_ranges"}
#: of transformers' Trainer, which has no public place to say what a checkpoint holds
CHECKPOINTS = {"_save", "_load_from_checkpoint"}

_SOURCES = sorted(Path(clearir.__file__).parent.rglob("*.py"))


def test_no_private_names_of_libraries_are_used():
    """They come and go without notice: rich 13 has no ``Console._live_stack``."""
    used = {name for path in _SOURCES for name in _private_names(ast.parse(path.read_text("utf-8")))}
    assert used == GRADIENT_CACHE | CHECKPOINTS


@pytest.fixture
def script() -> dict[str, Any]:
    """What tests/lowest.py defines."""
    pytest.importorskip("tomllib", reason="Python 3.10 reads no pyproject.toml")
    return runpy.run_path(str(Path(__file__).with_name("lowest.py")))


def test_what_is_imported_is_required(script: dict[str, Any]) -> None:
    """What only other libraries bring along may go, or change, with their next version."""
    required = {_plain(re.match(r"[\w.-]+", one)[0]) for one in script["requirements"]()}  # type: ignore[index]
    brought_by = packages_distributions()
    for name in sorted(_imported() - sys.stdlib_module_names - {"clearir"}):
        if name in brought_by:  # an extra may be absent
            assert required & {_plain(one) for one in brought_by[name]}, name


def test_each_requirement_says_from_which_version_on(script: dict[str, Any]) -> None:
    """`make test-lowest` tries what it reads of them."""
    read = script["lowest"](["Ray[data]>=2.40", "a-b.c >= 1.2,<1.3", "d>=1; python_version < '3.14'", "e"])
    assert read == {"ray": "2.40", "a-b.c": "1.2", "d": "1"}
    for one in script["requirements"]():
        assert script["lowest"]([one]) or one.startswith(("clearir[", "types-")), one


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported() -> set[str]:
    """The packages that the source names, be it inside functions."""
    found = set()
    for path in _SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found


def _private_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("clearir", "__future__")):
            yield from (name.name for name in node.names if name.name.startswith("_"))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                yield node.attr
