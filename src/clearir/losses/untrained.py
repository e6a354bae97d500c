"""The model as it was before training, for terms that keep some texts where they were."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from clearir.losses.cached import is_sharded
from clearir.losses.packing import Features, Pack, Range, plan_batch
from clearir.losses.padding import sides_that_count


class Untrained:
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
            raise ValueError("the term retain needs the untrained model; make the loss before FSDP wraps the model")
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
        packs = [
            torch.cat([self._model(pack.chunk(*one))["sentence_embedding"] for one in ranges(pack)])
            for pack in plan.packs
        ]
        return plan.columns(packs)


def _device(features: Features) -> torch.device:
    return next(value.device for value in features.values() if isinstance(value, Tensor))
