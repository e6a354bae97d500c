"""Files of text -> numbered lines, whatever they are packed in and however they are encoded.

UTF-8 throughout, or UTF-16 and UTF-32 where a byte order mark says so. Tables that old programs saved (`TextLines`) may
be in another encoding, if every line that is not ASCII is in that one and none is UTF-8.
"""

from __future__ import annotations

import codecs
import gzip
import io
import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from clearir.data.sources.checks import BadRowError
from clearir.support.errors import InputError

#: how the names of text files with tables end
TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)  # RuntimeError: a password is needed
_MARKS = {  # longest first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_TO_UTF8 = "save the file as UTF-8 (iconv -f cp1252 -t utf-8 OLD > NEW, where cp1252 is Windows in Western Europe)"
# What Windows calls by these names has more characters than what Python does.
_OF_WINDOWS = {"shift_jis": "cp932", "euc-kr": "cp949", "gbk": "gb18030"}
#: control characters that no text has (C1, without the line break U+0085), but one that was decoded wrongly
CONTROLS = re.compile("[\x80-\x84\x86-\x9f]")

logger = logging.getLogger(__name__)


def lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines as UTF-8 says them, split at line feeds alone, without a byte order mark.

    ``.gz`` and ``.zip`` are unpacked on the way.

    Raises:
        InputError: no such file, or it cannot be read to its end.
    """
    try:
        with _opened(file) as stream:
            for number, raw in enumerate(_as_utf8(file, stream), start=1):
                yield number, raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; check the path") from error
    except _UNREADABLE as error:
        raise InputError(f"{file}: cannot be read ({error}); fetch or make the file again") from error


def decoded(file: Path, number: int, raw: bytes) -> str:
    """A line as text.

    Raises:
        BadRowError: it is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRowError(f"{file}:{number}", f"byte {error.start + 1} of the line is not UTF-8", _TO_UTF8) from error


class TextLines:
    """The lines of a table as text, in UTF-8 or in the one encoding that it is in without doubt, which is logged.

    Attributes:
        faults: number of a line -> what is wrong with it, for those read so far. What could not be decoded stands in
            its text as half surrogate pairs, so that its cells can still be told apart.
    """

    def __init__(self, file: Path) -> None:
        self.faults: dict[int, BadRowError] = {}
        self._file = file

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Number and text of each line, its end included."""
        encoding, ascii_so_far = "utf-8", True
        for number, raw in lines(self._file):
            if ascii_so_far and not _is_utf8(raw):
                encoding = _other_encoding(self._file) or encoding
            ascii_so_far = ascii_so_far and raw.isascii()
            try:
                yield number, raw.decode(encoding) if encoding != "utf-8" else decoded(self._file, number, raw)
            except BadRowError as bad:
                self.faults[number] = bad
                yield number, raw.decode(errors="surrogateescape")


def unpacked_name(file: Path) -> str:
    """The name of what a file holds: ``a.csv`` of ``a.csv.gz``, and of a ``.zip`` with that one table.

    Raises:
        InputError: a ``.zip`` that cannot be read, or that does not hold one table.
    """
    if not _is_zip(file):
        return file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    try:
        with zipfile.ZipFile(file) as archive:
            return PurePosixPath(_member(file, archive)).name
    except _UNREADABLE as error:
        raise InputError(f"{file}: cannot be read ({error}); fetch or make the file again") from error


def _is_zip(file: Path) -> bool:
    return file.suffix.lower() == ".zip"


def _member(file: Path, archive: zipfile.ZipFile) -> str:
    """The one table of an archive. What macOS and hidden files add is passed over."""
    found = []
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.suffix.lower() in TEXT_SUFFIXES and not any(part.startswith((".", "__MACOSX")) for part in path.parts):
            found.append(name)
    if not found:
        raise InputError(f"{file}: no table in it ({', '.join(TEXT_SUFFIXES)}); unpack it, and give what it holds")
    if len(found) > 1:
        names = f"{', '.join(found[:4])} and {len(found) - 4} more" if len(found) > 5 else " and ".join(found)
        raise InputError(f"{file}: holds several tables, {names}; unpack it, and give the file or the folder")
    return found[0]


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if _is_zip(file):
        with zipfile.ZipFile(file) as archive, archive.open(_member(file, archive)) as stream:
            yield stream
    else:
        opened = gzip.open if file.name.lower().endswith(".gz") else open
        with cast(IO[bytes], opened(file, "rb")) as stream:
            yield stream


def _as_utf8(file: Path, stream: IO[bytes]) -> Iterator[bytes]:
    buffered = io.BufferedReader(stream)  # type: ignore[type-var]  # gzip and zip give no raw stream, but one that reads
    start = buffered.peek(4)[:4]
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if encoding is None:
        _refuse_unmarked(file, start)
        yield from buffered
        return
    try:
        for line in io.TextIOWrapper(buffered, encoding=encoding, newline="\n"):
            yield line.encode()
    except UnicodeError as error:
        raise InputError(f"{file}: not whole {encoding} ({error}); fetch or make the file again") from error


def _refuse_unmarked(file: Path, start: bytes) -> None:
    """Two letters in UTF-16 have a zero each, before or behind."""
    for order, zeros in (("le", start[1::2]), ("be", start[::2])):
        if zeros == b"\0\0" and start.strip(b"\0"):
            raise InputError(
                f"{file}: this seems to be UTF-16 ({order}) without a byte order mark; save it as UTF-8 (iconv -f"
                f" utf-16{order} -t utf-8 OLD > NEW)"
            )


# -- encodings ------------------------------------------------------------------------------------------------------


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _other_encoding(file: Path) -> str | None:
    """The encoding of a table that is not UTF-8; None where that is in doubt.

    It has to be that of all its lines: a line that is not ASCII and is UTF-8 is so by no accident, so that others are
    damaged. And a file that only ends in the middle of a character was cut off.
    """
    try:
        from chardetng_py import EncodingDetector
    except ImportError:  # not every platform has it
        return None
    detector = EncodingDetector()
    number, sample, cut = 0, b"", True
    for line, raw in lines(file):
        if raw.isascii():
            continue
        if _is_utf8(raw):
            return None
        cut = cut and not raw.endswith(b"\n") and _is_utf8(raw[:-1].rstrip(bytes(range(0x80, 0x100))))
        number, sample = (number, sample) if sample else (line, raw)
        detector.feed(raw, last=False)
    name = str(detector.guess(tld=None, allow_utf8=False))
    encoding = _OF_WINDOWS.get(name.lower(), name)
    if cut or not _fits(file, encoding):
        return None
    shown = _around(sample.decode(encoding).strip())
    again = "If that is wrong, save the file as UTF-8"
    logger.warning("%s: not UTF-8, read as %s; line %d: %r. %s", file, encoding, number, shown, again)
    return encoding


def _around(line: str) -> str:
    """A line, or of a long one what is near the first character that is not ASCII."""
    odd = next(place for place, character in enumerate(line) if not character.isascii())
    start = 0 if len(line) <= 100 else max(0, odd - 40)
    return line[start : start + 100]


def _fits(file: Path, encoding: str) -> bool:
    """Whether all lines are text in that encoding, without the control characters that no text has."""
    try:
        return not any(CONTROLS.search(raw.decode(encoding)) for _, raw in lines(file) if not raw.isascii())
    except (UnicodeError, LookupError):
        return False
