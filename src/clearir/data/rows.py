"""A row of training data, and a table of rows.

Every source yields `Row`s, every later stage takes and gives them. As a table (Parquet, ``datasets``) a row
is the columns ``query, passage, negative_1..n, target_query, target_negative_1..m, language, target_passage,
passage_id, query_id, bridge, page_id``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.support.artifacts import atomic_file
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_LAST = ("language", "target_passage", "passage_id", "query_id", "bridge", "page_id")
_FIXED = ("query", "passage", "target_query", *_LAST)


@dataclass(frozen=True, slots=True)
class Row:
    """A question, the passage that answers it, and the question in another language.

    ``query``, ``passage`` and ``negatives`` are in the bridge language ``bridge``; ``target_query`` and
    ``target_negatives`` (queries) in ``language``. ``target_passage`` is the passage in ``language``, where a
    source has it. ``passage_id`` ties the same passage, ``query_id`` the same question, over rows and
    languages; ``page_id`` ties the passages that are sections of one page. In English-only data ``target_query``
    and ``language`` are None.
    """

    query: str
    passage: str
    target_query: str | None = None
    language: str | None = None
    negatives: tuple[str, ...] = ()
    target_negatives: tuple[str, ...] = ()
    target_passage: str | None = None
    passage_id: str | None = None
    query_id: str | None = None
    bridge: str = "en"
    page_id: str | None = None


@dataclass(frozen=True)
class Rows:
    """A table of rows, none twice.

    Attributes:
        rows: in the order of the source.
        duplicates: how many rows of the source were dropped because an equal one came before. It says where
            the table came from, not what is in it, so it plays no part in ``==``.
    """

    rows: tuple[Row, ...]
    duplicates: int = field(default=0, compare=False)

    @classmethod
    def collect(cls, rows: Iterable[Row], source: str = "the data") -> Rows:
        """Gather rows and drop those that are there already, every field equal.

        Raises:
            InputError: there are none; the message names ``source``.
        """
        every = tuple(rows)
        if not every:
            raise InputError(f"{source}: no rows; check the path and the languages asked for")
        distinct = tuple(dict.fromkeys(every))
        return cls(distinct, len(every) - len(distinct))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        """The rows, in order."""
        return iter(self.rows)

    @property
    def languages(self) -> dict[str, int]:
        """Rows of each target language, the most first. Rows without a target language are not in it."""
        return dict(Counter(row.language for row in self.rows if row.language is not None).most_common())

    @property
    def num_negatives(self) -> tuple[int, int]:
        """Number of negative passages and of negative target queries, the same for every row.

        Raises:
            InputError: some rows have more than others; the message names the first two that differ.
        """
        first: tuple[int, int] | None = None
        for number, row in enumerate(self.rows, start=1):
            counts = (len(row.negatives), len(row.target_negatives))
            if first is None:
                first = counts
            for what, mine, others in zip(("negatives", "target negatives"), counts, first, strict=True):
                if mine != others:
                    raise InputError(
                        f"row {number} has {mine} {what} and row 1 has {others}; read the data with"
                        f" max_negatives={min(mine, others)} or mine again, so that all have the same number"
                    )
        return first or (0, 0)

    def to_dataset(self) -> datasets.Dataset:
        """The rows as a ``datasets.Dataset``, one column of text per field and per negative.

        Raises:
            InputError: some rows have more negatives than others.
        """
        from datasets import Dataset, Features, Value

        columns = _columns(self.rows, *self.num_negatives)
        return Dataset.from_dict(columns, features=Features({column: Value("string") for column in columns}))

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file that ``datasets.load_dataset`` reads. Missing negatives are null.

        Raises:
            InputError: a text holds half a surrogate pair, which is not a character and has no UTF-8.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        most = max((len(row.negatives) for row in self.rows), default=0)
        most_target = max((len(row.target_negatives) for row in self.rows), default=0)
        columns = _columns(self.rows, most, most_target)
        table = pa.table({name: _array(name, values) for name, values in columns.items()})
        with atomic_file(Path(path)) as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=10_000)

    @classmethod
    def from_parquet(cls, path: str | Path) -> Rows:
        """Read what `to_parquet` wrote: equal rows. For other people's tables see `clearir.data.sources`.

        Raises:
            InputError: no such file, no Parquet file, or not these columns.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                table = file.read()
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: not a whole Parquet file ({error}); make it again") from error
        if "page_id" not in table.column_names:  # a file of before there were pages
            table = table.append_column("page_id", pa.nulls(table.num_rows, pa.string()))
        missing = [name for name in _FIXED if name not in table.column_names]
        if missing:
            raise InputError(
                f"{path}: no column {missing[0]!r}; this file was not written by clearir,"
                " read it as a source of kind 'table'"
            )
        fixed = zip(*(table[name].to_pylist() for name in _FIXED), strict=True)
        negatives = _numbered(table, "negative_")
        targets = _numbered(table, "target_negative_")
        return cls(
            tuple(
                Row(**dict(zip(_FIXED, values, strict=True)), negatives=near, target_negatives=near_target)
                for values, near, near_target in zip(fixed, negatives, targets, strict=True)
            )
        )


def _columns(rows: tuple[Row, ...], most: int, most_target: int) -> dict[str, list[str | None]]:
    """The table, column by column; None where a row has fewer negatives."""
    negatives = {f"negative_{i + 1}": [_at(row.negatives, i) for row in rows] for i in range(most)}
    targets = {f"target_negative_{i + 1}": [_at(row.target_negatives, i) for row in rows] for i in range(most_target)}
    fixed: dict[str, list[str | None]] = {name: [getattr(row, name) for row in rows] for name in _FIXED}
    names = ["query", "passage", *negatives, "target_query", *targets, *_LAST]
    return {name: (fixed | negatives | targets)[name] for name in names}


def _at(texts: tuple[str, ...], place: int) -> str | None:
    return texts[place] if place < len(texts) else None


def _array(name: str, values: list[str | None]) -> pa.Array[Any]:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError as error:
        row = next(i for i, value in enumerate(values, start=1) if value is not None and _half_pair(value))
        raise InputError(
            f"row {row}, column {name!r}: half a surrogate pair is not a character; remove it from the text"
        ) from error


def _half_pair(text: str) -> bool:
    return re.search("[\ud800-\udfff]", text) is not None


def _numbered(table: pa.Table, prefix: str) -> Iterator[tuple[str, ...]]:
    """Of each row the values of ``prefix`` + 1, 2, ... up to the first null."""
    names: list[str] = []
    while f"{prefix}{len(names) + 1}" in table.column_names:
        names.append(f"{prefix}{len(names) + 1}")
    if not names:
        return iter([()] * table.num_rows)
    columns = (table[name].to_pylist() for name in names)
    return (tuple(value for value in values if value is not None) for values in zip(*columns, strict=True))
