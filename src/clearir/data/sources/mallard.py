"""Help pages in Mallard, GNOME's XML: a title is a query, the text under it the passage.

```
help/C/gnome-help/disk-check.page      <page id="disk-check"><title>Check your hard disk</title> <p>...</p>
help/ta/gnome-help/disk-check.page       <section id="disk-status"><title>...</title> <p>...</p></section></page>
```

``C`` is English, as in ``/usr/share/help``. Languages are joined by the ids of page and section; see
`clearir.data.sources.sections` for what becomes a row and what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources import sections
from clearir.data.sources.checks import BadRowError, OnBad, Skipped
from clearir.data.sources.outline import Element, Outline, names, read_bytes, tag, text_of
from clearir.data.sources.sections import Section
from clearir.support.errors import first_line

SUFFIXES = (".page",)
_NO_TEXT = names("info links media figure comment cite screen synopsis rules")
_HOLD_BLOCKS = names("page section item example note")
_BLOCKS = names("page section p title subtitle item steps list terms tree note quote listing example table tr td desc")
_JOINED = {"keyseq": "+", "guiseq": " ▸ "}


def read(
    path: str | Path,
    languages: Iterable[str] | None = None,
    *,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each page and section and language it is translated into.

    Args:
        path: a folder with a folder of ``.page`` files (or folders of them) for each language, English as ``C`` or
            ``en``: ``/usr/share/help``.
        languages: target languages; all that are there by default.
        on_bad: ``"skip"`` leaves pages out that are no XML.
        skipped: gets the number of sections left out, by reason.

    Raises:
        InputError: with file and what to do.
    """
    return sections.read([source(path)], languages, path, on_bad, skipped)


def read_english(path: str | Path) -> dict[str, Section]:
    """The English sections by id, translated or not, each text once.

    Raises:
        InputError: with file and what to do.
    """
    return sections.read_english([source(path)], path)


def source(path: str | Path) -> sections.Folders:
    """The folder as a source of sections."""
    return sections.Folders(Path(path), SUFFIXES, _pages)


def _pages(folder: Path, files: list[Path]) -> Iterator[list[Section] | BadRowError]:
    """The sections of each page of a language."""
    parsed: dict[str, Element] = {}
    for file in files:
        root = _parse(file)
        if isinstance(root, BadRowError):
            yield root
        else:
            name = root.get("id") or file.stem
            parsed[(file.parent.relative_to(folder) / name).as_posix()] = root
    titles = _titles(parsed)
    for page, root in parsed.items():
        yield _sections(page, root, titles)


def _parse(file: Path) -> Element | BadRowError:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True
    )
    fix = "correct the page"
    try:
        root = etree.fromstring(read_bytes(file), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        return BadRowError(str(file), f"not XML ({first_line(error)})", fix)
    return root if tag(root) == "page" else BadRowError(str(file), f"<{tag(root)}>, not a Mallard <page>", fix)


def _titles(pages: dict[str, Element]) -> dict[str, str]:
    """What a link without text shows: the title of the page or section (``page#section``) that it leads to."""
    titles: dict[str, str] = {}
    for root in pages.values():
        for title in filter(_is_heading, root.iter()):
            page, section = root.get("id", ""), title.getparent()
            place = page if section is root else f"{page}#{section.get('id', '')}"
            titles.setdefault(place, text_of(title, _dropped))
    return titles


def _sections(page: str, root: Element, titles: dict[str, str]) -> list[Section]:
    for element in list(root.iter("*")):
        _spell_out(element, root.get("id", ""), titles)
    outline = Outline(_dropped, _is_heading, _BLOCKS)
    outline.walk(root)
    outline.end_paragraph()
    names = [text_of(heading, _dropped) for heading, _ in outline.found]
    return [
        Section(page, _identity(heading, root), names[0], name, tuple(paragraphs))
        for (heading, paragraphs), name in zip(outline.found, names, strict=True)
    ]


def _identity(heading: Element, root: Element) -> str | None:
    section = heading.getparent()
    return "" if section is root or section is None else section.get("id")


def _is_heading(element: Element) -> bool:
    around = element.getparent()
    return tag(element) == "title" and around is not None and tag(around) in ("page", "section")


def _dropped(element: Element) -> bool:
    """No text of its own: links to other pages, pictures, blocks of code (but code inside a sentence is text)."""
    return tag(element) in _NO_TEXT or (tag(element) == "code" and tag(element.getparent()) in _HOLD_BLOCKS)


def _spell_out(element: Element, page: str, titles: dict[str, str]) -> None:
    """Write into the tree what a reader would see there."""
    name, children = tag(element), list(element)
    if name == "link" and not children and not (element.text or "").strip():
        target = element.get("xref", "")
        element.text = titles.get(f"{page}{target}" if target.startswith("#") else target)
    elif name in _JOINED:
        for child in children[:-1]:
            child.tail = _JOINED[name]
    elif name == "choose":  # the same for several systems
        for child in children[1:]:
            element.remove(child)
