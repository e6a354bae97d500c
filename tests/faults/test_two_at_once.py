"""Two processes that would write the same output: the second is told so before it has done anything."""

from __future__ import annotations

import multiprocessing

import pytest
import workbench

from clearir.support.locks import alone, alone_in

FORK = multiprocessing.get_context("fork")


def hold(lock, held, done) -> None:
    with lock:
        held.set()
        done.wait(60)


@pytest.mark.parametrize("name", ["translate", "prepare", "mine", "train", "evaluate", "index"])
def test_the_second_is_told_and_writes_nothing(name, tmp_path, tiny_model_path, clearir):
    if name == "index":
        pytest.importorskip("lancedb", reason="the extra search is not installed")
    workbench.write_inputs(tmp_path / "in", count=30)
    command = workbench.commands(tmp_path / "in", tiny_model_path, tmp_path / "out")[name]
    lock = alone_in(tmp_path / "out" / "run") if name in ("prepare", "train") else alone(command.outputs[0])
    held, done = FORK.Event(), FORK.Event()
    first = FORK.Process(target=hold, args=(lock, held, done))
    first.start()
    assert held.wait(60)
    status, _, message = clearir(*command.arguments, *([] if name == "train" else ["--overwrite"]))
    assert status == 2
    assert "another process is writing it; wait until that has ended, or choose another output" in message
    assert not any(output.exists() for output in command.outputs)
    done.set()
    first.join()
    assert clearir(*command.arguments)[0] == 0
    assert all(output.exists() for output in command.outputs)
    assert not list((tmp_path / "out").rglob("*.lock"))
