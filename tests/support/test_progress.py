from __future__ import annotations

from contextlib import contextmanager

from clearir.support.progress import listening, task, track


def test_nobody_listens_by_default():
    assert list(track([1, 2], "x")) == [1, 2]


def test_a_listener_hears_tasks_and_steps():
    heard: list[object] = []

    @contextmanager
    def listener(description, total):
        heard.append((description, total))
        yield lambda amount=1.0: heard.append(amount)

    with listening(listener):
        assert list(track(["a", "b"], "Reading")) == ["a", "b"]
        with task("Training", 5) as advance:
            advance(3)
    assert heard == [("Reading", 2), 1, 1, ("Training", 5), 3]
    heard.clear()
    list(track([1], "x"))
    assert heard == []
