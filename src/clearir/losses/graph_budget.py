"""How many graphs of forward passes are kept: as many as a budget of memory allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from clearir.support.memory import free_memory

# Of the free memory, where no budget is given: the rest is for gradients, the optimizer's state, one chunk's work.
SHARE_OF_FREE_MEMORY = 0.5


class GraphBudget:
    """Decides which chunks keep their graph (what autograd saves for the backward pass).

    What a chunk's graph holds is counted while it is made: every distinct storage that autograd saves, parameters
    left out. What the next one will hold is foretold from the last: per token it is at most what it was, times
    ``width / last width`` where the texts are longer (attention matrices). From the longest texts to the shortest, as
    they are packed, that is close and on the safe side. A graph that turns out to hold more than is left is dropped,
    so the kept ones never exceed the budget; the graph of one chunk beside them has to fit in any case. The first
    chunk is always tried.

    Args:
        parameters: the model's.
        budget: bytes that all kept graphs may hold together.
    """

    def __init__(self, parameters: Iterable[Tensor], budget: int) -> None:
        self.left = budget
        self._not_counted = {_storage(parameter) for parameter in parameters}
        self._last: tuple[int, int, int] | None = None

    def has_room(self, tokens: int, width: int) -> bool:
        """Whether to embed a chunk of ``tokens`` computed tokens, each text ``width`` wide, with its graph."""
        if self._last is None or self.left <= 0:
            return self.left > 0
        last_bytes, last_tokens, last_width = self._last
        return last_bytes * tokens / last_tokens * max(1.0, width / last_width) <= self.left

    @contextmanager
    def counting(self, tokens: int, width: int) -> Iterator[list[bool]]:
        """Count what the block saves and take it off the budget.

        Yields:
            a list that holds one bool after the block: whether the graph may be kept.
        """
        saved: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            key = _storage(tensor)
            if key not in self._not_counted:
                saved[key] = tensor.untyped_storage().nbytes()
            return tensor.detach()  # the tensor itself would make a cycle that keeps the graph alive

        verdict: list[bool] = []
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            yield verdict
        held = sum(saved.values())
        self._last = (held, max(tokens, 1), max(width, 1))
        verdict.append(held <= self.left)
        if verdict[0]:
            self.left -= held
            self._not_counted.update(saved)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def default_budget(device: torch.device) -> int:
    """Bytes for kept graphs where nothing else is said."""
    return int(free_memory(device) * SHARE_OF_FREE_MEMORY)
