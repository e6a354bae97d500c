"""ObjectiveLoss and CachedObjectiveLoss: any objective as a loss for `SentenceTransformerTrainer`.

```python
from clearir.losses import ObjectiveLoss

# columns: query, passage, negative_1..n, target_query, target_negative_1..m, whatever the objective
loss = ObjectiveLoss(model, "hybrid")
loss = ObjectiveLoss(model, {"forward": 0.3, "direct": 0.3, "reverse": 0.3, "consistency": 0.1})
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.gradcache import CachedLossMixin, has_static_embedding_input
from sentence_transformers.util import all_gather, all_gather_with_grad, get_rank, similarity_fct_name
from torch import Tensor, nn

from clearir.losses.cached import _without_sync, cached_backward, embed_chunks, is_sharded
from clearir.losses.columns import split_columns
from clearir.losses.embeddings import as_wide_everywhere, default_similarity, embed, join
from clearir.losses.objectives import (
    TERMS,
    Batch,
    Side,
    untrained_columns,
    untrained_sides,
    used_columns,
    weights_of,
)
from clearir.losses.packing import Features, Pack, Plan, Range, plan_batch
from clearir.losses.padding import sides_that_count
from clearir.losses.terms import SimilarityFunction
from clearir.losses.untrained import Frozen, FrozenCopy
from clearir.support.citation import CITATION

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Texts a forward pass where nothing else is said: as many as the longest one allows in the memory of this many.
TEXTS_A_CHUNK = 32


@dataclass(frozen=True)
class UsedPlan:
    """How those columns of a batch are computed that the objective takes.

    Attributes:
        plan: of these columns.
        used: which columns of the batch they are.
        count: of all columns of the batch.
        untrained: what the untrained model makes of a side, where a term asks for it.
    """

    plan: Plan
    used: list[int]
    count: int
    untrained: Mapping[Side, Tensor] = field(default_factory=dict)

    def spread(self, values: Sequence[Tensor]) -> list[Tensor | None]:
        """One value a used column -> one a column, None for the others."""
        by_column = dict(zip(self.used, values, strict=True))
        return [by_column.get(column) for column in range(self.count)]


class LossOptions(TypedDict, total=False):
    """What all losses take by name; see `ObjectiveLoss`."""

    similarity_fct: SimilarityFunction
    num_negatives: int | None
    mask_false_negatives: bool
    gather_across_devices: bool
    packing: bool
    untrained: Frozen | None


class CachedLossOptions(LossOptions, total=False):
    """What the cached ones take beside these; see `GradientCached`."""

    mini_batch_size: int
    mini_batch_num_tokens: int | None
    show_progress_bar: bool
    memory_budget: int | None


class ObjectiveLoss(nn.Module):
    """An objective of `clearir.losses.objectives` on embeddings: the weighted sum of its terms' means over the batch.

    Columns are the same for every objective; those that it does not use are not embedded. False negatives never
    count: a candidate whose text equals the row's own positive, or that is the positive of another row with the same
    anchor text (several questions that share a passage), has probability 0 for that row, in every term. Texts are
    compared by token ids.

    Args:
        model: the model that is trained.
        objective: a name in `clearir.losses.objectives.OBJECTIVES`, or weights of its `TERMS`.
        scale: 1 / temperature.
        similarity_fct: similarity of the texts that ask with those that answer. None: the cosine; of token vectors
            `clearir.losses.embeddings.mean_maxsim`. Scores are always computed in float32.
        num_negatives: hard-negative passages a row; the rest of the columns are hard-negative target queries. None:
            as many of both.
        mask_false_negatives: see above.
        gather_across_devices: negatives from all processes, with gradients; each has as many rows. The mean of the
            processes' losses is the loss of one process with all their rows, and so are the gradients that
            DistributedDataParallel makes of it.
        packing: embed the distinct texts of all columns together, sorted by length, instead of each column by
            itself. Same loss and gradients, less padding. See `clearir.losses.packing`. Not done under FSDP, where
            every forward pass waits for the other processes: all have to make the same number of them; nor where
            padding changes embeddings (`clearir.losses.padding`): on the left of texts with absolute positions, and
            anywhere under a convolution.
        untrained: what `retain` and `distil` compare with: vectors that are known (`KnownVectors`). None: the model's
            weights at this moment are kept, frozen, beside those that are trained, and embed the bridge texts of
            every batch too: one forward pass without gradients over one or two columns.

    Inputs:
        +----------------------------------------------------------------------------------+--------+
        | Columns                                                                          | Labels |
        +==================================================================================+========+
        | (query, passage, negative_1..n, target_query, target_negative_1..m)              | none   |
        +----------------------------------------------------------------------------------+--------+

    Raises:
        ValueError: an unknown objective or term, or weights that are none.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        objective: str | Mapping[str, float] = "clear",
        scale: float = 20.0,
        similarity_fct: SimilarityFunction | None = None,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        gather_across_devices: bool = False,
        packing: bool = True,
        untrained: Frozen | None = None,
    ) -> None:
        super().__init__()
        self._weights = weights_of(objective)
        self.model = model
        self._untrained: Frozen | None = None
        if untrained_sides(self._weights):
            self._untrained = FrozenCopy(model) if untrained is None else untrained
        self.scale = scale
        self.similarity_fct = similarity_fct or default_similarity(model)
        self.num_negatives = num_negatives
        self.mask_false_negatives = mask_false_negatives
        self.gather_across_devices = gather_across_devices
        self.packing = packing
        #: the last batch's terms, detached and unweighted, for logging
        self.terms: dict[str, Tensor] = {}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        return self._weights

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch; ``labels`` are not used."""
        features = list(sentence_features)
        plan = self._with_untrained(self._plan(features), features)
        ranges = [self._ranges(pack) for pack in plan.plan.packs]
        left = sum(map(len, ranges))
        embeddings = []
        for pack, pack_ranges in zip(plan.plan.packs, ranges, strict=True):
            chunks = []
            for one in pack_ranges:
                left -= 1
                # With DDP a pass after one that synchronises waits for all processes, to exchange buffers, and each
                # has chunks of its own number: the last one alone may prepare the exchange of gradients.
                with _without_sync(self.model) if left else nullcontext():
                    chunks.append(embed(self.model, pack.chunk(*one)))
            embeddings.append(join(chunks))
        return self._loss_of(plan, embeddings)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """The loss from embeddings alone. Without texts no false negative can be told, so none is masked.

        Args:
            embeddings: one ``(batch, dim)`` a column.
            labels: not used.

        Returns:
            a scalar.
        """
        return self._loss(list(embeddings), None)

    def _ranges(self, pack: Pack) -> list[Range]:
        """Where to cut: a batch left in columns goes through whole, as the sentence-transformers losses do it."""
        return [(0, len(pack))] if pack.lengths is None else pack.ranges(TEXTS_A_CHUNK, None)

    def _plan(self, features: list[Features]) -> UsedPlan:
        used = self._used(len(features))
        packing = self.packing and not is_sharded(self.model)
        plan = plan_batch([features[column] for column in used], packing, sides_that_count(self.model))
        return UsedPlan(plan, used, len(features))

    def _used(self, count: int) -> list[int]:
        """Which of so many columns the terms take."""
        return used_columns(self.weights, split_columns(range(count), self.num_negatives))

    def _with_untrained(self, plan: UsedPlan, features: list[Features]) -> UsedPlan:
        """The plan with what the untrained model makes of the columns that a term asks for."""
        if self._untrained is None:
            return plan
        columns = untrained_columns(self.weights, split_columns(range(len(features)), self.num_negatives))
        found = self._untrained.embed([features[column] for column in columns.values()], self._ranges)
        return replace(plan, untrained=dict(zip(columns, found, strict=True)))

    def _loss_of(self, plan: UsedPlan, embeddings: list[Tensor]) -> Tensor:
        """The loss from the embeddings of each pack of a plan."""
        columns = plan.spread(plan.plan.columns(embeddings))
        return self._loss(columns, plan.spread(list(plan.plan.text_ids)), plan.untrained)

    def _loss(
        self,
        embeddings: list[Tensor | None],
        text_ids: list[Tensor | None] | None,
        untrained: Mapping[Side, Tensor] | None = None,
    ) -> Tensor:
        batch = self._batch(embeddings, text_ids, untrained or {})
        weights = self.weights
        terms = {name: TERMS[name].values(batch).mean() for name in weights}
        self.terms = {name: term.detach() for name, term in terms.items()}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def _batch(
        self,
        embeddings: list[Tensor | None],
        text_ids: list[Tensor | None] | None,
        untrained: Mapping[Side, Tensor],
    ) -> Batch:
        """Columns by name, gathered from all processes if asked, and this process's rows among them."""
        known = next(column for column in embeddings if column is not None)
        rows = torch.arange(len(known), device=known.device)
        ids = None
        if text_ids is not None and self.mask_false_negatives:
            ids = [None if column is None else column.to(known.device) for column in text_ids]
        if self.gather_across_devices and torch.distributed.is_initialized():
            embeddings = [
                None if column is None else all_gather_with_grad(as_wide_everywhere(column)) for column in embeddings
            ]
            rows = rows + get_rank() * len(rows)
            ids = None if ids is None else _gather_ids(ids)
        return Batch(
            split_columns(embeddings, self.num_negatives),
            None if ids is None else split_columns(ids, self.num_negatives),
            rows,
            self.similarity_fct,
            self.scale,
            untrained,
        )

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card."""
        return {"weights": self.weights, **self._common_config()}

    def _common_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "similarity_fct": similarity_fct_name(self.similarity_fct),
            "num_negatives": self.num_negatives,
            "mask_false_negatives": self.mask_false_negatives,
            "gather_across_devices": self.gather_across_devices,
            "packing": self.packing,
        }

    @property
    def citation(self) -> str:
        """BibTeX."""
        return CITATION


def _gather_ids(ids: list[Tensor | None]) -> list[Tensor | None]:
    """The ids of all processes, in one transfer."""
    places = [place for place, column in enumerate(ids) if column is not None]
    stacked = torch.stack([column for column in ids if column is not None], dim=1)
    gathered = dict(zip(places, all_gather(stacked.contiguous()).T, strict=True))
    return [gathered.get(place) for place in range(len(ids))]


class GradientCached(CachedLossMixin, ObjectiveLoss):
    """Gradient caching (GradCache, arXiv 2101.06983) for `ObjectiveLoss`: large batches in the memory of a small one.

    The batch is embedded in chunks, which keep their graph as long as a memory budget allows; the others are embedded
    without one. The loss over the whole batch gives the gradient of every embedding. The kept graphs are sent
    backward first, which frees them; each other chunk is embedded again, with its dropout replayed, and its gradients
    are sent through the model. Same loss and same gradients as without caching, for any batch, mini-batch and budget;
    the time of one forward pass less where the batch fits in the budget.

    Args:
        others: of the loss that is cached, by position and by name.
        mini_batch_size: texts per forward pass at most. With packing: texts of the longest kind; of shorter texts more
            go at a time, at the same memory. On a CPU chunks stay below `clearir.losses.packing.TOKENS_A_CPU_CHUNK`.
        mini_batch_num_tokens: tokens per forward pass, instead of ``mini_batch_size``.
        memory_budget: bytes that the kept graphs of one batch may hold together, apart from the model, its gradients
            and the working memory of one chunk, whose own graph has to fit in any case. 0 keeps none. None: half of
            the memory that is free on the model's device when a batch comes (CPU and CUDA; elsewhere none is kept).
        show_progress_bar: a bar over the chunks of each batch.

    Raises:
        ValueError: the model embeds its input with a StaticEmbedding (its inputs have no batch axis to cut; it needs
            so little memory that the loss without a cache does it), a size is below 1 or the budget below 0.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *others: Any,
        mini_batch_size: int = TEXTS_A_CHUNK,
        mini_batch_num_tokens: int | None = None,
        show_progress_bar: bool = False,
        memory_budget: int | None = None,
        **options: Any,
    ) -> None:
        if has_static_embedding_input(model):
            name = type(self).__name__
            raise ValueError(
                f"{name} cannot cut the inputs of a StaticEmbedding model into mini-batches; use "
                f"{name.removeprefix('Cached')}, whose memory is small for such a model"
            )
        if mini_batch_size < 1 or (mini_batch_num_tokens is not None and mini_batch_num_tokens < 1):
            raise ValueError("mini_batch_size and mini_batch_num_tokens must be at least 1")
        if memory_budget is not None and memory_budget < 0:
            raise ValueError(f"memory_budget={memory_budget} must be a number of bytes, 0 to keep no graph, or None")
        super().__init__(model, *others, **options)
        self.mini_batch_size = mini_batch_size
        self.mini_batch_num_tokens = mini_batch_num_tokens
        self.show_progress_bar = show_progress_bar
        self.memory_budget = memory_budget
        # The largest chunk of the last batch: texts, and tokens where chunks are cut by tokens.
        self._largest_chunk: tuple[int, int | None] | None = None

    def shrink_mini_batch(self) -> dict[str, int] | None:
        """Halve the mini-batches and keep no graph: the last batch did not fit in memory.

        Returns:
            the settings that changed, with their new values; None: the largest chunk of the last batch was one text,
            and no graph was kept.
        """
        if self._largest_chunk is None:
            return None
        texts, tokens = self._largest_chunk
        if texts == 1 and self.memory_budget == 0:
            return None
        changed = {"memory_budget": 0}
        if tokens is None:
            changed["mini_batch_size"] = max(1, texts // 2)
        else:
            changed["mini_batch_num_tokens"] = max(1, tokens // 2)
        for name, value in changed.items():
            setattr(self, name, value)
        return changed

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch; its backward pass is the cached one. ``labels`` are not used."""
        features = list(sentence_features)
        plan = self._plan(features)
        packs = plan.plan.packs
        budget = self.memory_budget
        if is_sharded(self.model):
            budget = 0  # all processes make the same number of passes, whatever each has free
            if self.mini_batch_num_tokens is not None:
                raise ValueError(
                    "mini_batch_num_tokens cuts the batch of each process differently, and with FSDP the processes "
                    "would wait for each other forever; use mini_batch_size"
                )
        ranges = [self._ranges(pack) for pack in packs]
        self._largest_chunk = self._largest(packs, ranges)
        plan = self._with_untrained(plan, features)
        chunks = embed_chunks(self, packs, ranges, budget)
        reps = [[chunk.embeddings for chunk in pack] for pack in chunks]
        if not torch.is_grad_enabled():
            return self.calculate_loss(reps, plan)
        loss = self.calculate_loss(reps, plan, with_backward=True)
        return cached_backward(self, loss, packs, ranges, chunks)

    def _ranges(self, pack: Pack) -> list[Range]:
        return pack.ranges(self.mini_batch_size, self.mini_batch_num_tokens)

    def _largest(self, packs: list[Pack], ranges: list[list[Range]]) -> tuple[int, int | None]:
        """The chunk with the most tokens, of several such the one with the most texts."""
        if any(pack.lengths is None for pack in packs):
            return max(end - begin for pack_ranges in ranges for begin, end in pack_ranges), self.mini_batch_num_tokens
        tokens, texts = max(
            (pack.computed_tokens([(begin, end)]), end - begin)
            for pack, pack_ranges in zip(packs, ranges, strict=True)
            for begin, end in pack_ranges
        )
        return texts, tokens

    def calculate_loss(  # type: ignore[override]
        self, reps: list[list[Tensor]], labels: UsedPlan | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """The loss over the whole batch from the embeddings of each pack's chunks.

        Args:
            reps: embeddings of the chunks of each pack of ``labels``; without a plan, of each column.
            labels: how the packs become columns (the place where sentence-transformers hands labels on).
            with_backward: send the gradients to ``reps`` and return the detached loss.
        """
        embeddings = [join(chunks) for chunks in reps]
        loss = self._loss(list(embeddings), None) if labels is None else self._loss_of(labels, embeddings)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card."""
        return {
            **super().get_config_dict(),
            "mini_batch_size": self.mini_batch_size,
            "mini_batch_num_tokens": self.mini_batch_num_tokens,
            "memory_budget": self.memory_budget,
        }


class CachedObjectiveLoss(GradientCached):
    """`ObjectiveLoss` with gradient caching (`GradientCached`): same loss, same gradients, any batch size.

    Args:
        model: see `ObjectiveLoss`.
        objective: see `ObjectiveLoss`.
        scale: see `ObjectiveLoss`.
        options: those of `ObjectiveLoss` and of `GradientCached`, by name.

    Raises:
        ValueError: see both.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        objective: str | Mapping[str, float] = "clear",
        scale: float = 20.0,
        **options: Unpack[CachedLossOptions],
    ) -> None:
        super().__init__(model, objective, scale, **options)
