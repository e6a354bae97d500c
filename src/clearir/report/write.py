"""Write a report in the formats that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clearir.report.csv_table import to_csv
from clearir.report.html import to_html
from clearir.report.latex import to_latex
from clearir.report.load import Run
from clearir.report.markdown import to_markdown
from clearir.support.artifacts import atomic_file
from clearir.support.errors import InputError

FORMATS: dict[str, Callable[[Run], str]] = {"html": to_html, "md": to_markdown, "csv": to_csv, "tex": to_latex}


def write_report(run: Run, folder: Path, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Write ``report.html`` and so on into ``folder``; every file appears when it is whole.

    Returns:
        The files, in the order of ``formats``.

    Raises:
        InputError: a format that there is not.
    """
    unknown = [one for one in formats if one not in FORMATS]
    if unknown:
        raise InputError(f"no such format: {', '.join(unknown)}; there are {', '.join(FORMATS)}")
    contents = {folder / f"report.{one}": FORMATS[one](run) for one in formats}
    for path, content in contents.items():
        with atomic_file(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return list(contents)
