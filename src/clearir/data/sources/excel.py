"""Spreadsheets -> records, each with its place (extra ``excel``)."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from clearir.data.sources.separated import check_names
from clearir.support.errors import InputError
from clearir.support.extras import require

#: how the names of spreadsheets end
SHEET_SUFFIXES = (".xlsx", ".xls", ".ods")
_Header = Callable[[list[str]], Iterable[str]]

logger = logging.getLogger(__name__)


def sheet_rows(file: Path, header: _Header) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of the one sheet that is a table; its first row that is not empty has the names of the columns.

    Whole numbers are int, dates are text as ISO 8601 writes it. Empty rows are passed over, and so are columns without
    a name.

    Raises:
        InputError: no spreadsheet, several sheets that ``header`` accepts, or none.
        MissingExtraError: python-calamine is not installed.
    """
    for sheet in _table(file, _sheets(file), header):
        place = f"{file}, sheet {sheet.name!r}"
        rows = _rows(sheet)
        _, first = next(rows)
        names = _names(first)
        check_names(place, names)
        for number, cells in rows:
            yield f"{place}, row {number}", {name: cell for name, cell in zip(names, cells, strict=False) if name}


def _sheets(file: Path) -> list[Any]:
    """Those that are shown and not empty."""
    calamine = require("python_calamine", "excel")
    try:
        book = calamine.CalamineWorkbook.from_path(str(file))
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == calamine.SheetVisibleEnum.Visible]
        sheets = [book.get_sheet_by_name(name) for name in shown]
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; check the path") from error
    except (calamine.CalamineError, OSError) as error:
        raise InputError(f"{file}: not a whole spreadsheet ({error}); save or fetch it again") from error
    return [sheet for sheet in sheets if any(True for _ in _rows(sheet))]


def _table(file: Path, sheets: list[Any], header: _Header) -> list[Any]:
    """The one sheet whose header is accepted; none where all are empty."""
    fitting, refused = [], None
    for sheet in sheets:
        try:
            header([name for name in _names(next(_rows(sheet))[1]) if name])
        except InputError as error:
            refused = refused or error
        else:
            fitting.append(sheet)
    if refused is not None and not fitting:
        raise refused
    if len(fitting) > 1:
        names = " and ".join(repr(sheet.name) for sheet in fitting)
        how = "both" if len(fitting) == 2 else "all"
        raise InputError(
            f"{file}: the sheets {names} are {how} tables; hide the others, or save the right one as a file"
        )
    if others := [sheet.name for sheet in sheets if sheet not in fitting]:
        logger.warning("%s: the sheet %r is read; skipped: %s", file, fitting[0].name, ", ".join(map(repr, others)))
    return fitting


def _rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Number and cells of the rows with something in them."""
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if any(not isinstance(cell, str) or cell.strip() for cell in cells):
            yield number, [_value(cell) for cell in cells]


def _names(cells: list[Any]) -> list[str]:
    return [str(cell).strip() for cell in cells]


def _value(cell: Any) -> Any:
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else cell
