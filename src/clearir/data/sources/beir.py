"""A retrieval data set in BEIR's format: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.

One language, so rows without a target query: what `clearir.data.translate` starts from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearir.data import languages as codes
from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, identifier, text, usable
from clearir.errors import InputError


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
    corpus, queries = _texts(folder / "corpus.jsonl"), _texts(folder / "queries.jsonl")

    def row(place: str, record: dict[str, Any]) -> Row:
        query, passage = (_cell(place, record, name) for name in ("query-id", "corpus-id"))
        return Row(
            query=_look_up(queries, query, place, "queries.jsonl"),
            passage=_look_up(corpus, passage, place, "corpus.jsonl"),
            passage_id=passage,
            query_id=query,
            bridge=bridge,
        )

    records = ((place, record) for place, record in files.records(qrels) if _relevant(place, record))
    return usable(records, row, qrels, on_bad, skipped)


def _texts(file: Path) -> dict[str, str | BadRowError]:
    """The texts by id, a title before its text; what is wrong with a text is told only when it is asked for."""
    texts: dict[str, str | BadRowError] = {}
    for place, record in files.json_lines(file):
        if isinstance(record, BadRowError):
            raise InputError(str(record))
        identity = identifier(record.get("_id"), place, "_id")
        if identity is None:
            raise InputError(f"{place}: no '_id'; a line is {{_id, title, text}}")
        try:
            body = record.get("text")
            title = record.get("title") or ""
            whole = f"{title} {body}" if title and isinstance(body, str) else body
            texts[identity] = text(whole or title, place, "text")
        except BadRowError as bad:
            texts[identity] = bad
    return texts


def _look_up(texts: dict[str, str | BadRowError], identity: str, place: str, file: str) -> str:
    found = texts.get(identity)
    if found is None:
        raise BadRowError(place, f"an id that is not in {file}", f"add {identity!r} there")
    if isinstance(found, BadRowError):
        raise found
    return found


def _relevant(place: str, record: dict[str, Any] | BadRowError) -> bool:
    if isinstance(record, BadRowError):
        return True
    score = _cell(place, record, "score")
    try:
        return float(score) > 0
    except ValueError as error:
        raise InputError(f"{place}: column 'score' holds {score[:40]!r}, not a number; correct it") from error


def _cell(place: str, record: dict[str, Any], column: str) -> str:
    if column not in record:
        raise InputError(f"{place}: no column {column!r}; the first line must be query-id, corpus-id, score, with tabs")
    return str(record[column])


def _qrels(folder: Path, split: str | None) -> Path:
    there = {file.stem: file for file in sorted((folder / "qrels").glob("*.tsv"))}
    if not there:
        raise InputError(f"{folder}: no qrels/*.tsv; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv")
    if split is None and len(there) > 1:
        raise InputError(f"{folder}: several splits; choose one with split={' or '.join(there)}")
    if split is not None and split not in there:
        raise InputError(f"{folder}: no split {split!r}; choose from {', '.join(there)}")
    return there[split] if split is not None else next(iter(there.values()))
