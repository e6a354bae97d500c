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
from clearir.training.batches import features_of

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from clearir.losses.objectives import Side

    Vectors = NDArray[np.float32]

PLURALS = {"query": "queries", "passage": "passages"}


def known_vectors(
    dataset: Dataset,
    collator: Callable[[list[dict[str, str]]], dict[str, Any]],
    sides: Sequence[Side],
    untrained: Callable[[], SentenceTransformer],
    prompts: Prompts,
    *,
    teacher: Callable[[], SentenceTransformer] | None = None,
    cache: Path | None = None,
) -> KnownVectors:
    """The vectors of all texts of some sides that are trained on.

    The first process alone loads the models and embeds.

    Args:
        dataset: with a column of texts for each side.
        collator: rows -> batch, as training sees it.
        sides: in the bridge language.
        untrained: gives the model before training.
        prompts: put before its texts.
        teacher: gives the model in its place; it has prompts of its own.
        cache: folder of finished embeddings; what mining has encoded is found there.

    Raises:
        InputError: a model cannot be loaded, or gives vectors that are not finite.
    """
    texts = {side: list(dict.fromkeys(dataset[side])) for side in sides}

    def embed() -> Vectors:
        own = _encode(untrained(), texts, prompts, cache)
        if teacher is None:
            return own
        model = teacher()
        return turned(_encode(model, texts, prompts_of(model), cache), own)

    vectors = processes.first_only(embed)
    ids = [text_ids(found) for side, some in texts.items() for _, found in features_of(side, some, collator)]
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
    model: SentenceTransformer, texts: Mapping[Side, Sequence[str]], prompts: Prompts, cache: Path | None
) -> Vectors:
    return np.concatenate(
        [
            encode(model, some, prompt=getattr(prompts, side), cache=cache, description=f"Encoding {PLURALS[side]}")
            for side, some in texts.items()
        ]
    )
