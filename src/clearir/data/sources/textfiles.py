"""Files of text -> numbered lines, whatever they are packed in."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from clearir.data.sources.checks import BadRowError
from clearir.errors import InputError

_UTF8 = "save the file as UTF-8 (iconv -f latin1 -t utf-8 OLD > NEW)"


def lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines as they are on disk, split at line feeds alone, without a byte order mark.

    Raises:
        InputError: no such file, it cannot be read to its end, or it is UTF-16.
    """
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InputError(f"{file}: this is UTF-16; {_UTF8.replace('latin1', 'utf-16')}")
                yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: cannot be read ({error}); fetch or make the file again") from error


def decoded(file: Path, number: int, raw: bytes) -> str:
    """A line as text.

    Raises:
        BadRowError: it is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRowError(f"{file}:{number}", f"byte {error.start + 1} of the line is not UTF-8", _UTF8) from error


class Texts:
    """The lines of a file as text.

    Attributes:
        faults: number of a line -> what is wrong with it, for those read so far. What could not be decoded stands in
            its text as half surrogate pairs, so that its cells can still be told apart.
    """

    def __init__(self, file: Path) -> None:
        self.faults: dict[int, BadRowError] = {}
        self._file = file

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Number and text of each line, its end included."""
        for number, raw in lines(self._file):
            try:
                yield number, decoded(self._file, number, raw)
            except BadRowError as bad:
                self.faults[number] = bad
                yield number, raw.decode(errors="surrogateescape")
