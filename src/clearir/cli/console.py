"""How progress, tables and errors look in a terminal. With `clearir.cli.app` the only place that prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from clearir.support.progress import Advance

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

#: seconds between two lines about the same task where there is no terminal to draw a bar in
QUIET_INTERVAL = 15.0

_bar_is_shown = False


@contextmanager
def show_progress(description: str, total: float | None) -> Iterator[Advance]:
    """A bar with time left; where the output is no terminal, a line now and then."""
    with _bar(description, total) if console.is_terminal else _lines(description, total) as advance:
        yield advance


@contextmanager
def _bar(description: str, total: float | None) -> Iterator[Advance]:
    """A bar; of a bar inside a bar the outer one keeps the line."""
    global _bar_is_shown
    if _bar_is_shown:
        yield lambda amount=1.0: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        bar = progress.add_task(description, total=total)
        _bar_is_shown = True
        try:
            yield lambda amount=1.0: progress.advance(bar, amount)
        finally:
            _bar_is_shown = False


@contextmanager
def _lines(description: str, total: float | None) -> Iterator[Advance]:
    begun = said = time.monotonic()
    done = 0.0

    def advance(amount: float = 1.0) -> None:
        nonlocal done, said
        done += amount
        now = time.monotonic()
        if now - said < QUIET_INTERVAL:
            return
        said = now
        if total:
            left = (now - begun) / done * max(total - done, 0.0) if done else 0.0
            console.print(f"{description}: {done:,.0f} of {total:,.0f}, {clock(left)} left")
        else:
            console.print(f"{description}: {done:,.0f}, {clock(now - begun)}")

    yield advance
    if time.monotonic() - begun >= 2:
        console.print(f"{description}: done in {clock(time.monotonic() - begun)}")


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
