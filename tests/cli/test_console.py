from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from clearir.cli import console


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3661, "1:01:01")])
def test_clock(seconds, shown):
    assert console.clock(seconds) == shown


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.console.capture() as captured, console.show_progress("Training", 10) as advance:
        for _ in range(10):
            now[0] += 10.0
            advance()
    lines = captured.get().splitlines()
    # Steps take 10 s and a line comes after at least 15 s: after 2, 4, 6, 8 and 10 steps; 8 steps are 80 s left.
    assert lines[0] == "Training: 2 of 10, 1:20 left"
    assert lines[1] == "Training: 4 of 10, 1:00 left"
    assert lines[-1] == "Training: done in 1:40"
    assert len(lines) == 6


def test_what_takes_no_time_is_not_mentioned():
    with console.console.capture() as captured, console.show_progress("Reading", None) as advance:
        advance()
    assert captured.get() == ""


@pytest.fixture
def terminal(monkeypatch) -> StringIO:
    """What a terminal would show."""
    written = StringIO()
    monkeypatch.setattr(console, "console", Console(file=written, force_terminal=True, width=80))
    return written


def test_of_a_bar_inside_a_bar_the_outer_one_is_shown(terminal):
    for _ in range(2):  # the second time nothing is left of the first
        with console.show_progress("Outer", 2) as outer, console.show_progress("Inner", 5) as inner:
            inner(5)
            outer(2)
    assert terminal.getvalue().count("2/2") >= 2
    assert "Inner" not in terminal.getvalue()


def test_a_bar_that_ends_in_an_error_does_not_hide_the_next_one(terminal):
    with pytest.raises(ValueError, match="wrong"), console.show_progress("First", 1):
        raise ValueError("wrong")
    with console.show_progress("Second", 1) as advance:
        advance()
    assert "Second" in terminal.getvalue()
