"""Suites of the user's own, in a folder: BEIR's format, or a folder a language."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from clearir.data.sources import beir
from clearir.data.sources.checks import BadRowError, OnBad, check_on_bad
from clearir.support import languages as codes
from clearir.support.errors import InputError

Texts = dict[str, dict[str, str]]
Qrels = dict[str, dict[str, int]]
_FINEST = 1000  # parts of a relevance of 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """What a folder holds; see `clearir.evaluation.suites.Suite` for the fields."""

    queries: Texts
    passages: Texts
    qrels: Qrels
    lost: frozenset[str]


def read_folder(path: Path, languages: Collection[str] | None, split: str | None, on_bad: OnBad = "error") -> Folder:
    """A folder of one's own.

    Either BEIR's format, in one language (English, or the one language that is asked for)::

        corpus.jsonl  queries.jsonl  qrels/test.tsv

    or a folder a language, named by its code, with the same ids in all; one relevance file for all of them, or one in
    each. A language without a corpus has queries only, and the other way round::

        en/corpus.jsonl  en/queries.jsonl  sw/queries.jsonl  qrels.tsv

    Args:
        path: the folder.
        languages: as they are asked for.
        split: which relevance file, where there are several.
        on_bad: ``"skip"`` leaves out and counts queries and judgements that cannot be used. A relevant passage that is
            in no corpus then counts as not found, as MTEB has it.

    Raises:
        InputError: no suite, a file that cannot be read or, with ``"error"``, a query or judgement that cannot be used.
    """
    if (path / "corpus.jsonl").is_file():
        code = next(iter(languages)) if languages is not None and len(languages) == 1 else "en"
        folders = {codes.normalise(code): path}
    else:
        folders = {language: folder for folder in sorted(path.iterdir()) if (language := _language(folder)) is not None}
    relevance = [file for folder in dict.fromkeys([path, *folders.values()]) for file in _qrels_of(folder, split)]
    reader = _Reader(on_bad)
    queries = {code: reader.queries(file) for code, file in _files(folders, "queries.jsonl")}
    passages = {code: reader.passages(file) for code, file in _files(folders, "corpus.jsonl")}
    if not queries or not passages or not relevance:
        raise InputError(
            f"{path}: not a suite; a suite is corpus.jsonl, queries.jsonl and qrels/test.tsv, or one folder per "
            "language (en/, sw/ ...) with corpus.jsonl and queries.jsonl, and a qrels.tsv"
        )
    if split is not None and all(file.stem != split for file in relevance):
        raise InputError(f"{path}: no qrels/{split}.tsv; leave --split out, or name a file in qrels/")
    judged = reader.judged(relevance, _ids(queries), _ids(passages))
    qrels, times = whole_numbers(judged, relevance[0] if len(relevance) == 1 else path)
    lost = frozenset(judgement.passage for judgement in judged) - _ids(passages)
    reader.say(path, len(lost), times)
    return Folder(queries, passages, qrels, lost)


class _Reader:
    """Reads the files of a folder, and counts what cannot be used."""

    def __init__(self, on_bad: OnBad) -> None:
        check_on_bad(on_bad)
        self._on_bad = on_bad
        self._left_out: Counter[str] = Counter()

    def queries(self, file: Path) -> dict[str, str]:
        found = beir.texts(file)
        for bad in found.values():
            if isinstance(bad, BadRowError):
                self._leave_out(bad, "queries: ")
        return _good(found)

    def passages(self, file: Path) -> dict[str, str]:
        """Those with a title or a text; others can be neither found nor missed."""
        found = beir.texts(file)
        for bad in found.values():
            if isinstance(bad, beir.BlankError):
                self._left_out[f"passages: {bad.reason}"] += 1
            elif isinstance(bad, BadRowError):
                self._leave_out(bad, "passages: ")
        return _good(found)

    def judged(self, relevance: Iterable[Path], queries: Set[str], passages: Set[str]) -> list[beir.Judgement]:
        found = []
        for place, judgement in chain.from_iterable(map(beir.judgements, relevance)):
            if isinstance(judgement, BadRowError):
                self._leave_out(judgement)
            elif judgement.query in queries and judgement.passage in passages:
                found.append(judgement)
            elif judgement.score <= 0:
                continue  # it makes no difference
            elif judgement.query not in queries:
                where = f"{place}, query {judgement.query!r}"
                self._leave_out(BadRowError(where, "in no queries.jsonl", "add it, or take the line out"))
            elif self._on_bad == "skip":
                found.append(judgement)
            else:
                fix = "add it, or let it count as not found with on_bad=skip"
                raise BadRowError(f"{place}, passage {judgement.passage!r}", "in no corpus.jsonl", fix)
        return found

    def say(self, path: Path, lost: int, times: int) -> None:
        """What was left out and what was made of the rest."""
        if self._left_out:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in self._left_out.items())
            logger.warning("%s: left out: %s", path, reasons)
        if lost:
            what = "passages are" if lost > 1 else "passage is"
            logger.warning(
                "%s: %d relevant %s in no corpus.jsonl; they count as not found, as in MTEB", path, lost, what
            )
        if times > 1:
            changes = "which makes the scores whole numbers; no metric changes"
            logger.warning("%s: relevance is multiplied by %d, %s", path, times, changes)

    def _leave_out(self, bad: BadRowError, what: str = "") -> None:
        if self._on_bad == "error":
            raise bad.or_skip() from bad
        self._left_out[what + bad.reason] += 1


def whole_numbers(judged: Collection[beir.Judgement], place: object) -> tuple[Qrels, int]:
    """The relevance table; scores are whole numbers, as trec_eval needs them, or times one number they are.

    nDCG, the only metric that heeds how relevant a passage is, takes the scores as they are: of all scores times the
    same it is the same.

    Raises:
        InputError: a score that is not near a fraction of a thousand or less.
    """
    fractions = [Fraction(one.score).limit_denominator(_FINEST) for one in judged]
    times = math.lcm(*(fraction.denominator for fraction in fractions))
    odd = next((o.score for o, f in zip(judged, fractions, strict=True) if abs(o.score - f) > 1e-9), None)
    if odd is not None or times > _FINEST:
        shown = f"{odd} is not a relevance score" if odd is not None else "the scores are not relevance scores"
        raise InputError(f"{place}: {shown}; write whole numbers, 0 for not relevant, 1, 2, 3 for how relevant")
    qrels: Qrels = defaultdict(dict)
    for one, fraction in zip(judged, fractions, strict=True):
        qrels[one.query][one.passage] = int(fraction * times)
    return dict(qrels), times


def _good(found: Mapping[str, str | BadRowError]) -> dict[str, str]:
    return {identity: text for identity, text in found.items() if isinstance(text, str)}


def _ids(side: Texts) -> frozenset[str]:
    return frozenset(identity for texts in side.values() for identity in texts)


def _files(folders: Mapping[str, Path], name: str) -> list[tuple[str, Path]]:
    return [(code, folder / name) for code, folder in folders.items() if (folder / name).is_file()]


def _language(folder: Path) -> str | None:
    if not folder.is_dir() or not any((folder / name).is_file() for name in ("queries.jsonl", "corpus.jsonl")):
        return None
    return codes.normalise(folder.name)


def _qrels_of(folder: Path, split: str | None) -> list[Path]:
    found = sorted((folder / "qrels").glob("*.tsv"))
    if split is not None:
        found = [file for file in found if file.stem == split]
    elif len(found) > 1:
        found = [file for file in found if file.stem == "test"] or found
    return [file for file in (folder / "qrels.tsv",) if file.is_file()] + found
