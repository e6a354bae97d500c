"""Gradients of large embedding tables: once a batch instead of once a chunk.

torch makes the gradient of an embedding table as large as the table. For each chunk that goes backward it clears such a
matrix, writes a few thousand rows of it and adds all of it to what is there: with the 250,000 words of a multilingual
vocabulary that takes longer than some layers. Here the vectors that a chunk looks up leave the graph, and their
gradients go to the table together, when all chunks are through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class TableGradients:
    """Holds back what the embedding tables of a model get from each chunk.

    Gradients that wait never take more memory than the table's own.

    Args:
        model: any module. Under torch.compile, DistributedDataParallel or FSDP, which count on every gradient coming
            out of its own backward pass, nothing is held back.
    """

    def __init__(self, model: nn.Module) -> None:
        self._tables = [] if _counts_on_each(model) else [one for one in model.modules() if _is_plain_table(one)]
        self._waiting: dict[nn.Embedding, list[tuple[Tensor, Tensor]]] = {}

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """For the forward pass of a chunk: backward passes through it leave the tables out until `send`."""
        hooks = [table.register_forward_hook(self._cut) for table in self._tables]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def send(self) -> None:
        """Send the gradients that wait to their tables."""
        for table in list(self._waiting):
            self._send(table)

    def _cut(self, table: nn.Module, inputs: tuple[Any, ...], vectors: Tensor) -> Tensor | None:
        """In place of what the table gives: the same vectors, whose gradients come to `_take`."""
        assert isinstance(table, nn.Embedding)
        ids = inputs[0] if inputs else None
        if ids is None or not vectors.requires_grad or ids.numel() >= table.num_embeddings:
            return None
        cut: Tensor = _Cut.apply(vectors.detach().requires_grad_(), partial(self._take, table, ids))  # type: ignore[no-untyped-call]
        return cut

    def _take(self, table: nn.Embedding, ids: Tensor, gradient: Tensor) -> None:
        waiting = self._waiting.setdefault(table, [])
        waiting.append((ids.flatten(), gradient.flatten(0, -2)))
        if sum(len(one) for one, _ in waiting) >= table.num_embeddings:
            self._send(table)

    def _send(self, table: nn.Embedding) -> None:
        ids, gradients = zip(*self._waiting.pop(table), strict=True)
        with torch.enable_grad():  # no hooks of the module: they were called with the chunk
            table.forward(torch.cat(ids)).backward(torch.cat(gradients))


class _Cut(torch.autograd.Function):
    """The identity, whose gradient goes to a function instead of backward."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, take: Any) -> Tensor:
        """The same vectors; ``take`` gets their gradient."""
        ctx.take = take
        return vectors.view_as(vectors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        """Nothing goes further."""
        ctx.take(gradient)
        return None, None


def _is_plain_table(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Embedding)
        and module.weight.requires_grad
        and not (module.sparse or module.scale_grad_by_freq or module.max_norm)
    )


def _counts_on_each(model: nn.Module) -> bool:
    wrapped = {"OptimizedModule", "DistributedDataParallel", "FullyShardedDataParallel", "FSDPModule"}
    return any(
        not wrapped.isdisjoint(kind.__name__ for kind in type(module).__mro__)
        or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
