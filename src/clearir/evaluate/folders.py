"""Suites of the user's own, in a folder: BEIR's format, or a folder a language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from clearir.data import languages as codes
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError, text
from clearir.errors import InputError

Texts = dict[str, dict[str, str]]
Qrels = dict[str, dict[str, int]]


def read_folder(path: Path, languages: Collection[str] | None, split: str | None) -> tuple[Texts, Texts, Qrels]:
    """A folder of one's own.

    Either BEIR's format, in one language (English, or the one language that is asked for)::

        corpus.jsonl  queries.jsonl  qrels/test.tsv

    or a folder a language, named by its code, with the same ids in all; one relevance file for all of them, or one in
    each. A language without a corpus has queries only, and the other way round::

        en/corpus.jsonl  en/queries.jsonl  sw/queries.jsonl  qrels.tsv
    """
    if (path / "corpus.jsonl").is_file():
        code = next(iter(languages)) if languages is not None and len(languages) == 1 else "en"
        folders = {codes.normalise(code): path}
    else:
        folders = {language: folder for folder in sorted(path.iterdir()) if (language := _language(folder)) is not None}
    queries: Texts = {}
    passages: Texts = {}
    qrels: Qrels = defaultdict(dict)
    for language, folder in folders.items():
        for side, name in ((queries, "queries.jsonl"), (passages, "corpus.jsonl")):
            if (folder / name).is_file():
                side[language] = _texts(folder / name)
    relevance = [file for folder in dict.fromkeys([path, *folders.values()]) for file in _qrels_of(folder, split)]
    if not queries or not passages or not relevance:
        raise InputError(
            f"{path}: no suite; a suite is corpus.jsonl, queries.jsonl and qrels/test.tsv, or a folder a language "
            "(en/, sw/ ...) with corpus.jsonl and queries.jsonl, and a qrels.tsv"
        )
    if split is not None and all(file.stem != split for file in relevance):
        raise InputError(f"{path}: no qrels/{split}.tsv; leave --split out, or name a file in qrels/")
    for file in relevance:
        for query, passage, value in _relevance(file):
            qrels[query][passage] = value
    return queries, passages, dict(qrels)


def _language(folder: Path) -> str | None:
    if not folder.is_dir() or not any((folder / name).is_file() for name in ("queries.jsonl", "corpus.jsonl")):
        return None
    return codes.normalise(folder.name)


def _texts(file: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for place, record in files.json_lines(file):
        if isinstance(record, BadRowError):
            raise record
        identifier = str(record.get("_id", record.get("id", "")))
        if not identifier or identifier in texts:
            what = f"the id {identifier!r} stands twice" if identifier else "no '_id'"
            raise InputError(f'{place}: {what}; a line is {{"_id": ..., "text": ...}}, each id once')
        text(record.get("text"), place, "text")
        texts[identifier] = titled(record)
    return texts


def _qrels_of(folder: Path, split: str | None) -> list[Path]:
    found = sorted((folder / "qrels").glob("*.tsv"))
    if split is not None:
        found = [file for file in found if file.stem == split]
    elif len(found) > 1:
        found = [file for file in found if file.stem == "test"] or found
    return [file for file in (folder / "qrels.tsv",) if file.is_file()] + found


def _relevance(file: Path) -> Iterator[tuple[str, str, int]]:
    for place, record in files.records(file):
        if isinstance(record, BadRowError):
            raise record
        try:
            yield str(record["query-id"]), str(record["corpus-id"]), int(float(record["score"]))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{place}: {error} is missing or no number; the columns are query-id, corpus-id, score, with tabs"
            ) from error


def titled(row: Mapping[str, object]) -> str:
    """A passage's title, if it has one, and its text."""
    return " ".join(part for part in (row.get("title"), row["text"]) if isinstance(part, str) and part)
