"""CSV and TSV -> records, each with its place.

CSV has quotation marks around cells that hold separators, marks or line breaks (RFC 4180). TSV has none
(text/tab-separated-values, as MS MARCO and BEIR write it): a mark is a character. Programs that write CSV also write
TSV with quoted cells, so a cell is unquoted where it would have to be quoted, and lines are put together only where
one alone has too few cells and all of them make a whole row.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from clearir.data.sources.checks import BadRowError
from clearir.data.sources.textfiles import TextLines
from clearir.support.errors import InputError

_TAB = "\t"
_SEPARATORS = (",", ";", _TAB, "|")
_SAMPLE = 100  # lines that are looked at for the separator
_SAID = re.compile(r'"?sep=(.)"?')
_MOST_LINES = 1000  # of one row of TSV
_Numbered = tuple[int, str]
_Row = tuple[int, int, list[str]]  # first line, last line, cells

logger = logging.getLogger(__name__)


def separated(
    file: Path, separator: str, header: Callable[[list[str]], Iterable[str]]
) -> Iterator[tuple[str, dict[str, Any] | BadRowError]]:
    """The records of a file of separated cells; the first row has the names of the columns.

    Rows without a text in any cell are passed over, and so are columns without a name.

    Raises:
        InputError: two columns have the same name, ``header`` refuses them, or the quotation marks do not fit.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is less than a long passage
    texts = TextLines(file)
    lines = _Lines(texts)
    found = _separator(lines, separator)
    if found != separator:
        logger.warning("%s: read as separated by %r", file, found)
    rows = _rows(file, lines, found)
    names = next((cells for _, _, cells in rows if any(cells)), None)
    if names is None:
        return
    check_names(f"{file}:1", names)
    header([name for name in names if name])
    for first, last, cells in rows:
        place = f"{file}:{first}"
        fault = next((texts.faults[number] for number in range(first, last + 1) if number in texts.faults), None)
        if fault is not None:
            yield place, fault
        elif len(cells) == len(names):
            if any(cells):
                yield place, {name: cell for name, cell in zip(names, cells, strict=True) if name}
        elif any(cells):
            fix = "quote cells that hold separators or line breaks"
            yield place, BadRowError(place, f"{len(cells)} cells where the header has {len(names)}", fix)


def _separator(lines: _Lines, usual: str) -> str:
    """The separator that the header is written with.

    Where several marks split it, that one which gives all rows at the beginning as many cells, and ``usual`` first.
    A line ``sep=;`` before it, which is for Excel, says it and is taken away.
    """
    first = lines.peek()
    if first is not None and (said := _SAID.fullmatch(first[1].strip("\r\n"))):
        next(lines)
        return said[1]
    sample = list(islice(lines, _SAMPLE))
    lines.give_back(sample)
    widths = {mark: _widths([line for _, line in sample], mark) for mark in (usual, *_SEPARATORS)}
    split = [mark for mark, (header, *_) in widths.items() if header > 1]
    even = [mark for mark in split if len(set(widths[mark])) == 1]
    return next(iter(even or split), usual)


def _widths(lines: list[str], separator: str) -> list[int]:
    """Cells of the rows of some lines. The last may be cut off, and does not count."""
    if separator == _TAB:
        return [len(_split(line)) for line in lines if line.strip()] or [0]
    try:
        rows = [len(cells) for cells in csv.reader(lines, delimiter=separator) if cells]
    except csv.Error:
        return [0]
    return rows[: max(1, len(rows) - (len(lines) == _SAMPLE))] or [0]


def _rows(file: Path, lines: _Lines, separator: str) -> Iterator[_Row]:
    first = lines.peek()
    quoted = first is not None and all(_is_quoted(cell) for cell in _split(first[1]))
    return _plain_rows(file, lines) if separator == _TAB and not quoted else _quoted_rows(file, lines, separator)


class _Lines:
    """Numbered lines that can be given back."""

    def __init__(self, numbered: Iterable[_Numbered]) -> None:
        self._numbered = iter(numbered)
        self._back: deque[_Numbered] = deque()

    def __iter__(self) -> Iterator[_Numbered]:
        return self

    def __next__(self) -> _Numbered:
        return self._back.popleft() if self._back else next(self._numbered)

    def give_back(self, lines: Iterable[_Numbered]) -> None:
        self._back.extendleft(reversed(list(lines)))

    def peek(self) -> _Numbered | None:
        line = next(self, None)
        if line is not None:
            self.give_back([line])
        return line


# -- CSV ----------------------------------------------------------------------------------------------------------


def _quoted_rows(file: Path, lines: _Lines, separator: str) -> Iterator[_Row]:
    taken: list[int] = []  # the numbers of the row's lines

    def feed() -> Iterator[str]:
        for number, line in lines:
            taken.append(number)
            yield line

    reader = csv.reader(feed(), delimiter=separator, strict=True)
    while True:
        taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fix = 'put cells with quotation marks or line breaks in "...", and write "" for a mark inside'
            if "new-line character" in str(error):
                raise InputError(f"{file}:{taken[0]}: a line ends with CR only; save the file as CSV UTF-8") from error
            raise InputError(f"{file}:{taken[0]}: {error}; {fix}") from error
        yield taken[0], taken[-1], cells


# -- TSV ----------------------------------------------------------------------------------------------------------


def _plain_rows(file: Path, lines: _Lines) -> Iterator[_Row]:
    width = None
    unclosed: list[int] = []  # the line of each mark that would open a cell and is not closed
    for number, line in lines:
        last, cells = number, _split(line)
        width = width or (len(cells) if any(cells) else None)  # the header's
        if '"' in line and len(cells) != width:
            last, cells = _whole(number, line, lines, width) or (last, cells)
        elif '"' in line:
            unclosed += [number for cell in cells if cell.startswith('"') and cell.count('"') % 2]
            cells = [_unquoted(cell) for cell in cells]
        yield number, last, cells
    if unclosed:
        what = "cells begin" if len(unclosed) > 1 else "cell begins"
        what += f" with a quotation mark that no other closes (the first in line {unclosed[0]})"
        logger.warning("%s: %d %s; it is read as part of the text", file, len(unclosed), what)


def _split(line: str) -> list[str]:
    return line.removesuffix("\n").removesuffix("\r").split(_TAB)


def _whole(number: int, line: str, lines: _Lines, width: int | None) -> tuple[int, list[str]] | None:
    """The row that begins with a line of too few or too many cells, if quoted cells make it one; and its last line."""
    taken: list[_Numbered] = []

    def feed() -> Iterator[str]:
        yield line
        for one in islice(lines, _MOST_LINES):
            taken.append(one)
            yield one[1]

    try:
        cells = next(csv.reader(feed(), delimiter=_TAB, strict=True))
    except csv.Error:
        cells = []
    if len(cells) == width:
        return taken[-1][0] if taken else number, cells
    lines.give_back(taken)
    return None


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _unquoted(cell: str) -> str:
    """What a cell in quotation marks holds, where it needs them; else the cell, whose marks are its own."""
    inner = cell[1:-1]
    needs = not inner or '""' in inner or "\r" in inner
    return inner.replace('""', '"') if needs and _is_quoted(cell) else cell


def check_names(place: str, names: list[str]) -> None:
    """Refuse a header in which two columns have the same name.

    Raises:
        InputError: the message names the column.
    """
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{place}: two columns are called {twice!r}; rename one")
