"""How much memory there is, and how much of it the graphs of forward passes hold."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from torch import Tensor

# Of the free memory, where no budget is given: the rest is for gradients, the optimizer's state, one chunk's work.
SHARE_OF_FREE_MEMORY = 0.5

# What oneDNN on a CPU, and cuBLAS, say when memory is refused, and no more.
_NO_KERNEL = "could not create a primitive"
_REFUSED = (_NO_KERNEL, "could not create a memory object", "ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused: on an accelerator (torch), or on the CPU (torch or Python)."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return should_reduce_batch_size(error) or any(words in str(error) for words in _REFUSED)


def release_memory(device: torch.device, refusal: str) -> None:
    """Hand back what a step that did not fit still holds, so that it can be tried again.

    oneDNN makes no kernel any more in a thread where it was refused memory for one: from there on this process does
    without oneDNN.

    Args:
        device: where the step was computed.
        refusal: what the error said.
    """
    gc.collect()  # graphs may hang in cycles
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if _NO_KERNEL in refusal:
        torch.backends.mkldnn.set_flags(False)


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


def free_memory(device: torch.device) -> int:
    """Bytes that a process can still take on ``device``; 0 where that is not known.

    On the CPU: what the machine or the container has left, shared among the processes that torchrun has started, and
    what this process has freed and kept.
    """
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + held)
    if device.type == "cpu":
        free = min(psutil.virtual_memory().available, *_container_free())
        return int(free) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) + _freed_and_kept()
    return 0


def _container_free(cgroup: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What the container's memory limit leaves (cgroup v2, then v1); nothing where there is no limit."""
    free = []
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            allowed = int((cgroup / limit).read_text())  # "max": no limit, no number
            stat = (cgroup / limit).with_name("memory.stat").read_text().split()
            reclaimable = int(stat[stat.index(cache) + 1])
            free.append(max(0, allowed - int((cgroup / used).read_text()) + reclaimable))
        except (OSError, ValueError):
            continue
    return free


def default_budget(device: torch.device) -> int:
    """Bytes for kept graphs where nothing else is said."""
    return int(free_memory(device) * SHARE_OF_FREE_MEMORY)


# -- glibc ------------------------------------------------------------------------------------------------------

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER, _DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = -1, 128 * 1024, 65536


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """In the block, memory that this process frees stays its own.

    A training step on a CPU frees gigabytes that the next one takes again. glibc hands large blocks back to the
    system, which clears every page anew: at 512 tokens that is a third of a step (docs/performance.md). The end of
    the block hands back what is free. Where there is no glibc nothing happens.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
        libc.mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        libc.malloc_trim(0)


def _freed_and_kept() -> int:
    libc = _glibc()
    return int(libc.mallinfo2().fordblks) if libc is not None else 0


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is a glibc that counts in 64 bits (2.33 or later)."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallinfo2.restype = _MallInfo
    except (OSError, AttributeError):
        return None
    return libc
