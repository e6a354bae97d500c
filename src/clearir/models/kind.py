"""What a model gives, told from its folder before it is loaded.

That is a vector for each text, a vector for each token, a weight for each word, or a score for each pair of texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from clearir.settings import DENSE, LATE_INTERACTION, RERANKER, SPARSE
from clearir.settings import Kind as Trained

CLASSIFIER: Final = "classifier"
_DESCRIPTION = "config_sentence_transformers.json"
Kind = Trained | Literal["classifier"]

#: what PyLate writes into a folder as the model's type, and sentence-transformers 6 reads
PYLATES: Final = "ColBERT"
#: what sentence-transformers and PyLate (ColBERT) write into a folder; other types are dense
_MODEL_TYPES: dict[str, Kind] = {
    "MultiVectorEncoder": LATE_INTERACTION,
    PYLATES: LATE_INTERACTION,
    "SparseEncoder": SPARSE,
    "CrossEncoder": RERANKER,
}
#: of Stanford's checkpoints, which have a config.json alone
_LATE_ARCHITECTURE = "HF_ColBERT"


def kind_of(name: str, *, local_files_only: bool = False) -> Kind | None:
    """What a model was saved as; None where no configuration can be read.

    Where nothing but a ``config.json`` tells, as with most rerankers, a network for the classification of sequences
    is a reranker if it has one label, else a classifier. Other networks are dense.

    Args:
        name: a folder, or a name on the Hub.
        local_files_only: do not ask the Hub.
    """
    described = _read(name, _DESCRIPTION, local_files_only)
    model_type = described.get("model_type")
    if model_type is not None:
        return _MODEL_TYPES.get(model_type, DENSE)
    config = _read(name, "config.json", local_files_only)
    architectures = config.get("architectures") or []
    if _LATE_ARCHITECTURE in architectures:
        return LATE_INTERACTION
    # Older versions of sentence-transformers wrote no type, but always modules, and only of dense models.
    classifies = any(str(one).endswith("ForSequenceClassification") for one in architectures)
    if classifies and not described and _path(name, "modules.json", local_files_only) is None:
        labels = config.get("id2label")  # two labels are transformers' default, which is not written
        return RERANKER if isinstance(labels, dict) and len(labels) == 1 else CLASSIFIER
    return DENSE if config or described else None


def in_pylates_layout(folder: Path) -> bool:
    """Whether PyLate loads what is saved in a folder; see `clearir.models.pylate_layout`."""
    return bool(_read(str(folder), _DESCRIPTION, True).get("model_type") == PYLATES)


def fills_masks(name: str, *, local_files_only: bool = False) -> bool:
    """Whether a network was saved with a head for masked words; see `kind_of`."""
    architectures = _read(name, "config.json", local_files_only).get("architectures") or []
    return any(str(one).endswith("ForMaskedLM") for one in architectures)


def _path(name: str, file: str, local_files_only: bool) -> Path | None:
    """A file of a model; None where it has none, or it cannot be had."""
    from sentence_transformers.util import load_file_path

    if Path(name).is_dir():
        return Path(name) / file if (Path(name) / file).is_file() else None
    try:
        found = load_file_path(name, file, local_files_only=local_files_only)
    except (OSError, ValueError):
        return None
    return None if found is None else Path(found)


def _read(name: str, file: str, local_files_only: bool) -> dict[str, Any]:
    """A JSON file of a model; empty where it has none, or none can be had: loading says why."""
    path = _path(name, file, local_files_only)
    try:
        found = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
