"""RerankingLoss and CachedRerankingLoss: objectives as losses for `CrossEncoderTrainer`.

```python
from clearir.losses import CachedRerankingLoss

# columns: query, passage, negative_1..n, target_query, target_negative_1..m
loss = CachedRerankingLoss(model, "hybrid", num_negatives=4)
loss = CachedRerankingLoss(model, {"forward": 0.4, "direct": 0.4, "consistency": 0.2}, num_negatives=4)
```

A reranker reads a query together with a passage and gives one score. So a row has candidates of its own, and none from
the batch: for both queries its passage and its hard negatives, for the passage its target query and the hard negatives
of that. The terms are those of `clearir.losses.objectives`, over these lists (listwise, as ListNet with one right
answer). With `consistency` the scores of the English query are the teacher for the target query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.util import batch_to_device
from torch import Tensor

from clearir.losses.base import GradientCached, ObjectiveLoss
from clearir.losses.columns import Columns, split_columns
from clearir.losses.objectives import TERMS, Batch, Contrast, Side, candidates_of, column_of, weights_of
from clearir.losses.packing import Features
from clearir.losses.terms import at_least_float32

#: terms over lists of candidates; the others compare vectors, or queries with queries
LISTWISE = ("forward", "direct", "reverse", "kl", "consistency", "jsd")
#: those that compare two lists, which have to be of the same length: passages with target queries
_BOTH_SIDES = "kl"

#: columns of the query and of the passage
Pair = tuple[int, int]


@dataclass(frozen=True)
class Lists(Batch):
    """The scores of a batch, in lists of one right answer, which comes first, and wrong ones.

    Attributes:
        lists: ``(batch, candidates)`` scaled scores of each contrast, and which candidates are right answers besides
            the first.
    """

    lists: Mapping[Contrast, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def _scores(self, anchor: Side, positive: Side) -> tuple[Tensor, Tensor | None]:
        return self.lists[anchor, positive]


class RerankingLoss(ObjectiveLoss):
    """An objective of `clearir.losses.objectives` on the scores of a reranker: the weighted sum of its terms' means.

    Args:
        model: the reranker that is trained, with one score for a pair.
        objective: a name in `clearir.losses.objectives.OBJECTIVES`, or weights of its `TERMS`: of those in `LISTWISE`.
        scale: what scores are multiplied by. They have no bounds, so 1 fits.
        num_negatives: hard-negative passages a row; the rest of the columns are hard-negative target queries. None:
            as many of both.
        mask_false_negatives: a hard negative that is the right answer of another row with the same anchor, or that
            says the same as the row's own, has probability 0. Pairs are compared by token ids.
        packing: score the distinct pairs of all lists together, sorted by length (`clearir.losses.packing`).

    Inputs:
        +----------------------------------------------------------------------------------+--------+
        | Columns                                                                          | Labels |
        +==================================================================================+========+
        | (query, passage, negative_1..n, target_query, target_negative_1..m), as texts    | none   |
        +----------------------------------------------------------------------------------+--------+

    Raises:
        ValueError: an unknown objective, a term that a reranker cannot be trained with, or weights that are none.
    """

    def __init__(
        self,
        model: CrossEncoder,
        objective: str | Mapping[str, float] = "hybrid",
        scale: float = 1.0,
        *,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        packing: bool = True,
        **cached: Any,
    ) -> None:
        refuse_others(weights_of(objective))
        super().__init__(
            cast(Any, model),
            objective,
            scale,
            num_negatives=num_negatives,
            mask_false_negatives=mask_false_negatives,
            packing=packing,
            **cached,
        )
        self._preprocess = model.preprocess  # that of the model itself, whatever wraps it later
        #: of the last batch: the columns of each contrast's pairs
        self._pairs: dict[Contrast, list[Pair]] = {}

    def forward(  # type: ignore[override]
        self, inputs: Sequence[Sequence[str]], labels: Tensor | None = None, prompt: str | None = None, task: Any = None
    ) -> Tensor:
        """The loss of a batch.

        Args:
            inputs: the texts of each column.
            labels: not used.
            prompt: put before each pair, as `CrossEncoder` does it.
            task: as `CrossEncoder.preprocess` takes it.

        Raises:
            ValueError: rows without hard negatives, or with a number of them that a term has no use for.
        """
        self._pairs = _pairs_of(self.weights, split_columns(range(len(inputs)), self.num_negatives))
        return super().forward(self._features(inputs, prompt, task))

    def _features(self, inputs: Sequence[Sequence[str]], prompt: str | None, task: Any) -> Iterator[Features]:
        """What the model reads of each pair of columns."""
        device = next(self.model.parameters()).device
        for query, passage in self._distinct_pairs:
            pairs = list(zip(inputs[query], inputs[passage], strict=True))
            yield batch_to_device(self._preprocess(pairs, prompt=prompt, task=task), device)

    @property
    def _distinct_pairs(self) -> list[Pair]:
        return list(dict.fromkeys(pair for pairs in self._pairs.values() for pair in pairs))

    def _used(self, count: int) -> list[int]:
        return list(range(count))  # no other pairs are made

    def _batch(self, embeddings: Any, text_ids: Any, untrained: Mapping[Side, Tensor]) -> Batch:
        places = {pair: place for place, pair in enumerate(self._distinct_pairs)}
        scores = self.scale * torch.cat([at_least_float32(one) for one in embeddings], dim=1)
        ids = torch.stack(text_ids, dim=1).to(scores.device) if text_ids and self.mask_false_negatives else None
        lists: dict[Contrast, tuple[Tensor, Tensor | None]] = {}
        for contrast, pairs in self._pairs.items():
            columns = [places[pair] for pair in pairs]
            lists[contrast] = scores[:, columns], None if ids is None else _known_right(ids[:, columns])
        rows = torch.zeros(len(scores), dtype=torch.long, device=scores.device)  # the right answer comes first
        return Lists(Columns(None, None, (), None, ()), None, rows, self.similarity_fct, self.scale, lists=lists)


class CachedRerankingLoss(RerankingLoss, GradientCached):  # type: ignore[misc]  # of texts, not of features
    """`RerankingLoss` with gradient caching (`GradientCached`): same loss, same gradients, any batch size.

    Args:
        model: see `RerankingLoss`.
        objective: see `RerankingLoss`.
        scale: see `RerankingLoss`.
        num_negatives: see `RerankingLoss`.
        mask_false_negatives: see `RerankingLoss`.
        packing: see `RerankingLoss`.
        cached: the arguments of `GradientCached`, by name; its texts are pairs here.

    Raises:
        ValueError: see both.
    """


def refuse_others(weights: Mapping[str, float]) -> None:
    """Raise if a term is not `LISTWISE`.

    Raises:
        ValueError: one is not.
    """
    if others := [name for name in weights if name not in LISTWISE]:
        raise ValueError(
            f"{', '.join(others)}: a reranker has no vectors to compare, so it is trained with "
            f"{', '.join(LISTWISE)} alone; take the objective hybrid, or weights of these"
        )


def _known_right(ids: Tensor) -> Tensor:
    """Which pairs ``(batch, candidates)`` behind the first are the first of some row: right answers, not wrong ones."""
    right = torch.isin(ids, ids[:, 0])
    right[:, 0] = False
    return right


def _pairs_of(weights: Mapping[str, float], positions: Columns[int]) -> dict[Contrast, list[Pair]]:
    """The columns of the pairs that the terms want, by contrast: query first, and the right answer's pair first."""
    found: dict[Contrast, list[Pair]] = {}
    for name in weights:
        for contrast in TERMS[name].contrasts:
            own, candidates = column_of(positions, contrast[0]), candidates_of(positions, contrast[1])
            found[contrast] = [(one, own) if contrast[0] == "passage" else (own, one) for one in candidates]
    alone = [f"{anchor} -> {positive}" for (anchor, positive), pairs in found.items() if len(pairs) < 2]
    if alone:
        raise ValueError(
            f"{', '.join(alone)}: a row has no wrong answers, and a reranker takes none from the other rows; give rows "
            "hard negatives (clearir mine, or in a recipe mine.negatives)"
        )
    if _BOTH_SIDES in weights and len(positions.negatives) != len(positions.target_negatives):
        raise ValueError(
            f"{_BOTH_SIDES} compares a row's passages with its target queries, and there are "
            f"{len(positions.negatives)} and {len(positions.target_negatives)} hard negatives; give as many of both"
        )
    return found
