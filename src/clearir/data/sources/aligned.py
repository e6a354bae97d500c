"""Aligned sentences, the same in several languages: a text file per language, or a table with a column per language.

Line n of each text file says the same, as in Moses' and OPUS's pairs (``corpus.en``, ``corpus.om``) and in FLORES
(``eng_Latn.devtest``). For evaluation: bitext has no passages, so these are no rows.

```python
groups = list(read_texts([Path("help.om.txt"), Path("help.en.txt")]))    # [{"om": "...", "en": "..."}, ...]
groups = list(read_table(Path("help.tsv")))
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError, OnBad, text, usable
from clearir.data.sources.headers import code_of, key_of, language_of
from clearir.support.errors import InputError
from clearir.support.texts import is_blank

Group = dict[str, str]  # language -> sentence
#: ends of names behind the language
_BEHIND = (".txt", ".gz", ".devtest", ".dev", ".test", ".train")
#: ends of names that OPUS has beside its texts; both are codes of languages too
_NO_TEXT = (".ids", ".xml")
_NUMBER = "id"  # name of a column that numbers the sentences
_NAMES = "name each file by its language at the end: NAME.om or NAME.om.txt"


def read_texts(paths: Sequence[Path], on_bad: OnBad = "error") -> Iterator[Group]:
    """The sentences of text files, one a language.

    Args:
        paths: files whose names end in the language; ``.txt`` and ``.gz`` may follow.
        on_bad: ``"skip"`` leaves out lines that are empty or not UTF-8 in one of the files.

    Raises:
        InputError: a name without a language, two files in one language, files of different lengths, or a bad line.
    """
    found: dict[str, Path] = {}
    for path in paths:
        code = language_in_name(path)
        if code is None:
            raise InputError(f"{path}: no language in the name of the file; {_NAMES}")
        if code in found:
            raise InputError(f"{found[code]} and {path} are both in {code}; give one file per language, or {_NAMES}")
        found[code] = path
    if len(found) < 2:
        raise InputError(
            f"{', '.join(map(str, paths))}: one language alone; give the file of each language, "
            "--data NAME.en --data NAME.om, line by line translations of each other"
        )
    lines = {code: [raw for _, raw in files.lines(path)] for code, path in found.items()}
    first = next(iter(found))
    for code in found:
        if len(lines[code]) != len(lines[first]):
            raise InputError(
                f"{found[first]} has {len(lines[first]):,} lines and {found[code]} has {len(lines[code]):,}; line n of "
                "the one must be the translation of line n of the other"
            )

    def group(number: int) -> Group | BadRowError:
        try:
            return {code: _line(found[code], number, lines[code][number - 1]) for code in found}
        except BadRowError as bad:
            return bad

    numbered = ((f"line {number}", group(number)) for number in range(1, len(lines[first]) + 1))
    yield from usable(numbered, lambda place, one: one, ", ".join(map(str, paths)), on_bad)


def read_table(path: Path, on_bad: OnBad = "error") -> Iterator[Group]:
    """The sentences of a table that is one by `is_table`.

    Args:
        path: any kind of table, see `clearir.data.sources.files.records`.
        on_bad: ``"skip"`` leaves out rows with an empty cell.

    Raises:
        InputError: an empty cell.
    """

    def group(place: str, record: Mapping[str, Any]) -> Group:
        columns = _columns(record)
        return {code: text(record[column], place, column) for code, column in columns.items()}

    yield from usable(files.records(path), group, path, on_bad)


def is_table(path: Path) -> bool:
    """Whether a file is a table whose columns, but for one ``id``, are named after two languages or more."""
    if not _is_table_name(path):
        return False
    _, record = next(iter(files.records(path)), ("", {}))
    if isinstance(record, BadRowError):
        return False
    columns = _columns(record)
    return len(columns) > 1 and len(columns) == sum(key_of(column) != _NUMBER for column in record)


def texts_in(folder: Path) -> list[Path]:
    """The files of a folder that have a language in their name and are no tables."""
    inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in inside if language_in_name(path) is not None]


def language_in_name(path: Path) -> str | None:
    """The language that the name of a text file ends in: ``om`` of ``help.om.txt``, ``om.txt`` and ``eng-om.om``."""
    name = path.name
    while end := next((end for end in _BEHIND if name.lower().endswith(end)), None):
        name = name[: -len(end)]
    return None if _is_table_name(path) or name.lower().endswith(_NO_TEXT) else code_of(name.rpartition(".")[2])


def _is_table_name(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").removesuffix(".zip").endswith(files.SUFFIXES)


def _columns(names: Iterable[str]) -> dict[str, str]:
    """Language -> the column that is named after it."""
    found = ((language_of(column), column) for column in names)
    return {language[0]: column for language, column in found if language is not None}


def _line(file: Path, number: int, raw: bytes) -> str:
    place = f"{file}:{number}"
    found = files.decoded(file, number, raw).strip()
    if is_blank(found):
        raise BadRowError(place, "an empty line", "take the line out of all files")
    return found
