"""One process at a time writes an output.

The system lets go of a lock when the process that holds it ends, however it ends. On a disk that several machines
share the lock holds between them where the disk supports it (NFS does).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearir.support.disk import disk_errors
from clearir.support.errors import InputError


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let no other process write the file or folder ``path`` during the block. Blocks may stand in one another.

    Raises:
        InputError: another process writes it now, or the disk does not let us.
    """
    with _held(path, path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Like `alone` for a folder that stays where it is and has outputs in it; it is made if it is not there."""
    with _held(folder, folder / ".lock"):
        yield


@contextmanager
def _held(path: Path, file: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    made = [folder for folder in file.parents if not folder.exists()]
    with disk_errors(path):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.parent.resolve() / file.name, is_singleton=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"{path}: another process is writing it; wait until that has ended, or choose another output"
            ) from None
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):
                file.unlink()
        lock.release()
        with suppress(OSError):  # where nothing was written
            for folder in made:
                folder.rmdir()
