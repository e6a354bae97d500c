"""Run in a process that has PyLate, and no clearir: saves a new model, or gives the token vectors of saved ones.

in_pylate.py new BASE FOLDER       a model of PyLate's own, with its defaults
in_pylate.py encode < JSON         {FOLDER: {"queries": [TEXT], "documents": [TEXT], "prompts": true}} -> vectors
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from pylate.models import ColBERT


def encode(folder: str, queries: list[str], documents: list[str], prompts: bool) -> list[list[Any]]:
    """Token vectors of queries, then of documents; with the saved prompts if they are asked for."""
    model = ColBERT(folder, device="cpu", local_files_only=True)
    sides = (("query", queries), ("document", documents))
    return [
        [one.tolist() for one in model.encode(texts, is_query=side == "query", prompt_name=side if prompts else None)]
        for side, texts in sides
    ]


if __name__ == "__main__":
    if sys.argv[1] == "new":
        torch.manual_seed(0)
        ColBERT(sys.argv[2], device="cpu", local_files_only=True).save_pretrained(sys.argv[3])
    else:
        print(json.dumps({folder: encode(folder, **asked) for folder, asked in json.load(sys.stdin).items()}))
    assert "clearir" not in sys.modules
