"""What a table that nobody has described holds: which column is the query, which the passage, which are translations.

```python
found = understand("faq.csv")   # columns: en;text;sw;es
found.options                   # {"columns": {"query": "en", "target_query": ["sw", "es"]}}
```

Names that `clearir.data.sources.headers` knows need not be said. Beyond these, a column whose name is a language holds
the query in it, as in the spreadsheets of translators, and the longest texts are the passages. This is a guess to be
shown to a person, never to be trained on unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clearir.data.rows import Row, Rows
from clearir.data.sources import files, headers
from clearir.data.sources.checks import BadRowError, is_nothing
from clearir.data.sources.row_maker import RowMaker
from clearir.support.errors import InputError
from clearir.support.languages import normalise

#: records of which the texts are looked at
LOOKED_AT = 200
#: share of a column's cells that have several words, if its name alone is not enough
SENTENCES = 0.5


@dataclass(frozen=True)
class Understood:
    """A table, and what its columns are.

    Attributes:
        options: what a recipe has to say of it beside its path: ``columns`` where names are not known, and what was
            said.
        read_as: column -> what it was read as, in words.
        unread: the other columns.
        rows: one for each query and language; without target query where the translation is missing.
    """

    options: dict[str, Any]
    read_as: dict[str, str]
    unread: tuple[str, ...]
    rows: tuple[Row, ...]

    @cached_property
    def translated(self) -> Counter[str]:
        """Rows with a target query, by language."""
        return Counter(str(row.language) for row in self.rows if row.target_query is not None)

    @cached_property
    def missing(self) -> Counter[str]:
        """Rows without one, by language."""
        return Counter(str(row.language) for row in self.rows if row.target_query is None and row.language is not None)

    @cached_property
    def passages(self) -> int:
        """How many there are."""
        return len({row.passage for row in self.rows})


def understand(path: str | Path, said: Mapping[str, Any] | None = None) -> Understood:
    """Look at a table.

    Args:
        path: a table, or a folder of tables.
        said: what is known of it, as `clearir.data.sources.tables.read` takes it: ``columns``, ``language`` ...

    Raises:
        InputError: it cannot be read, or no column can be the query or the passage; the message has what to type.
    """
    options = dict(said or {})
    names, located = _read(path)
    records = [record for _, record in located[:LOOKED_AT] if not isinstance(record, BadRowError)]
    if not records:
        raise InputError(f"{path}: no rows that can be read; add some")
    names = names or list(dict.fromkeys(name for record in records for name in record))
    columns = dict(options.pop("columns", {}))
    bridge = normalise(options.get("bridge", "en"))
    columns = _guess(names, records, columns, bridge) | columns
    on_bad = options.get("on_bad", "error")
    how = {name: value for name, value in options.items() if name != "on_bad"}
    make = RowMaker(columns, keep_open=True, **how)
    header = make.header(names, str(path), path)  # a column that cannot be told is an error with the line to type
    rows = Rows.collect(make.rows(located, path, on_bad, None), str(path)).rows
    read_as = {column: name for name, own in header.fields.items() for column in own}
    for code, of_language in header.by_language.items():
        read_as |= {column: f"{name} ({code})" for name, column in of_language.items()}
    unread = tuple(name for name in names if name not in read_as)
    return Understood(({"columns": columns} if columns else {}) | options, read_as, unread, rows)


def _read(path: str | Path) -> tuple[list[str], list[files.Located]]:
    """The names of a table's columns, where it has a header, and its records."""
    names: list[str] = []

    def all_columns(found: list[str]) -> list[str]:
        names.extend(name for name in found if name not in names)
        return found

    return names, [one for file in files.find(path) for one in files.records(file, all_columns)]


def _guess(
    names: Sequence[str], records: Sequence[Mapping[str, Any]], said: headers.Mapped, bridge: str
) -> dict[str, str | list[str]]:
    """What has to be said of the columns besides."""
    known, has_targets = _known(names, headers.one_each(said), bridge)
    of_language = {column: code for column, code in _languages(names, records).items() if column not in known.values()}
    found: dict[str, str | list[str]] = {}
    if "query" not in known and (own := [column for column, code in of_language.items() if code == bridge]):
        found["query"] = own[0]
    others = [column for column, code in of_language.items() if code != bridge]
    if others and not has_targets:
        found["target_query"] = others
    lengths = {
        name: _mean_length(name, records) for name in names if name not in known.values() and name not in of_language
    }
    if "passage" not in known and (found or "query" in known) and any(lengths.values()):
        found["passage"] = max(lengths, key=lambda name: lengths[name])
    return found


def _known(names: Sequence[str], said: Mapping[str, str], bridge: str) -> tuple[dict[str, str], bool]:
    """The fields that are known by the names of their columns, even where others are missing.

    Returns:
        field -> column; whether there are translations among them.
    """
    for missing in ({}, {"passage": names[0]}, {"query": names[0]}):
        try:
            header = headers.find(names, {**missing, **said}, bridge, "")
        except BadRowError:
            continue
        known = {name: columns[0] for name, columns in header.fields.items() if name in said or name not in missing}
        return known, bool(header.by_language) or "target_query" in known
    return dict(said), any(name.startswith("target_query") for name in said)


def _languages(names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The columns that are named after a language, and which.

    A code of three letters may as well be a word (``url``): it counts beside a column that is surely a language's, if
    there are sentences in it.
    """
    told = {name: headers.language_of(name) for name in names}
    sure = any(is_sure for _, is_sure in filter(None, told.values()))
    return {
        name: found[0]
        for name, found in told.items()
        if found is not None and (found[1] or (sure and _has_sentences(name, records)))
    }


def _mean_length(column: str, records: Sequence[Mapping[str, Any]]) -> float:
    """Characters of a column's texts."""
    return sum(map(len, _texts(column, records))) / len(records)


def _has_sentences(column: str, records: Sequence[Mapping[str, Any]]) -> bool:
    texts = _texts(column, records)
    return bool(texts) and sum(len(text.split()) > 1 for text in texts) >= SENTENCES * len(texts)


def _texts(column: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = (record.get(column) for record in records)
    return [cell for cell in cells if isinstance(cell, str) and not is_nothing(cell)]
