"""Suites by name: what is built in, from where and under which licence; and how to load one.

```python
suite = load_suite("mlqa", "data/mlqa", languages=["en", "de", "ar"])   # published files
suite = load_suite("xquad")                                             # from the Hub, revision pinned
suite = load_suite("my-suite/")                                         # a folder of one's own
```
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources.checks import BadRowError, OnBad
from clearir.evaluation import layouts
from clearir.evaluation.folders import read_folder
from clearir.evaluation.suites import Qrels, Suite, Texts
from clearir.support import languages as codes
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError

logger = logging.getLogger(__name__)

Read = Callable[[Path | None, Collection[str] | None, str | None], Suite]


@dataclass(frozen=True)
class SuiteInfo:
    """What is known of a built-in suite without loading it.

    Attributes:
        name: what to ask for.
        languages: in the published data; none for the user's own kinds.
        size: in words, as published.
        licence: of the texts.
        source: name on the Hub, or where to fetch the files.
        revision: pinned commit on the Hub, the one that MTEB pins; None where the suite has to be fetched by hand.
        read: loads it from a local folder, or from the Hub without one.
    """

    name: str
    languages: tuple[str, ...]
    size: str
    licence: str
    source: str
    revision: str | None
    read: Read


def load_suite(
    name: str,
    path: str | Path | None = None,
    languages: Collection[str] | None = None,
    *,
    split: str | None = None,
    on_bad: OnBad = "error",
) -> Suite:
    """Load a suite by name or from a folder of one's own.

    Args:
        name: one of `SUITES`, or a folder: in BEIR's format, or with a folder a language (see
            `clearir.evaluation.folders.read_folder`).
        path: local folder in the published layout; without it the Hub is asked.
        languages: those to load; all by default.
        split: which part of the data, where it has several; by default the one that is scored in the literature.
        on_bad: of a folder of one's own; see `clearir.evaluation.folders.read_folder`.

    Raises:
        InputError: no such suite, folder, split or language, or the data cannot be used.
    """
    info = SUITES.get(name)
    if info is None:
        folder = Path(name if path is None else path)
        if not folder.is_dir():
            raise InputError(f"{name}: neither a folder nor a suite; there are {', '.join(SUITES)}")
        return _own(folder, languages, split, on_bad).restrict(languages)
    if on_bad != "error":
        raise InputError(f"on_bad: {name} is read as published; leave it out")
    if path is not None and not Path(path).is_dir():
        raise InputError(f"{path}: no such folder; give the folder of {name} as published ({info.source})")
    suite = info.read(None if path is None else Path(path), languages, split)
    revision = info.revision if path is None else None
    return replace(suite, name=info.name, licence=info.licence or None, revision=revision).restrict(languages)


def suite_at(
    path: Path,
    languages: Collection[str] | None = None,
    *,
    split: str | None = None,
    part: str = "test",
    **options: Any,
) -> Suite:
    """The suite at a path: a table of rows, a folder that `clearir prepare` or a run wrote, or a folder of texts.

    Args:
        path: file or folder.
        languages: those to load; all by default.
        split: which part, where there are several.
        part: which one by default, of a prepared folder: ``test``, ``dev`` or ``train``.
        options: of a table of rows, see `clearir.data.sources.tables.read`; ``on_bad`` of a folder of texts too.

    Raises:
        InputError: there is no such path, split or language, or the data cannot be used.
    """
    if _is_suite(path):
        _refuse(path, options, but=("on_bad",))
        return load_suite(str(path), languages=languages, split=split, **options)
    return Suite.from_rows(*_rows_at(path, split, part, options)).restrict(languages)


def bitext_at(
    paths: Sequence[Path],
    languages: Collection[str] | None = None,
    *,
    split: str | None = None,
    part: str = "test",
    **options: Any,
) -> Suite:
    """The bitext suite of aligned text files, of a table with a column per language, or of rows.

    In rows, the query and the target query of each row are translations of each other.

    Args:
        paths: text files, one per language; or one path: a folder of such files, a table of sentences, a table of
            rows, or a folder that `clearir prepare` or a run wrote.
        languages: those to load; all by default.
        split: of such a folder of rows; see `suite_at`.
        part: likewise.
        options: of a table of rows, see `clearir.data.sources.tables.read`; ``on_bad`` of sentences too.

    Raises:
        InputError: there is no such path, split or language, or the data cannot be used.
    """
    from clearir.data.sources import aligned

    path = paths[0]
    if len(paths) == 1 and not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    if _is_suite(path):
        raise InputError(f"{path}: a suite for retrieval; for bitext give aligned text files, or a table")
    texts = aligned.texts_in(path) if path.is_dir() and not _is_prepared(path) else [*paths]
    wanted = None if languages is None else {codes.normalise(code) for code in languages}
    if len(texts) > 1 or (path.is_file() and aligned.language_in_name(path) is not None):
        _refuse_split(path, split)
        _refuse(path, options, but=("on_bad",))
        if wanted is not None and wanted <= set(map(aligned.language_in_name, texts)):
            texts = [file for file in texts if aligned.language_in_name(file) in wanted]
        name = path.resolve().name if path.is_dir() else " ".join(file.name for file in paths)
        return Suite.from_translations(aligned.read_texts(texts, **options), name).restrict(languages)
    if set(options) <= {"on_bad"} and path.is_file() and aligned.is_table(path):
        _refuse_split(path, split)
        return Suite.from_translations(aligned.read_table(path, **options), path.stem).restrict(languages)
    try:
        rows, name = _rows_at(path, split, part, options)
    except BadRowError:
        raise
    except InputError as error:
        fix = "for bitext, name text files (NAME.om) or the columns of a table of sentences (om) by their languages"
        raise InputError(f"{error}; {fix}") from error
    pairs = (
        {row.bridge: row.query, row.language: row.target_query}
        for row in rows
        if row.language is not None and row.target_query is not None
    )
    return Suite.from_translations(pairs, name).restrict(languages)


def _rows_at(path: Path, split: str | None, part: str, options: Mapping[str, Any]) -> tuple[Collection[Row], str]:
    """The rows at a path, and what a suite of them is called."""
    from clearir.data.prepared import read_part
    from clearir.data.rows import Rows
    from clearir.data.sources import tables

    if _is_prepared(path):
        _refuse(path, options)
        rows = read_part(path, split or part)
        if not rows:
            parts = sorted({file.stem.partition("-")[0] for file in path.glob("data/*.parquet")})
            raise InputError(f"{path}: no {split or part} rows; give one of --split {', '.join(parts)}")
        return rows, f"{path.resolve().name} {split or part}"
    _refuse_split(path, split)
    return Rows.collect(tables.read(path, **options), str(path)).rows, path.stem


def _is_suite(path: Path) -> bool:
    return any(path.glob("corpus.jsonl")) or any(path.glob("*/queries.jsonl")) or any(path.glob("*/corpus.jsonl"))


def _is_prepared(path: Path) -> bool:
    return (path / MANIFEST).is_file() and any(path.glob("data/*.parquet"))


def _refuse(path: Path, options: Mapping[str, Any], but: Collection[str] = ()) -> None:
    if unknown := [name for name in options if name not in but]:
        raise InputError(f"{path}: not a table of rows, so it has no option {unknown[0]!r}; leave it out")


def _refuse_split(path: Path, split: str | None) -> None:
    if split is not None:
        raise InputError(f"--split {split}: there is only {path}, which has no parts; leave it out")


def list_suites(data: Path | None = None) -> list[dict[str, str]]:
    """The built-in suites as rows of a table: ``name``, ``languages``, ``size``, ``licence``, ``revision``, ``source``.

    Args:
        data: folder with local copies in sub-folders called like the suites; those are counted, text by text.
    """
    rows = []
    for info in SUITES.values():
        row = {
            "name": info.name,
            "languages": ", ".join(info.languages),
            "size": info.size,
            "licence": info.licence,
            "revision": info.revision or "",
            "source": info.source,
        }
        if data is not None and (data / info.name).is_dir():
            suite = load_suite(info.name, data / info.name)
            row |= {"languages": ", ".join(suite.languages), "size": _size(suite), "source": str(data / info.name)}
        rows.append(row)
    return rows


def _size(suite: Suite) -> str:
    def counts(side: Mapping[str, Mapping[str, str]]) -> str:
        numbers = sorted(len(texts) for texts in side.values())
        low, high = numbers[0], numbers[-1]
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return f"{counts(suite.queries)} queries, {counts(suite.passages)} passages a language"


def _from_rows(read: Callable[[Path | None, Collection[str] | None, str | None], Iterable[Row]], name: str) -> Read:
    def load(path: Path | None, languages: Collection[str] | None, split: str | None) -> Suite:
        return Suite.from_rows(read(path, languages, split), name)

    return load


def _from_texts(
    read: Callable[[Path | None, Collection[str] | None, str | None], tuple[Texts, Texts, Qrels]], name: str
) -> Read:
    def load(path: Path | None, languages: Collection[str] | None, split: str | None) -> Suite:
        return Suite(name, *read(path, languages, split))

    return load


def _own(path: Path, languages: Collection[str] | None, split: str | None, on_bad: OnBad) -> Suite:
    found = read_folder(path, languages, split, on_bad)
    codes = sorted({*found.queries, *found.passages})
    sizes = {code: len(found.passages.get(code, {})) for code in codes}
    bridge = "en" if "en" in codes else min(codes, key=lambda code: (-sizes[code], code))
    suite = Suite(path.resolve().name, found.queries, found.passages, found.qrels, bridge, lost=found.lost)
    if suite.repeated:
        said = "queries are passages under their own id; each is left out of its own ranking, as in BEIR and MTEB"
        logger.warning("%s: %d %s", path, len(suite.repeated), said)
    return suite


SUITES: dict[str, SuiteInfo] = {
    info.name: info
    for info in (
        SuiteInfo(
            "xquad",
            tuple(layouts.XQUAD_LANGUAGES),
            "1,190 queries, 240 passages a language",
            "CC BY-SA 4.0",
            layouts.XQUAD[0],
            layouts.XQUAD[1],
            _from_rows(layouts.read_xquad, "xquad"),
        ),
        SuiteInfo(
            "mlqa",
            tuple(layouts.MLQA_LANGUAGES),
            "test 4,517 to 11,590 queries a language; dev 500 to 1,148",
            "CC BY-SA 3.0",
            layouts.MLQA[0],
            layouts.MLQA[1],
            _from_rows(layouts.read_mlqa, "mlqa"),
        ),
        SuiteInfo(
            "belebele",
            (),
            "900 queries, 488 passages in each of 122 languages and scripts",
            "CC BY-SA 4.0",
            layouts.BELEBELE[0],
            layouts.BELEBELE[1],
            _from_texts(layouts.read_belebele, "belebele"),
        ),
        SuiteInfo(
            "mkqa",
            tuple(layouts.MKQA_LANGUAGES),
            "10,000 queries a language; the passages are short answers",
            "CC BY-SA 3.0",
            layouts.MKQA[0],
            layouts.MKQA[1],
            _from_texts(layouts.read_mkqa, "mkqa"),
        ),
        SuiteInfo(
            "afriqa",
            ("en", "bem", "fon", "fr", "ha", "ig", "rw", "sw", "tw", "wo", "yo", "zu"),
            "test about 200 to 400 queries a language; passages in English (of Fon in French)",
            "CC BY 4.0",
            layouts.AFRIQA,
            None,
            _from_rows(layouts.read_afriqa, "afriqa"),
        ),
        SuiteInfo(
            "xor-tydi",
            ("en", "ar", "bn", "fi", "ja", "ko", "ru", "te"),
            "a few hundred queries a language; gold passages in English",
            "MIT",
            layouts.XOR_TYDI,
            None,
            _from_texts(layouts.read_xor_tydi, "xor-tydi"),
        ),
        SuiteInfo(
            "debian",
            (),
            "417 (fi) to 45,000 (da) short descriptions a language, with their long ones",
            "of the packages",
            "apt-get, see docs/evaluation.md",
            None,
            _from_rows(layouts.read_debian, "debian"),
        ),
    )
}
