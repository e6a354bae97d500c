"""What a model made of a text before training, for terms that keep some texts where they were.

Two ways to the same vectors: a frozen copy that embeds every batch (`FrozenCopy`), and vectors that were computed once
for each distinct text (`KnownVectors`), which needs the texts before training, and can be another model's.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Protocol

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clearir.losses.cached import is_sharded
from clearir.losses.embeddings import embed, join
from clearir.losses.packing import Features, Pack, Range, plan_batch, text_ids
from clearir.losses.padding import sides_that_count


class Frozen(Protocol):
    """Something that does not learn, and has a vector for each text of a batch."""

    def embed(self, columns: list[Features], ranges: Callable[[Pack], list[Range]]) -> list[Tensor]:
        """Vectors of each column, ``(batch, dim)``.

        Args:
            columns: what the collator made of each.
            ranges: where to cut a pack into forward passes.
        """
        ...


class KnownVectors:
    """Vectors of texts that are known by their token ids.

    Args:
        ids: ``(n,)`` of `clearir.losses.packing.text_ids`.
        vectors: ``(n, dim)``.
    """

    def __init__(self, ids: Tensor, vectors: Tensor) -> None:
        self._rows = {text: row for row, text in enumerate(ids.tolist())}
        self._vectors = vectors

    def embed(self, columns: list[Features], ranges: Callable[[Pack], list[Range]]) -> list[Tensor]:
        """The vectors of each column, ``(batch, dim)``, on the column's device.

        Raises:
            KeyError: a text is not among those that are known.
        """
        return [
            self._vectors[[self._rows[text] for text in text_ids(features).tolist()]].to(_device(features))
            for features in columns
        ]


class FrozenCopy:
    """A frozen copy of a model, without dropout. It is no module: no optimizer, wrapper or checkpoint sees it.

    Parameters that are frozen in the model are not copied but shared: where adapters are trained, nearly all. Do not
    unfreeze them later.

    Args:
        model: as it is now.

    Raises:
        ValueError: it is shared by FSDP, so that no process has it whole.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        if is_sharded(model):
            raise ValueError("retain and distil need the untrained model; make the loss before FSDP wraps the model")
        frozen = {id(one): one for one in model.parameters() if not one.requires_grad}
        self._model: Any = deepcopy(model, frozen).eval().requires_grad_(False)

    @torch.no_grad()
    def embed(self, columns: list[Features], ranges: Callable[[Pack], list[Range]]) -> list[Tensor]:
        """Embeddings of each column, ``(batch, dim)``.

        Args:
            columns: what the collator made of each.
            ranges: where to cut a pack into forward passes.
        """
        plan = plan_batch(columns, sides_that_count=sides_that_count(self._model))
        self._model.to(_device(columns[0]))
        packs = [join([embed(self._model, pack.chunk(*one)) for one in ranges(pack)]) for pack in plan.packs]
        return plan.columns(packs)


def _device(features: Features) -> torch.device:
    return next(value.device for value in features.values() if isinstance(value, Tensor))
