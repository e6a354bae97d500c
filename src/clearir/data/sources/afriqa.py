"""AfriQA: questions in African languages, human translations into a pivot, and the pivot's passages.

The pivot is the bridge: English, and French for Fon. Files have the published names,
``gold_span_passages.afriqa.LANGUAGE.PIVOT.SPLIT.json``, and hold one JSON object a line. Some passages stand in
train and in dev, so split by passage (`clearir.data.split`) before anything is scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.checks import OnBad, Skipped, chosen, identifier, text, usable
from clearir.support import languages as codes
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError

_NAME = re.compile(r"(?:.*\.)?(?P<language>[a-z]{2,3})\.(?P<pivot>[a-z]{2,3})\.(?P<split>\w+)\.jsonl?(?:\.gz)?")


@dataclass(frozen=True)
class _File:
    path: Path
    language: str
    bridge: str
    split: str


def read(
    path: str | Path,
    *,
    languages: Iterable[str] | None = None,
    split: str | None = None,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """Rows of AfriQA. The published files have rows without a passage: leave them out with ``on_bad="skip"``.

    Args:
        path: a file, or the folder of the files.
        languages: those to read; all by default.
        split: ``"train"``, ``"dev"`` or ``"test"``; all by default.
        on_bad: ``"skip"`` leaves rows with a bad cell out.
        skipped: gets the number of rows left out, by reason.

    Raises:
        InputError: with file, line, column, and what to do.
    """
    found = _find(Path(path))
    splits = sorted({file.split for file in found})
    if split is not None and split not in splits:
        raise InputError(f"{path}: no split {split!r}; choose from {', '.join(splits)}")
    wanted = chosen(languages, (file.language for file in found), path)
    records = (
        (place, record if isinstance(record, InputError) else (file, record))
        for file in found
        if file.language in wanted and split in (None, file.split)
        for place, record in files.json_lines(file.path)
    )
    return usable(records, _row, path, on_bad, skipped)


def _row(place: str, record: tuple[_File, dict[str, Any]]) -> Row:
    file, cells = record
    passage = text(cells.get("context"), place, "context")
    number = identifier(cells.get("id"), place, "id")
    return Row(
        query=text(cells.get("question_translated"), place, "question_translated"),
        passage=passage,
        target_query=text(cells.get("question_lang"), place, "question_lang"),
        language=file.language,
        passage_id=fingerprint(passage),
        query_id=None if number is None else f"{file.language}-{file.split}-{number}",
        bridge=file.bridge,
    )


def _find(path: Path) -> list[_File]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give the folder 'gold_passages' of AfriQA")
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [
        _File(file, codes.normalise(name["language"]), codes.normalise(name["pivot"]), name["split"])
        for file in inside
        if (name := _NAME.fullmatch(file.name))
    ]
    if not found:
        raise InputError(
            f"{path}: no file with a name like gold_span_passages.afriqa.swa.en.dev.json, which names the language,"
            " the pivot and the split; read other JSON lines as a source of kind 'table'"
        )
    return found
