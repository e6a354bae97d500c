"""Gradient caching (GradCache, arXiv 2101.06983) over packs.

Chunks are embedded without a graph and embedded again for the backward pass, with their random state replayed; the
replay itself, with its care for DistributedDataParallel, is that of sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import tqdm
from sentence_transformers.base.losses.gradcache import RandContext, _backward_hook
from torch import Tensor

from clearir.losses.packing import Pack, Range


@dataclass(frozen=True)
class Chunk:
    """One forward pass: its embeddings ``(texts, dim)``, a leaf, and the random state that it began with."""

    embeddings: Tensor
    random_state: RandContext | None


def embed_chunks(loss: Any, packs: list[Pack], ranges: list[list[Range]]) -> list[list[Chunk]]:
    """Embed every chunk without a graph; its embeddings are leaves that collect gradients."""
    grad_enabled = torch.is_grad_enabled()
    chunks: list[list[Chunk]] = []
    for pack, pack_ranges in zip(packs, ranges, strict=True):
        done = []
        for begin, end in tqdm.tqdm(pack_ranges, "Embed mini-batches", disable=not loss.show_progress_bar):
            features = pack.chunk(begin, end)
            with torch.no_grad():
                state = RandContext(*features.values()) if grad_enabled else None
                embeddings = loss.model(features)["sentence_embedding"]
            done.append(Chunk(embeddings.detach().requires_grad_(grad_enabled), state))
        chunks.append(done)
    return chunks


def cached_backward(
    loss: Any, value: Tensor, packs: list[Pack], ranges: list[list[Range]], chunks: list[list[Chunk]]
) -> Tensor:
    """The loss ``value`` as a leaf whose backward pass sends the chunks' cached gradients through the model."""
    value = value.detach().requires_grad_()
    value.register_hook(
        partial(
            _backward_hook,
            sentence_features=cast(Any, packs),  # the hook hands them on to embed_minibatch_iter, no more
            loss_obj=_Replay(loss),
            cache=[[_gradient(chunk) for chunk in pack] for pack in chunks],
            random_states=cast(Any, [[chunk.random_state for chunk in pack] for pack in chunks]),
            ranges=cast(Any, ranges),
        )
    )
    return value


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
                yield self.model(sentence_feature.chunk(begin, end))["sentence_embedding"], None
