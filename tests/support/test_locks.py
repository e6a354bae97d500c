from __future__ import annotations

import multiprocessing

import pytest

from clearir.support.errors import InputError
from clearir.support.locks import alone, alone_in

FORK = multiprocessing.get_context("fork")


def hold(lock, held, done) -> None:
    with lock:
        held.set()
        done.wait(60)


@pytest.mark.parametrize(("how", "file"), [(alone, ".out.lock"), (alone_in, "out/.lock")])
def test_one_process_writes_and_another_is_told(tmp_path, how, file):
    path, held, done = tmp_path / "out", FORK.Event(), FORK.Event()
    holder = FORK.Process(target=hold, args=(how(path), held, done))
    holder.start()
    assert held.wait(60)
    with pytest.raises(InputError, match="out: another process is writing it; wait until that has ended"), how(path):
        pass
    assert (tmp_path / file).exists()
    with how(tmp_path / "other"):
        pass
    done.set()
    holder.join()
    with how(path):
        pass
    assert list(tmp_path.iterdir()) == [], "no trace is left"


def test_a_killed_process_lets_go(tmp_path):
    held = FORK.Event()
    holder = FORK.Process(target=hold, args=(alone(tmp_path / "out"), held, FORK.Event()))
    holder.start()
    assert held.wait(60)
    holder.kill()
    holder.join()
    with alone(tmp_path / "out"):
        pass


def test_blocks_of_one_process_may_stand_in_one_another(tmp_path):
    with alone(tmp_path / "a" / "b" / "out"), alone(tmp_path / "a" / "b" / "out"):
        assert (tmp_path / "a" / "b" / ".out.lock").exists()
    assert list(tmp_path.iterdir()) == [], "folders in which nothing was written are gone"
    with alone(tmp_path / "a" / "out"):
        (tmp_path / "a" / "out").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]


def test_a_place_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: .*; check the path"), alone(tmp_path / "file" / "out"):
        pass
