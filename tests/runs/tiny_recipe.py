"""A recipe for the tiny model that trains in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml


def tiny_recipe(folder: Path, model: Path, rows: Iterable[Mapping[str, str]], **changes: Any) -> Path:
    """Write rows and a recipe on them; ``changes`` are of its keys."""
    table = folder / "rows.jsonl"
    table.write_text("\n".join(json.dumps({**row, "language": "de"}) for row in rows), encoding="utf-8")
    content = {
        "model": str(model),
        "output": str(folder / "out"),
        "data": {"source": "table", "path": str(table), "test": {"de": 10}},
        "filter": None,
        "train": {"max_steps": 4, "batch_size": 6, "save_steps": 2, "log_steps": 2, "learning_rate": 0.001},
        "searches": 1,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path
