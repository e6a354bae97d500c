"""Several processes of one run, as torchrun and ``accelerate launch`` start them: one prepares, all train, one writes.

```python
rows = first_only(read_rows)   # the first process reads; all get what it returns, or stop where it fails
```

In a single process all of this does nothing, and torch is not imported for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

from clearir.support.errors import ClearirError

T = TypeVar("T")

#: Preparing and mining a large corpus takes hours, and the other processes wait for it.
PATIENCE = timedelta(days=30)

_waiting_group: Any = None


class FirstProcessError(ClearirError):
    """The first process has stopped and said why; the others need not say anything."""


def count() -> int:
    """Processes of this run."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this process does what is done once: it writes the files and shows the progress."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


def shares_model() -> bool:
    """Whether the processes share one model's weights among them (FSDP), so that none has them whole."""
    from accelerate.utils import parse_flag_from_env

    return bool(parse_flag_from_env("ACCELERATE_USE_FSDP"))


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes for the block, and leave them behind at its end.

    Where the block fails the others are not waited for: whoever started the processes ends them.
    """
    _join()
    yield
    _leave()


def first_only(work: Callable[[], T]) -> T:
    """Run ``work`` in the first process alone; the others wait, as long as it takes.

    Returns:
        what ``work`` returned, in every process.

    Raises:
        FirstProcessError: in the others, when ``work`` failed.
        ClearirError: a process is gone.
    """
    if count() == 1:
        return work()
    if not is_first():
        done, result = _from_first(None)
        if not done:
            raise FirstProcessError("the first process of this run stopped; its own message says why")
        return cast(T, result)
    try:
        result = work()
    except BaseException:
        with suppress(ClearirError):  # the others may be gone as well
            _from_first((False, None))
        raise
    _from_first((True, result))
    return result


def wait() -> None:
    """Go on when all processes have come here."""
    mean([0.0])


def mean(values: Sequence[float]) -> list[float]:
    """The mean over all processes of each value.

    Raises:
        ClearirError: a process is gone.
    """
    if count() == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    shared = torch.tensor(values, dtype=torch.float64)
    with report_lost_process():
        dist.all_reduce(shared, group=_join())
    return [float(value) for value in shared / count()]


def _from_first(outcome: tuple[bool, Any] | None) -> tuple[bool, Any]:
    import torch.distributed as dist

    shared = [outcome]
    with report_lost_process():
        dist.broadcast_object_list(shared, src=0, group=_join())
    assert shared[0] is not None
    return shared[0]


@contextmanager
def report_lost_process() -> Iterator[None]:
    """Say it plainly where the block fails because another process is gone.

    Raises:
        ClearirError: a process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        # NCCL's errors have a type of their own, those of gloo name their source file.
        if count() == 1 or not (type(error).__name__.startswith("Dist") or "gloo" in str(error)):
            raise
        raise ClearirError(
            f"{socket.gethostname()}, process {os.environ['RANK']}: another process of this run is gone; its own "
            "message says why. Start the run again: it resumes from the last checkpoint"
        ) from error


def _join() -> Any:
    """The group that waits. Made of gloo, whose patience does not end as that of NCCL does."""
    global _waiting_group
    if count() > 1 and _waiting_group is None:
        import torch.distributed as dist
        from accelerate import PartialState
        from accelerate.utils import parse_flag_from_env
        from sentence_transformers.util import get_device_name

        # As the Trainer would do it, which takes over what is there.
        PartialState(cpu=get_device_name() == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU"))
        _waiting_group = dist.new_group(backend="gloo", timeout=PATIENCE)
    return _waiting_group


def _leave() -> None:
    global _waiting_group
    if _waiting_group is not None:
        import torch.distributed as dist

        _waiting_group = None
        dist.destroy_process_group()
