"""What clearir raises when the input, not the code, is at fault.

A message names the place (file, row, column, recipe key), what is wrong there, and what to type next. The command
line prints it as it stands and exits with status 2; nobody should ever see a traceback for bad input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ClearirError(Exception):
    """Base of all errors that a user can put right."""


class InputError(ClearirError, ValueError):
    """Data, a recipe or an argument that cannot be used as it is."""


class MissingExtraError(ClearirError, ImportError):
    """An optional dependency is not installed; the message holds the exact command that installs it."""


def first_line(error: BaseException) -> str:
    """What an error of a library says, for a message of ours: its first line, or else its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@contextmanager
def prefix_errors_with(*files: Path | str) -> Iterator[None]:
    """What is wrong with the contents of files, found where their names are not known, gets these in front."""
    try:
        yield
    except InputError as error:
        if any(str(file) in str(error) for file in files):
            raise
        raise InputError(f"{' and '.join(map(str, files))}: {error}") from error
