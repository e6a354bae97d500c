"""Gradient caching (GradCache, arXiv 2101.06983) over packs, for as few chunks as memory allows.

Chunks are embedded with their graph as long as the graphs fit in a budget of bytes; those of the others are not kept,
and these chunks are embedded again for the backward pass, with their random state replayed. The replay itself, with
its care for DistributedDataParallel, is that of sentence-transformers. With no budget all chunks are replayed
(GradCache); with an ample one none is, and a batch costs one forward pass instead of two.

The chunks with the longest texts come first and keep their graph first: a kept graph saves a forward pass, and where
attention saves no score matrix (flash attention) a long text costs more time for each byte that its graph holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import tqdm
from sentence_transformers.base.losses.gradcache import RandContext, _backward_hook
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from clearir.losses.embeddings import embed
from clearir.losses.graph_budget import GraphBudget, default_budget
from clearir.losses.packing import Features, Pack, Range


@dataclass(frozen=True)
class Chunk:
    """One forward pass.

    Attributes:
        embeddings: ``(texts, dim)`` or ``(texts, tokens, dim)``, a leaf that collects gradients.
        random_state: what the forward pass began with; None where no gradient is wanted.
        graph: the same embeddings with their graph; None: the chunk has to be replayed.
    """

    embeddings: Tensor
    random_state: RandContext | None
    graph: Tensor | None = None


def embed_chunks(
    loss: Any, packs: list[Pack], ranges: list[list[Range]], memory_budget: int | None = None
) -> list[list[Chunk]]:
    """Embed every chunk, with its graph as long as ``memory_budget`` bytes (None: `default_budget`) allow."""
    grad_enabled = torch.is_grad_enabled()
    budget = _graph_budget(loss.model, memory_budget) if grad_enabled else None
    left = sum(map(len, ranges))
    chunks: list[list[Chunk]] = []
    for pack, pack_ranges in zip(packs, ranges, strict=True):
        done = []
        for begin, end in tqdm.tqdm(pack_ranges, "Embed mini-batches", disable=not loss.show_progress_bar):
            left -= 1
            # With DDP the last chunk is always replayed, and the replay synchronises the gradients of all.
            may_keep = left > 0 or not _is_ddp(loss.model)
            done.append(_embed_chunk(loss.model, pack.chunk(begin, end), budget if may_keep else None, grad_enabled))
        chunks.append(done)
    return chunks


def _embed_chunk(model: Any, features: Features, budget: GraphBudget | None, grad_enabled: bool) -> Chunk:
    state = RandContext(*features.values()) if grad_enabled else None
    tokens, width = _size(features)
    if budget is None or not budget.has_room(tokens, width):
        with torch.no_grad():
            embeddings = embed(model, features)
        return Chunk(embeddings.requires_grad_(grad_enabled), state)
    with _without_sync(model), budget.counting(tokens, width) as fits:
        embeddings = embed(model, features)
    return Chunk(embeddings.detach().requires_grad_(), state, embeddings if fits[0] else None)


def _size(features: Features) -> tuple[int, int]:
    """Computed tokens of a chunk, and of its longest text."""
    ids = features["input_ids"]
    return ids.numel(), int(features.get("max_length_q", ids.shape[-1]))


def _graph_budget(model: Any, memory_budget: int | None) -> GraphBudget | None:
    """None where no graph can be kept, or none is to be: parameters that FSDP shares have no memory to look at.

    Layers under gradient checkpointing hide from the count what they keep, and DDP with a static graph wants forward
    and backward passes in turn.
    """
    if memory_budget == 0 or getattr(_unwrapped(model), "static_graph", False):
        return None
    if any(getattr(module, "gradient_checkpointing", False) for module in model.modules()):
        return None
    parameters = list(model.parameters())
    if memory_budget is None:
        memory_budget = default_budget(parameters[0].device) if parameters else 0
    return GraphBudget(parameters, memory_budget)


def _unwrapped(model: Any) -> Any:
    return getattr(model, "_orig_mod", model)


def is_sharded(model: Any) -> bool:
    """Whether the model is under FSDP (1 or 2)."""
    kinds = {kind.__name__ for kind in type(_unwrapped(model)).__mro__}
    return not kinds.isdisjoint({"FullyShardedDataParallel", "FSDPModule"})


def _is_ddp(model: Any) -> bool:
    return isinstance(_unwrapped(model), DistributedDataParallel)


def _without_sync(model: Any) -> AbstractContextManager[None]:
    return cast(AbstractContextManager[None], _unwrapped(model).no_sync()) if _is_ddp(model) else nullcontext()


def cached_backward(
    loss: Any, value: Tensor, packs: list[Pack], ranges: list[list[Range]], chunks: list[list[Chunk]]
) -> Tensor:
    """The loss ``value`` as a leaf whose backward pass sends the chunks' cached gradients through the model."""
    value = value.detach().requires_grad_()
    kept = [chunk for pack in chunks for chunk in pack if chunk.graph is not None and chunk.graph.requires_grad]
    value.register_hook(partial(_backward_kept, model=loss.model, chunks=kept))
    replayed = [
        [(one, chunk) for one, chunk in zip(pack_ranges, pack, strict=True) if chunk.graph is None]
        for pack_ranges, pack in zip(ranges, chunks, strict=True)
    ]
    if any(replayed):
        value.register_hook(
            partial(
                _backward_hook,
                sentence_features=cast(Any, packs),  # the hook hands them on to embed_minibatch_iter, no more
                loss_obj=_Replay(loss),
                cache=[[_gradient(chunk) for _, chunk in pack] for pack in replayed],
                random_states=cast(Any, [[chunk.random_state for _, chunk in pack] for pack in replayed]),
                ranges=cast(Any, [[one for one, _ in pack] for pack in replayed]),
            )
        )
    return value


def _backward_kept(grad_output: Tensor, model: Any, chunks: list[Chunk]) -> None:
    """Send the cached gradients through the kept graphs, which frees what these hold.

    Hooks run in the order in which they were registered, so this memory is free before the first replay.
    """
    with _without_sync(model):
        for chunk in chunks:
            graph = cast(Tensor, chunk.graph)
            graph.backward((_gradient(chunk) * grad_output).to(graph.dtype))


def _gradient(chunk: Chunk) -> Tensor:
    gradient = chunk.embeddings.grad
    return torch.zeros_like(chunk.embeddings) if gradient is None else gradient


class _Replay:
    """What the backward hook of sentence-transformers asks of a loss, for packs."""

    def __init__(self, loss: Any) -> None:
        self.model = loss.model

    def embed_minibatch_iter(
        self,
        sentence_feature: Pack,
        with_grad: bool,
        copy_random_state: bool,
        random_states: list[RandContext],
        ranges: list[Range],
    ) -> Iterator[tuple[Tensor, None]]:
        """Embed the chunks again as they were embedded first."""
        for (begin, end), random_state in zip(ranges, random_states, strict=True):
            with random_state, torch.enable_grad() if with_grad else nullcontext():
                yield embed(self.model, sentence_feature.chunk(begin, end)), None
