from __future__ import annotations

import pytest

from clearir import console


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
