"""Sections of help pages in several languages -> rows: a heading is a query, the text under it its passage.

Left out, and counted by reason:

- what cannot be joined or has nothing to find: headings without an id or without a word, sections without text;
- text that stood in an earlier section: programs of one family share many;
- headings of several sections ("Options", "Example"), in English or in the target language, and headings below the
  page's own of one or two words ("Every day"), which are labels: a query must be able to find its passage;
- headings that are not translated.

Text that is not translated is left out of the target passage; where that is half of it or more, the row has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, chosen, optional_text, text, usable
from clearir.data.sources.textfiles import CONTROLS
from clearir.support import languages as codes
from clearir.support.errors import InputError
from clearir.support.progress import track
from clearir.support.texts import text_key, words

ENGLISH = "en"
_COLONS = " :：៖"
_WORDS = 3  # of a heading below the page's own
_LEAST = 20  # letters and digits of a passage; shorter ones ("String", "See also") answer nothing


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it, up to the next heading.

    Attributes:
        page: the same in all languages.
        identity: of the heading, the same in all languages; None where it has none.
        title: the first heading of the page.
        heading: of this section.
        paragraphs: without code, pictures and links to other pages.
    """

    page: str
    identity: str | None
    title: str
    heading: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The passage."""
        return "\n".join(self.paragraphs)

    @property
    def name(self) -> str:
        """The heading, after the page's own where it is another."""
        return self.heading if self.heading == self.title else f"{self.title}: {self.heading}"

    @property
    def key(self) -> str:
        """Ties the section over languages."""
        return f"{self.page}#{self.identity}" if self.identity else self.page


Pages = Callable[[Path, list[Path]], Iterator[list[Section] | BadRowError]]


@dataclass(frozen=True)
class Folders:
    """A folder with a folder of pages for each language.

    Attributes:
        path: of the folder.
        suffixes: how the names of pages end.
        pages: the sections of each page, of a language's folder and the files in it.
    """

    path: Path
    suffixes: tuple[str, ...]
    pages: Pages

    def languages(self) -> dict[str, Path]:
        """The folders that are named by a language and hold pages, of several for one that with the plainest name.

        Raises:
            InputError: no such folder, or two for one language (``zh_CN`` and ``zh-Hans``).
        """
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such folder; give the folder with one subfolder per language")
        found: dict[str, Path] = {}
        for folder in sorted(self.path.iterdir()):
            code = _language(folder.name) if folder.is_dir() else None
            if code is None or not self.files(folder):
                continue
            if code in found and folder.name.startswith((f"{found[code].name}-", f"{found[code].name}_")):
                continue  # ca-valencia, where there is ca
            if code in found:
                raise InputError(
                    f"{self.path}: {found[code].name} and {folder.name} are for the same language; move one away"
                )
            found[code] = folder
        return found

    def files(self, folder: Path) -> list[Path]:
        """The pages of a language, in order."""
        return sorted(file for file in folder.rglob("*") if file.suffix in self.suffixes and file.is_file())


def read(
    sources: Sequence[Folders],
    languages: Iterable[str] | None,
    source: object,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each section of the sources and language that it is translated into.

    Raises:
        InputError: with file and what to do.
    """
    skipped = Counter() if skipped is None else skipped
    there = _there(sources, source)
    wanted = chosen(languages, {code for _, folders in there for code in folders if code != ENGLISH}, source)
    return usable(_records(there, wanted, skipped), _row, source, on_bad, skipped)


def read_english(sources: Sequence[Folders], source: object) -> dict[str, Section]:
    """The English sections, translated or not, by key: each text once, and none without text.

    Raises:
        InputError: with file and what to do.
    """
    return _distinct(_load(_there(sources, source), ENGLISH, []), Counter())


_Found = Sequence[tuple[Folders, dict[str, Path]]]


def _there(sources: Sequence[Folders], source: object) -> _Found:
    there = [(one, one.languages()) for one in sources]
    if not any(ENGLISH in folders for _, folders in there):
        kinds = " or ".join(dict.fromkeys(suffix for one in sources for suffix in one.suffixes))
        raise InputError(
            f"{source}: no folder 'en' (or en-US, C) with {kinds} files in it; give the folder that has a folder for"
            " each language"
        )
    return there


def _records(there: _Found, wanted: list[str], skipped: Skipped) -> Iterator[tuple[str, Row | BadRowError]]:
    bad: list[BadRowError] = []
    english = _distinct(_load(there, ENGLISH, bad), skipped)
    titled = _unambiguous(english.values(), skipped)
    for code in wanted:
        translated = {section.key: section for section in reversed(_load(there, code, bad))}
        yield from _translated(titled, translated, code, skipped)
    yield from (("", one) for one in bad)


def _load(there: _Found, code: str, bad: list[BadRowError]) -> list[Section]:
    """The sections of a language, in order; what is wrong with a page goes to ``bad``."""
    found: list[Section] = []
    for source, folders in there:
        if code in folders:
            files = source.files(folders[code])
            pages = source.pages(folders[code], files)
            for page in track(pages, f"Reading {len(files):,} pages in {codes.name(code)}", len(files)):
                if isinstance(page, BadRowError):
                    bad.append(page)
                else:
                    found += page
    return found


def _distinct(sections: Iterable[Section], skipped: Skipped) -> dict[str, Section]:
    """The sections that can be found by something, each text once."""
    kept: dict[str, Section] = {}
    seen: set[str] = set()
    for section in sections:
        key = _key(section.text)
        if not _key(section.heading):
            skipped["heading without words"] += 1
        elif section.identity is None or section.key in kept:
            skipped["heading without an id of its own"] += 1
        elif len(key.replace(" ", "")) < _LEAST or key == _key(section.heading):
            skipped["section without text"] += 1
        elif key in seen:
            skipped["text of an earlier section"] += 1
        else:
            seen.add(key)
            kept[section.key] = section
    return kept


def _unambiguous(sections: Iterable[Section], skipped: Skipped) -> list[Section]:
    every = list(sections)
    count = Counter(_key(section.heading) for section in every)
    kept: list[Section] = []
    for section in every:
        key = _key(section.heading)
        if count[key] > 1:
            skipped["heading of several sections"] += 1
        elif key != _key(section.title) and len(key.split()) < _WORDS:
            skipped[f"label of less than {_WORDS} words"] += 1
        else:
            kept.append(section)
    return kept


def _translated(
    english: list[Section], translated: dict[str, Section], code: str, skipped: Skipped
) -> Iterator[tuple[str, Row]]:
    pairs = [(section, translated[section.key]) for section in english if section.key in translated]
    count = Counter(_key(target.heading) for _, target in pairs)
    for section, target in pairs:
        if _key(target.heading) in ("", _key(section.heading)):
            skipped["heading not translated"] += 1
        elif count[_key(target.heading)] > 1:
            skipped["target heading of several sections"] += 1
        elif CONTROLS.search(target.heading + target.text):
            skipped["damaged letters in the translation"] += 1
        else:
            yield (
                section.key,
                Row(
                    query=section.heading.rstrip(_COLONS),
                    passage=section.text,
                    target_query=target.heading.rstrip(_COLONS),
                    language=code,
                    target_passage=_own_text(section, target),
                    passage_id=section.key,
                    query_id=section.key,
                    page_id=section.page,
                ),
            )


def _own_text(section: Section, target: Section) -> str | None:
    """The paragraphs that are translated, if they are more than half of the text."""
    english = set(section.paragraphs)
    own = [paragraph for paragraph in target.paragraphs if paragraph not in english]
    return "\n".join(own) if 2 * sum(map(len, own)) > sum(map(len, target.paragraphs)) else None


def _row(place: str, row: Row) -> Row:
    for column in ("query", "passage", "target_query"):
        text(getattr(row, column), place, column)
    optional_text(row.target_passage, place, "target_passage")
    return row


def _key(text: str) -> str:
    """The words alone: punctuation makes no difference between headings."""
    return " ".join(words(text_key(text)))


def _language(name: str) -> str | None:
    """The language that a folder is named by, if it is. ``C`` is English in ``/usr/share/help``."""
    try:
        return ENGLISH if name == "C" else codes.normalise(name)
    except InputError:
        return None
