"""What a full, read-only or forbidden disk looks like in the errors of the libraries that write and read."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearir.support.errors import ClearirError, InputError, first_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL_WORDS = ("No space left", "disk is full", "File too large", "quota exceeded", "os error 28")
_FORBIDDEN_WORDS = ("Permission denied", "Read-only file system", "readonly database", "unable to open database")
# What libraries raise that say no more than that a write failed (torch.save, SQLite).
_FAILED_WRITE = ("PytorchStreamWriter", "unexpected pos", "disk I/O error")
# See `clearir.support.artifacts` and `clearir.support.locks`: what stands beside an output until it is whole.
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8}-\d+\.\w{8}(\..*)?|lock)|\.lock")


def disk_problem(error: BaseException, place: Path) -> str | None:
    """The message for an error that the disk is to blame for, None for any other.

    Args:
        error: of any library.
        place: what was being written or read, for errors that do not say it.
    """
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL or _holds(text, _FULL_WORDS) or (_holds(text, _FAILED_WRITE) and _is_full(place)):
        return f"{place}: no space left on the disk; free some or choose another place, then run the same again"
    if number in _FORBIDDEN or _holds(text, _FORBIDDEN_WORDS):
        what = os.strerror(number) if number is not None else first_line(error)
        return f"{_named(error) or place}: {what}; change its rights, or choose another place"
    if number in (errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOENT):
        return f"{_named(error) or place}: {os.strerror(number or 0)}; check the path"
    return None


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the disk is to blame for into an `InputError` that names ``place``."""
    try:
        yield
    except ClearirError:
        raise
    except Exception as error:
        problem = disk_problem(error, place)
        if problem is None:
            raise
        raise InputError(problem) from error


def _holds(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _is_full(place: Path) -> bool:
    there = next((folder for folder in (place, *place.parents) if folder.exists()), None)
    return there is not None and shutil.disk_usage(there).free < 1 << 20


def _named(error: BaseException) -> str | None:
    """The file that an error names, unless it is a temporary one behind an output."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str) or any(_TEMPORARY.fullmatch(part) for part in Path(name).parts):
        return None
    return name
