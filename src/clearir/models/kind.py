"""What a model gives for a text, told from its folder before it is loaded: one vector, or one a token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: what a folder calls a model of late interaction: sentence-transformers, PyLate
_MODEL_TYPES = {"MultiVectorEncoder", "ColBERT"}
#: the same of Stanford's checkpoints, which have a config.json alone
_ARCHITECTURE = "HF_ColBERT"


def is_late_interaction(name: str, *, local_files_only: bool = False) -> bool:
    """Whether a model was saved as one of late interaction (ColBERT): by sentence-transformers, PyLate or Stanford.

    Args:
        name: a folder, or a name on the Hub.
        local_files_only: do not ask the Hub.
    """
    model_type = _read(name, "config_sentence_transformers.json", local_files_only).get("model_type")
    if model_type is not None:
        return model_type in _MODEL_TYPES
    return _ARCHITECTURE in (_read(name, "config.json", local_files_only).get("architectures") or [])


def _read(name: str, file: str, local_files_only: bool) -> dict[str, Any]:
    """A JSON file of a model; empty where it has none, or none can be had: loading says why."""
    from sentence_transformers.util import load_file_path

    try:
        path: Any = Path(name) / file
        if not Path(name).is_dir():
            path = load_file_path(name, file, local_files_only=local_files_only)
        found = {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
