"""One's own table: JSON lines, JSON, CSV, TSV, Parquet or a spreadsheet, one row a question.

```python
rows = Rows.collect(read("pairs.csv", columns={"query": "question", "passage": "text"}, language="sw"))
```
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.checks import OnBad, Skipped
from clearir.data.sources.headers import Mapped
from clearir.data.sources.row_maker import RowMaker
from clearir.support.errors import InputError

#: what `read` can be told on a command line
OPTIONS = ("columns", "language", "bridge", "max_negatives", "on_bad")


def read(
    path: files.Paths,
    *,
    columns: Mapped | None = None,
    language: str | None = None,
    bridge: str = "en",
    max_negatives: int | None = None,
    keep_open: bool = False,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """Rows of a table.

    Args:
        path: a file, several, or a folder of files of one kind; ``.gz`` and ``.zip`` are understood.
        columns: our name of a column -> the table's. Our names and those that the authors of CLEAR use
            (``anchor, positive, cross_anchor, neg_1, neg_query_1`` and ``en_question, paragraphs, lang_question``)
            need not be said. Negatives have a column each or one column of lists. Target queries may have a column
            for each language: ``{"target_query": ["sw", "es"]}``.
        language: the language of the target queries, where no column ``language`` says it.
        bridge: the language of queries and passages, where no column ``bridge`` says it.
        max_negatives: keep so many negatives of a row at most.
        keep_open: where each language has a column, make a row of an empty cell too, to be translated; else such rows
            are left out and counted.
        on_bad: ``"skip"`` leaves rows with a bad cell out.
        skipped: gets the number of rows left out, by reason.

    Raises:
        InputError: with file, line or row, column, and what to do.
    """
    make = RowMaker(columns, language, bridge, max_negatives, keep_open)
    found = files.find(path)
    source = found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more"
    records = (located for file in found for located in _records(file, make))
    return make.rows(records, source, on_bad, skipped)


def _records(file: Path, make: RowMaker) -> Iterator[files.Located]:
    def header(names: list[str]) -> list[str]:
        """A column that is missing from the whole file is an error even where bad rows are skipped."""
        try:
            return make.header(names, str(file), file).columns
        except InputError as error:
            raise InputError(str(error)) from error

    return files.records(file, header)
