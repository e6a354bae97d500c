"""A retrieval data set in BEIR's format: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.

One language, so rows without a target query: what `clearir.data.translate` starts from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, identifier, is_nothing, text, usable
from clearir.support import languages as codes
from clearir.support.errors import InputError

_COLUMNS = ("query-id", "corpus-id", "score")


def read(
    path: str | Path,
    *,
    split: str | None = None,
    bridge: str = "en",
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each query and passage that the relevance file pairs with a score above 0.

    Args:
        path: the folder.
        split: which file of ``qrels`` to read; need not be said where there is one.
        bridge: the language of the data.
        on_bad: ``"skip"`` leaves pairs out with a text or an id that is missing.
        skipped: gets the number of pairs left out, by reason.

    Raises:
        InputError: with file, line, column, and what to do.
    """
    folder = Path(path)
    bridge = codes.normalise(bridge)
    qrels = _qrels(folder, split)
    corpus, queries = texts(folder / "corpus.jsonl"), texts(folder / "queries.jsonl")

    def row(place: str, judged: Judgement) -> Row:
        return Row(
            query=_look_up(queries, judged.query, place, "queries.jsonl"),
            passage=_look_up(corpus, judged.passage, place, "corpus.jsonl"),
            passage_id=judged.passage,
            query_id=judged.query,
            bridge=bridge,
        )

    records = (
        (place, judged) for place, judged in judgements(qrels) if isinstance(judged, BadRowError) or judged.score > 0
    )
    return usable(records, row, qrels, on_bad, skipped)


@dataclass(frozen=True)
class Judgement:
    """A line of a relevance file; a score above 0 says that the passage answers the query."""

    query: str
    passage: str
    score: float


class BlankError(BadRowError):
    """A passage or query without a title and a text."""


def judgements(file: Path) -> Iterator[tuple[str, Judgement | BadRowError]]:
    """The lines of a relevance file (``qrels/test.tsv``), or what is wrong with them, with their places.

    Raises:
        InputError: no such file, or not these columns.
    """

    def header(names: list[str]) -> list[str]:
        if missing := [name for name in _COLUMNS if name not in names]:
            what = f"no column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            raise InputError(f"{file}: {what}; the first line must be {', '.join(_COLUMNS)}, with tabs")
        return names

    for place, record in files.records(file, header):
        try:
            yield place, record if isinstance(record, BadRowError) else judgement(place, record)
        except BadRowError as bad:
            yield place, bad


def judgement(place: str, record: Mapping[str, Any]) -> Judgement:
    """A record with the columns of a relevance file.

    Raises:
        BadRowError: the score is not a number.
        KeyError: a column is missing.
    """
    query, passage, score = (record[name] for name in _COLUMNS)
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRowError(place, f"column 'score' holds {str(score)[:40]!r}, not a number", "correct it")
    return Judgement(str(query), str(passage), number)


def texts(file: Path) -> dict[str, str | BadRowError]:
    """The texts of ``corpus.jsonl`` or ``queries.jsonl`` by id, a title before its text; or what is wrong with them.

    Raises:
        InputError: no such file, a line that is not JSON or has no id, or an id that stands twice.
    """
    found: dict[str, str | BadRowError] = {}
    for place, record in files.json_lines(file):
        if isinstance(record, BadRowError):
            raise InputError(str(record))
        identity = identifier(record.get("_id", record.get("id")), place, "_id")
        if identity is None or identity in found:
            what = "no '_id'" if identity is None else f"the id {identity!r} stands twice"
            raise InputError(f"{place}: {what}; a line is {{_id, title, text}}, each id once")
        try:
            found[identity] = content(place, record)
        except BadRowError as bad:
            found[identity] = bad
    return found


def content(place: str, record: Mapping[str, Any]) -> str:
    """What a model reads of a passage: its title, if it has one, and its text. A title alone will do.

    Raises:
        BlankError: it has neither.
        BadRowError: they are no texts.
    """
    title, body = record.get("title"), record.get("text")
    if is_nothing(title) and is_nothing(body):
        raise BlankError(place, "neither title nor text", "add one")
    if is_nothing(title):
        return text(body, place, "text")
    return text(title, place, "title") + ("" if is_nothing(body) else " " + text(body, place, "text"))


def _look_up(found: dict[str, str | BadRowError], identity: str, place: str, file: str) -> str:
    there = found.get(identity)
    if there is None:
        raise BadRowError(place, f"an id that is not in {file}", f"add {identity!r} there")
    if isinstance(there, BadRowError):
        raise there
    return there


def _qrels(folder: Path, split: str | None) -> Path:
    there = {file.stem: file for file in sorted((folder / "qrels").glob("*.tsv"))}
    if not there:
        raise InputError(f"{folder}: no qrels/*.tsv; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv")
    if split is None and len(there) > 1:
        raise InputError(f"{folder}: several splits; choose one with split={' or '.join(there)}")
    if split is not None and split not in there:
        raise InputError(f"{folder}: no split {split!r}; choose from {', '.join(there)}")
    return there[split] if split is not None else next(iter(there.values()))
