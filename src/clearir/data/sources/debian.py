"""Debian's package descriptions: the short one is a query, the long one its passage, in many languages.

```python
fetch("debian", ["de", "fi"])                      # once, with apt-get
rows = Rows.collect(read("debian", ["de", "fi"]))  # English and German or Finnish, joined by Description-md5
corpus = read_english("debian")                    # every passage to search, translated or not
```

Packages come in families (libfoo, libfoo-dev, libfoo-doc) that begin with the same words, so that a query would have
several right answers of which one only is marked. One package a family is kept, in the rows and in the corpus.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clearir.data.rows import Row
from clearir.data.sources import files
from clearir.data.sources.apt import PREFIX, fetch
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, chosen, usable
from clearir.support import languages as codes
from clearir.support import progress
from clearir.support.errors import InputError

__all__ = ["Description", "fetch", "read", "read_english"]


class Description(NamedTuple):
    """A package's short and long description, in one language."""

    short: str
    long: str


@dataclass(frozen=True, slots=True)
class _Package:
    place: str
    name: str
    md5: str  # of the English description: what ties translations to it
    text: Description


def read(
    folder: str | Path,
    languages: Iterable[str] | None = None,
    *,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each family of packages and language it is translated into; ids are names of packages.

    Left out, and counted in ``skipped``: queries that several families have, in English or in the target language,
    and translations that are the English text.

    Args:
        folder: what `fetch` made, or any folder of plain ``Translation-XX`` files, one of them ``Translation-en``.
        languages: target languages; all that are there by default.
        on_bad: ``"skip"`` leaves entries out that are broken.
        skipped: gets the number of packages left out, by reason.

    Raises:
        InputError: with file, line, and what to do.
    """
    there = _files(Path(folder))
    wanted = chosen(languages, (code for code in there if code != "en"), folder)
    skipped = Counter() if skipped is None else skipped
    return usable(_records(there, wanted, skipped), _row, folder, on_bad, skipped)


def read_english(folder: str | Path) -> dict[str, Description]:
    """The English descriptions of one package a family, by the package's name.

    Raises:
        InputError: with file, line, and what to do.
    """
    there = _files(Path(folder))
    translations = {code: _by_md5(file, []) for code, file in there.items() if code != "en"}
    return {package.name: package.text for package in _families(_packages(there["en"], []), translations)}


def _records(there: dict[str, Path], wanted: list[str], skipped: Skipped) -> Iterator[tuple[str, Row | BadRowError]]:
    wrong: list[BadRowError] = []
    packages = _packages(there["en"], wrong)
    # All languages take part in choosing a family's package, so that the choice, and with it the corpus, stays the
    # same whichever languages are asked for.
    translations = {code: _by_md5(file, wrong) for code, file in there.items() if code != "en"}
    families = _families(packages, translations)
    skipped["another package of its family"] += len(packages) - len(families)
    for code in wanted:
        yield from _translated(families, translations[code], code, skipped)
    yield from (("", bad) for bad in wrong)


def _translated(
    families: list[_Package], translations: dict[str, Description], code: str, skipped: Skipped
) -> Iterator[tuple[str, Row]]:
    english = Counter(_key(package.text.short) for package in families)
    pairs = [(package, translations[package.md5]) for package in families if package.md5 in translations]
    target = Counter(_key(translation.short) for _, translation in pairs)
    for package, translation in pairs:
        if _same(package.text.short, translation.short) or _same(package.text.long, translation.long):
            skipped["translation is the English text"] += 1
        elif english[_key(package.text.short)] > 1 or target[_key(translation.short)] > 1:
            skipped["query of several packages"] += 1
        else:
            yield (
                package.place,
                Row(
                    query=package.text.short,
                    passage=package.text.long,
                    target_query=translation.short,
                    language=code,
                    target_passage=translation.long,
                    passage_id=package.name,
                    query_id=package.name,
                ),
            )


def _row(place: str, row: Row) -> Row:
    return row


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; fetch the descriptions first (clearir.data.sources.debian.fetch)")
    there = {codes.normalise(file.name.removeprefix(PREFIX)): file for file in sorted(folder.glob(f"{PREFIX}*"))}
    if "en" not in there:
        raise InputError(f"{folder}: no file {PREFIX}en; fetch the descriptions again")
    return there


def _families(packages: list[_Package], translations: dict[str, dict[str, Description]]) -> list[_Package]:
    """One package of each family, in the order of the first of each: those whose text begins with the same paragraph.

    Taken is the one with the most translations, and of several the one with the shortest name: libfoo, not libfoo-dev.
    """

    def rank(package: _Package) -> tuple[int, int, str]:
        return -sum(package.md5 in texts for texts in translations.values()), len(package.name), package.name

    families: dict[str, list[_Package]] = {}
    for package in packages:
        families.setdefault(_key(package.text.long.partition("\n")[0]), []).append(package)
    return [min(family, key=rank) for family in families.values()]


def _key(text: str) -> str:
    """Letters alone: versions and punctuation make no difference between packages of a family."""
    return re.sub(r"[\W\d_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _same(one: str, other: str) -> bool:
    return _key(one) == _key(other)


def _packages(file: Path, wrong: list[BadRowError]) -> list[_Package]:
    """Packages of the English file, the first of a name where several releases have it. Not those without content.

    Nor the installer's tasks: hundreds of texts of one sentence ("localises the desktop in ...") that any short query
    in a foreign language resembles.
    """
    packages: dict[str, _Package] = {}
    for package in _read(file, wrong):
        empty = not _key(package.text.long) or re.search(r"\b(transitional|dummy)\b", package.text.short, re.IGNORECASE)
        if not empty and not package.name.startswith("task-"):
            packages.setdefault(package.name, package)
    return list(packages.values())


def _by_md5(file: Path, wrong: list[BadRowError]) -> dict[str, Description]:
    return {package.md5: package.text for package in _read(file, wrong) if package.text.long}


def _read(file: Path, wrong: list[BadRowError]) -> Iterator[_Package]:
    """The entries of a file; what is wrong with others goes to ``wrong``."""
    for number, entry in progress.track(_entries(file), f"Reading {file.name}"):
        try:
            yield _package(f"{file}:{number}", entry)
        except BadRowError as bad:
            wrong.append(bad)


def _entries(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Runs of lines between empty lines, with the number of the first."""
    entry: list[str] = []
    start = 1
    for number, raw in files.lines(file):
        line = files.decoded(file, number, raw).rstrip("\r\n")
        if line.strip():
            start = start if entry else number
            entry.append(line)
        elif entry:
            yield start, entry
            entry = []
    if entry:
        yield start, entry


def _package(place: str, entry: list[str]) -> _Package:
    fields = dict(line.split(": ", 1) for line in entry if not line.startswith(" ") and ": " in line)
    short = next((fields[key] for key in fields if re.fullmatch(r"Description-(?!md5$)\S+", key)), "")
    for key, value in (("Package", fields.get("Package")), ("Description-md5", fields.get("Description-md5"))):
        if not value:
            raise BadRowError(place, f"an entry without {key!r}", "fetch the file again")
    if not short:
        raise BadRowError(place, "an entry without a description", "fetch the file again")
    long = _flowing(line for line in entry if line.startswith(" "))
    return _Package(
        place, fields["Package"].strip(), fields["Description-md5"].strip(), Description(short.strip(), long)
    )


def _flowing(lines: Iterable[str]) -> str:
    """A long description without its line breaks and indents; a line ``.`` parts paragraphs, which stay parted."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == ".":
            paragraphs.append([])
        else:
            paragraphs[-1] += line.split()
    return "\n".join(" ".join(words) for words in paragraphs if words)
