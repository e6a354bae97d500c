"""What clearir takes of the libraries that it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import clearir

#: of sentence-transformers, whose minor version pyproject.toml holds still because of them
GRADIENT_CACHE = {"_backward_hook", "_create_minibatch", "_get_batch_size", "_minibatch_ranges"}
#: of transformers' Trainer, which has no public place to say what a checkpoint holds
CHECKPOINTS = {"_save", "_load_from_checkpoint"}


def test_no_private_names_of_libraries_are_used():
    """They come and go without notice: rich 13 has no ``Console._live_stack``."""
    files = Path(clearir.__file__).parent.rglob("*.py")
    used = {name for path in files for name in _private_names(ast.parse(path.read_text("utf-8")))}
    assert used == GRADIENT_CACHE | CHECKPOINTS


def _private_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("clearir", "__future__")):
            yield from (name.name for name in node.names if name.name.startswith("_"))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                yield node.attr
