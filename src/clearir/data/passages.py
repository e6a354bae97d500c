"""What is searched: passages with id, title, language and fields of their own, out of files or of a source of rows.

```python
read_corpus("passages.jsonl")                  # a line: {"id": ..., "title": ..., "text": ..., any other field}
read_corpus("faq.txt")                         # a passage a line
read_corpus("runs/demo/debian", "debian")      # English descriptions of Debian's packages
read_corpus("runs/demo/help", "debian-help")   # English sections of help pages
read_corpus("xquad", "squad")                  # the passages of any source that training reads
```
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from clearir.data import sources
from clearir.data.rows import Row
from clearir.data.sources import checks, files, headers
from clearir.data.sources.checks import BadRowError
from clearir.data.sources.headers import Header, key_of, quoted
from clearir.support.errors import InputError
from clearir.support.progress import track
from clearir.support.texts import text_key

Value = str | int | float | bool

TEXT = ("text", "passage", "contents")
TITLE = ("title",)
ID = ("id", "_id", "docid", "passage_id")
LANGUAGE = ("language", "lang")
#: the field that holds a query which the passage answers: shown as its title, not read by the model
QUESTION = "question"
_METADATA = "metadata"  # BEIR keeps other fields in an object of this name
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage; ``fields`` is kept beside it and can be filtered by."""

    id: str
    text: str
    title: str = ""
    language: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """What the model reads: the title, if there is one, before the text."""
        return f"{self.title} {self.text}" if self.title else self.text


@dataclass(frozen=True)
class Corpus:
    """Passages, each once.

    Attributes:
        name: where they come from, in words.
        passages: in the order of the source.
        left_out: why and how often something was not taken.
    """

    name: str
    passages: tuple[Passage, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of passages."""
        return len(self.passages)


def read_corpus(
    path: str | Path,
    source: str | None = None,
    /,  # so that an option of the same name is told to be none
    *,
    language: str | None = None,
    columns: Mapping[str, str] | None = None,
    **options: Any,
) -> Corpus:
    """Read a corpus.

    Args:
        path: a file, a folder of files of one kind, or what the source reads.
        source: one of `clearir.data.sources.KINDS`; its passages in the bridge language are taken. By default the file
            itself says what it is: ``.txt`` has a passage a line; JSON lines, JSON, CSV, TSV and Parquet have a column
            ``text`` (or ``passage``, ``contents``), perhaps ``title``, ``id`` (or ``_id``, ``docid``, ``passage_id``)
            and ``language``, and any others, which are kept as fields. A table of rows, such as trains a model, has
            each passage once, in its bridge language.
        language: of the passages of a file, where no column says it.
        columns: our name of a column (``text, title, id, language``) -> the table's, for names other than those.
        options: of the source; see `clearir.data.sources.read`.

    Raises:
        InputError: with file, line or row, column, and what to do.
    """
    if source is None and options:
        raise InputError(
            f"{', '.join(options)}: a file of passages has only the options language and columns; name a source of "
            f"rows with --source ({', '.join(sources.KINDS)})"
        )
    if source is not None and language is not None:
        raise InputError(f"language: passages of a source are in its bridge language; write bridge={language} instead")
    default = None if language is None else checks.language(language, "language")
    if "skipped" in options:
        raise InputError("skipped: not an option; leave bad rows out with on_bad=skip")
    left_out: Counter[str] = Counter()
    if source is None:
        named = _from_files(Path(path), default, columns or {})
    elif source == "debian":
        named = _from_debian(Path(path))
    elif source in sources.HELP:
        named = _from_help(source, Path(path))
    else:
        found = sources.read(source, path, columns=columns, skipped=left_out, **options)
        named = _from_rows(found, str(path))
    passages = tuple(_distinct(named, left_out))
    if not passages:
        raise InputError(f"{path}: no passages; check that this is the right file and that it is not empty")
    return Corpus(str(path), passages, dict(left_out))


# -- where passages come from: pairs of place and passage, the passage None where there is no text --------------------

Located = Iterator[tuple[str, Passage | None]]


def _from_debian(folder: Path) -> Located:
    """The short description is the title of the long one."""
    from clearir.data.sources import debian

    for name, (short, long) in debian.read_english(folder).items():
        yield f"{folder}, package {name}", Passage(name, long, short, "en")


def _from_help(source: str, folder: Path) -> Located:
    """All English sections, translated or not. A heading is a query that its section answers."""
    for key, section in sources.module(source).read_english(folder).items():
        yield f"{folder}, {key}", Passage(key, section.text, "", "en", {QUESTION: section.name})


def _from_rows(rows: Iterable[Row], source: str) -> Located:
    ids: dict[str, str] = {}  # of passages that the source gives none; they come once a question
    for number, row in enumerate(rows, start=1):
        identity = row.passage_id or ids.setdefault(text_key(row.passage), str(number))
        yield f"{source}, row {number}", Passage(identity, row.passage, "", row.bridge, {QUESTION: row.query})


def _from_files(path: Path, language: str | None, columns: Mapping[str, str]) -> Located:
    if path.name.removesuffix(".gz").endswith(".txt"):
        yield from _from_lines(path, language)
        return
    make = RecordReader(language, columns)
    several = len(found := files.find(path)) > 1
    for file in found:
        for number, (place, record) in enumerate(track(files.records(file, make.header(file)), f"Reading {file.name}")):
            if isinstance(record, BadRowError):
                raise record
            position = f"{file.name}:{number + 1}" if several else str(number + 1)
            yield place, make(place, record, position)


def _from_lines(file: Path, language: str | None) -> Located:
    for number, raw in track(files.lines(file), f"Reading {file.name}"):
        text = files.decoded(file, number, raw).strip()
        yield f"{file}:{number}", Passage(str(number), text, language=language) if text else None


class RecordReader:
    """Makes passages of a table's records.

    A table of rows (queries, and the passages that answer them) says in ``language`` what the target queries are in,
    and has a passage for each of its queries.
    """

    def __init__(self, language: str | None, columns: Mapping[str, str]) -> None:
        if not isinstance(columns, Mapping):
            raise InputError(f"columns: {columns!r} does not name a column; write for example columns.text=body")
        wrong = next((name for name in columns if name not in ("text", "title", "id", "language")), None)
        if wrong is not None:
            raise InputError(f"columns: {wrong!r} is not a column of passages; write one of text, title, id, language")
        self._language = language
        self._text = (columns["text"],) if "text" in columns else TEXT
        self._title = (columns["title"],) if "title" in columns else TITLE
        self._id = (columns["id"],) if "id" in columns else ID
        self._code = (columns["language"],) if "language" in columns else LANGUAGE
        self._rows = lru_cache(lambda present: _row_header(present, columns.get("text")))
        self._ids: dict[str, str] = {}  # of the passages of rows that have none, by text

    def header(self, file: Path) -> Callable[[list[str]], list[str]]:
        """Refuses a file without a column of texts."""

        def check(names: list[str]) -> list[str]:
            if self._rows(tuple(names)) is None and _found(names, self._text) is None:
                raise InputError(_no_text(str(file), self._text, names))
            return names

        return check

    def __call__(self, place: str, record: Mapping[str, Any], position: str) -> Passage | None:
        """The passage of a record, None where it has no text.

        Raises:
            BadRowError: something is wrong with it.
        """
        rows = self._rows(tuple(record))
        if rows is not None:
            return self._of_row(rows, place, record, position)
        if _found(record, self._text) is None:
            raise InputError(_no_text(place, self._text, list(record)))
        rest = dict(record)
        text = _taken(rest, self._text)
        identity = _taken(rest, self._id)
        code = _taken(rest, self._code)
        return self._passage(place, rest, text, position if checks.is_nothing(identity) else identity, code)

    def _of_row(self, header: Header, place: str, record: Mapping[str, Any], position: str) -> Passage | None:
        """The passage of a row. What the row is besides is none of the passage's fields, but for its query."""
        known = {name: record.get(columns[0]) for name, columns in header.fields.items()}
        rest = {name: value for name, value in record.items() if name not in header.columns}
        rest[QUESTION] = known.get("query")
        text, code = known["passage"], known.get("bridge")
        identity = known.get("passage_id")
        if checks.is_nothing(identity) and isinstance(text, str):
            identity = self._ids.setdefault(text_key(text), position)
        return self._passage(place, rest, text, identity, code, "en")

    def _passage(
        self, place: str, rest: dict[str, Any], text: Any, identity: Any, code: Any, default: str | None = None
    ) -> Passage | None:
        title = _taken(rest, self._title)
        if checks.is_nothing(text):
            text, title = title, None  # a title alone is a passage
        if checks.is_nothing(text):
            return None
        if isinstance(metadata := rest.get(_METADATA), dict):
            rest = {**{name: value for name, value in rest.items() if name != _METADATA}, **metadata}
        return Passage(
            id=str(checks.identifier(identity, place, "id")),
            text=checks.text(text, place, "text").strip(),
            title="" if checks.is_nothing(title) else checks.text(title, place, "title").strip(),
            language=(self._language or default) if checks.is_nothing(code) else checks.language(code, place),
            fields={name: kept for name, value in rest.items() if (kept := _value(value, place, name)) is not None},
        )


def _row_header(present: tuple[str, ...], text: str | None) -> Header | None:
    """The header of a table of rows, None of any other table."""
    try:
        header = headers.find(present, {} if text is None else {"passage": text}, "en", "")
    except InputError:
        return None
    of_targets = "target_query" in header.fields or any("target_query" in own for own in header.by_language.values())
    our_names = all(header.fields[name][0].casefold() in headers.NAMES[name] for name in ("query", "passage"))
    return header if of_targets or our_names else None


def _taken(record: dict[str, Any], names: Iterable[str]) -> Any:
    """The value of the first of ``names`` that there is, which is taken out of the record."""
    column = _found(record, names)
    return None if column is None else record.pop(column)


def _found(there: Iterable[str], names: Iterable[str]) -> str | None:
    """The column with the first of ``names`` that there is, in any case."""
    own = list(there)
    exact = next((name for name in names if name in own), None)
    if exact is not None:
        return exact
    keys = {key_of(column): column for column in reversed(own)}
    return next((keys[key_of(name)] for name in names if key_of(name) in keys), None)


def _value(value: Any, place: str, name: str) -> Value | None:
    """A field's value as it is kept: lists and objects as JSON, what is missing as None."""
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return str(value)
    if isinstance(value, str):
        return checks.text(value, place, name) if value.strip() else None
    if isinstance(value, int | float | bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _no_text(place: str, wanted: tuple[str, ...], there: list[str]) -> str:
    return (
        f"{place}: no column {' or '.join(map(repr, wanted))}; the columns are {quoted(there)}: say which one holds "
        "the passages with columns.text=COLUMN"
    )


def _distinct(located: Located, left_out: Counter[str]) -> Iterator[Passage]:
    """Each passage once.

    Raises:
        InputError: two different passages have the same id.
    """
    seen: dict[str, int] = {}
    for place, passage in located:
        if passage is None:
            left_out["no text"] += 1
        elif passage.id not in seen:
            seen[passage.id] = hash(text_key(passage.content))
            yield passage
        elif seen[passage.id] == hash(text_key(passage.content)):
            left_out["the same passage again"] += 1
        else:
            raise InputError(
                f"{place}: an earlier passage has the same id, {passage.id!r}, but a different text; give every "
                "passage its own id, or none at all"
            )
