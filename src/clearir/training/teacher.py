"""Vectors that `retain` and `distil` compare with: each distinct text is embedded once, before training.

They are those of the untrained model, or of another one, the teacher. A teacher has a space of its own, which says
nothing about that of the student until the two are laid upon each other: its vectors are turned by the rotation that
brings them nearest to the untrained model's (orthogonal Procrustes). Of more dimensions than the student has, the turn
keeps those that matter most; of less, it leaves some of the student's empty. Distances between texts are the teacher's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clearir.losses.packing import text_ids
from clearir.losses.untrained import KnownVectors
from clearir.models.encode import encode
from clearir.models.prompts import Prompts, prompts_of
from clearir.support import processes

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    Vectors = NDArray[np.float32]

#: columns of the texts in the bridge language, and the kind of prompt that belongs to each
BRIDGE_COLUMNS = {"query": "query", "passage": "passage"}
TEXTS_AT_ONCE = 4096


def known_vectors(
    dataset: Dataset,
    collator: Callable[[list[dict[str, str]]], Mapping[str, Any]],
    untrained: SentenceTransformer,
    prompts: Prompts,
    *,
    teacher: SentenceTransformer | None = None,
    cache: Path | None = None,
) -> KnownVectors:
    """The vectors of all bridge queries and passages that are trained on.

    Args:
        dataset: with the columns ``query`` and ``passage``.
        collator: rows -> batch, as training sees it.
        untrained: the model before training.
        prompts: put before its texts.
        teacher: in its place; it has prompts of its own.
        cache: folder of finished embeddings; what mining has encoded is found there.

    Raises:
        InputError: a model gives vectors that are not finite.
    """
    texts = {column: list(dict.fromkeys(dataset[column])) for column in BRIDGE_COLUMNS}

    def embed() -> Vectors:
        own = _encode(untrained, texts, prompts, cache)
        return own if teacher is None else turned(_encode(teacher, texts, prompts_of(teacher), cache), own)

    vectors = processes.first_only(embed)
    ids = [_ids(column, some, collator) for column, some in texts.items()]
    return KnownVectors(torch.cat(ids), torch.from_numpy(vectors))


def turned(vectors: Vectors, towards: Vectors) -> Vectors:
    """Vectors in the space of others, by the rotation that brings them nearest (orthogonal Procrustes).

    Args:
        vectors: ``(n, one dim)``.
        towards: ``(n, other dim)``, of the same texts.

    Returns:
        ``(n, other dim)``.
    """
    left, _, right = np.linalg.svd(vectors.T @ towards, full_matrices=False)
    turned: Vectors = (vectors @ (left @ right)).astype(np.float32)
    return turned


def _encode(
    model: SentenceTransformer, texts: Mapping[str, Sequence[str]], prompts: Prompts, cache: Path | None
) -> Vectors:
    parts = [
        encode(
            model, some, prompt=getattr(prompts, BRIDGE_COLUMNS[column]), cache=cache, description=f"Encoding {kind}"
        )
        for (column, some), kind in zip(texts.items(), ("queries", "passages"), strict=True)
    ]
    return np.concatenate(parts)


def _ids(
    column: str, texts: Sequence[str], collator: Callable[[list[dict[str, str]]], Mapping[str, Any]]
) -> torch.Tensor:
    """The id that each text of a column has for the loss."""
    found = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        batch = collator([{column: text} for text in texts[start : start + TEXTS_AT_ONCE]])
        start_of = f"{column}_"
        features = {key.removeprefix(start_of): value for key, value in batch.items() if key.startswith(start_of)}
        found.append(text_ids(features))
    return torch.cat(found)
