"""Question answering files in SQuAD's format, one a language, with the same question ids in all: XQuAD, MLQA.

Languages are read from the names of the files. ``xquad.de.json`` (or ``anything.de.json``) has questions and
passages in German; MLQA's ``dev-context-en-question-de.json`` has English passages and German questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, chosen, text, usable
from clearir.support import languages as codes
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError

_CODE = r"[A-Za-z]{2,3}(?:[-_][A-Za-z]+)?"
_MLQA = re.compile(rf"(?:.*[._-])?context-(?P<context>{_CODE})-question-(?P<question>{_CODE})\.json")
_ONE = re.compile(rf"(?:.*[._-])?(?P<language>{_CODE})\.json")


@dataclass(frozen=True, slots=True)
class _Question:
    place: str
    question: str
    context: str


_Questions = dict[str, _Question]  # by id


def read(
    path: str | Path,
    *,
    languages: Iterable[str] | None = None,
    bridge: str = "en",
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """Rows of a folder of SQuAD files, joined by question id. Questions without an answer are left out.

    Args:
        path: the folder that has the files themselves (of MLQA its ``dev`` or ``test``).
        languages: target languages to read; all that are there by default. The bridge language itself yields its
            own questions and passages, without a target query.
        bridge: the language of `Row.query` and `Row.passage`.
        on_bad: ``"skip"`` leaves questions out that lack something or have no counterpart in the bridge language.
        skipped: gets the number of questions left out, by reason.

    Raises:
        InputError: with file, article, paragraph and question, and what to do.
    """
    folder = Path(path)
    bridge = codes.normalise(bridge)
    pairs = _find(folder)
    if (bridge, bridge) not in pairs:
        have = ", ".join(sorted({question for _, question in pairs}))
        raise InputError(f"{folder}: no file with questions and passages in {bridge!r}; there are {have}")
    if languages is None:
        languages = sorted({question for _, question in pairs} - {bridge}) or [bridge]
    wanted = chosen(languages, (question for _, question in pairs), folder)
    return usable(_records(pairs, wanted, bridge), _row, folder, on_bad, skipped)


def _records(
    pairs: dict[tuple[str, str], Path], wanted: list[str], bridge: str
) -> Iterator[tuple[str, Row | BadRowError]]:
    wrong: list[BadRowError] = []
    bridge_side = _load(pairs[bridge, bridge], wrong)
    for language in wanted:
        if language == bridge:
            target_side, passages = bridge_side, {}
        else:
            # MLQA has more questions over the bridge's passages than over the language's own.
            own = pairs.get((language, language)) or pairs.get((language, bridge))
            over_bridge = pairs.get((bridge, language)) or own
            if over_bridge is None:
                raise InputError(
                    f"{pairs[bridge, bridge].parent}: no questions in {language!r} over {bridge!r} passages"
                )
            target_side = _load(over_bridge, wrong)
            passages = target_side if own == over_bridge else _load(own, wrong) if own else {}
        for identity, asked in target_side.items():
            yield asked.place, _joined(identity, asked, bridge_side, passages, language, bridge)
    yield from (("", bad) for bad in wrong)


def _joined(
    identity: str, asked: _Question, bridge_side: _Questions, passages: _Questions, language: str, bridge: str
) -> Row | BadRowError:
    original = bridge_side.get(identity)
    if original is None:
        return BadRowError(asked.place, f"no question of this id in {bridge!r}", f"add it to the files of {bridge}")
    target = language != bridge
    there = passages.get(identity)
    return Row(
        query=original.question,
        passage=original.context,
        target_query=asked.question if target else None,
        language=language if target else None,
        target_passage=there.context if there is not None else None,
        passage_id=fingerprint(original.context),
        query_id=identity,
        bridge=bridge,
    )


def _row(place: str, row: Row) -> Row:
    return row


def _find(folder: Path) -> dict[tuple[str, str], Path]:
    """Files by language of the passages and language of the questions."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder with the files of all languages")
    pairs: dict[tuple[str, str], Path] = {}
    for file in sorted(folder.glob("*.json")):
        if name := _MLQA.fullmatch(file.name):
            key = (name["context"], name["question"])
        elif name := _ONE.fullmatch(file.name):
            key = (name["language"], name["language"])
        else:
            continue
        pair = (codes.normalise(key[0]), codes.normalise(key[1]))
        if pair in pairs:
            raise InputError(f"{folder}: {pairs[pair].name} and {file.name} are for the same languages; move one away")
        pairs[pair] = file
    if not pairs:
        raise InputError(
            f"{folder}: no file with a name like xquad.de.json or dev-context-en-question-de.json, which names"
            " the language; for MLQA, give the folder 'dev' or 'test'"
        )
    return pairs


def _load(file: Path, wrong: list[BadRowError]) -> _Questions:
    """The answerable questions of a file by id; what is wrong with others goes to ``wrong``."""
    questions: _Questions = {}
    for place, context, cells in _walk(file):
        if cells.get("is_impossible"):
            continue
        try:
            identity = text(cells.get("id"), place, "id")
            if identity in questions:
                raise BadRowError(place, "an id that came before", "give every question its own id")
            question = text(cells.get("question"), place, "question")
            questions[identity] = _Question(place, question, text(context, place, "context"))
        except BadRowError as bad:
            wrong.append(bad)
    return questions


def _walk(file: Path) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for a, article in enumerate(_list(files.load_json(file), "data", str(file)), start=1):
        place = f"{file}, article {a}"
        for p, paragraph in enumerate(_list(article, "paragraphs", place), start=1):
            place = f"{file}, article {a}, paragraph {p}"
            for q, cells in enumerate(_list(paragraph, "qas", place), start=1):
                place = f"{file}, article {a}, paragraph {p}, question {q}"
                if not isinstance(cells, dict):
                    raise InputError(f"{place}: not an object with 'id' and 'question'; correct it")
                yield place, paragraph.get("context"), cells


def _list(value: Any, key: str, place: str) -> list[Any]:
    inside = value.get(key) if isinstance(value, dict) else None
    if not isinstance(inside, list):
        raise InputError(f"{place}: no list {key!r}; a SQuAD file is {{data: [{{paragraphs: [{{context, qas}}]}}]}}")
    return inside
