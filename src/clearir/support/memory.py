"""How much memory there is, whether it was refused, and how the allocator of a CPU keeps what is freed."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

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
