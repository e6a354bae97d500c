"""Progress without printing: the library reports, whoever shows it (the command line, a notebook) listens.

```python
for text in track(texts, "Encoding"):
    ...
with task("Training", total=50) as advance:
    advance()        # one step
    advance(3)       # three
```

Nobody listens by default, so a library call stays silent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

T = TypeVar("T")
Advance = Callable[..., None]
Listener = Callable[[str, float | None], AbstractContextManager[Advance]]


def silent(description: str, total: float | None) -> AbstractContextManager[Advance]:
    """The listener that shows nothing."""
    return nullcontext(lambda amount=1.0: None)


_listener: Listener = silent


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Show progress through ``listener`` for the duration of the block."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def task(description: str, total: float | None = None) -> AbstractContextManager[Advance]:
    """A piece of work of ``total`` steps; the block gets a function that advances it."""
    return _listener(description, total)


def track(items: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """Yield ``items``, one step each."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with task(description, total) as advance:
        for item in items:
            yield item
            advance(1)
