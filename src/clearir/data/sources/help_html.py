"""Help pages in HTML, one folder a language: a heading is a query, the text under it the passage.

```
help/en/guide/tables.html     <h2 id="insert">Insert a table</h2> <p>Choose Table ...</p>
help/om/guide/tables.html     <h2 id="insert">Gabatee saagi</h2> <p>...</p>
```

Files have the same names, and headings the same ids, in all languages; see `clearir.data.sources.sections` for what
becomes a row and what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources import sections
from clearir.data.sources.checks import BadRowError, OnBad, Skipped
from clearir.data.sources.outline import Element, Outline, names, read_bytes, text_of
from clearir.data.sources.sections import Section

SUFFIXES = (".html", ".htm", ".xhtml")
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_NO_TEXT = names(
    "head script style template noscript nav header footer aside form button input select textarea"
    " svg math img picture video audio canvas iframe object pre"
)
# Classes of what is no text of its own: Sphinx, MkDocs, LibreOffice, DITA.
_BOILERPLATE = names(
    "headerlink toc toctree-wrapper breadcrumbs related related-links"
    " howtoget relatedtopics icontable code codeintable bascode pycode sqlcode smathcode"
)
_BLOCKS = _HEADINGS | names(
    "html body main article section div p ul ol li dl dt dd table caption tr td th blockquote figure figcaption"
    " details summary address br hr"
)
_VARIANTS = frozenset(("switch", "switchinline"))  # LibreOffice: a text for each system or application, one is shown


def read(
    path: str | Path,
    languages: Iterable[str] | None = None,
    *,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each section and language it is translated into.

    Args:
        path: a folder with a folder of HTML for each language, named by its code (``en``, ``en-US``, ``pt_BR``).
        languages: target languages; all that are there by default.
        on_bad: ``"skip"`` leaves pages out that cannot be read.
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
    for file in files:
        yield _sections(file.relative_to(folder).as_posix(), _parse(file))


def _parse(file: Path) -> Element | None:
    from lxml import etree, html

    data = read_bytes(file)
    try:
        data.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None  # what the page says, else Latin-1, as browsers do
    parser = html.HTMLParser(encoding=encoding, no_network=True, remove_comments=True, remove_pis=True)
    try:
        return html.document_fromstring(data, parser=parser)
    except etree.LxmlError:  # nothing in it
        return None


def _sections(page: str, root: Element | None) -> list[Section]:
    if root is None:
        return []
    for element in list(root.iter("*")):
        if _classes(element) & _VARIANTS:
            _choose(element)
    outline = Outline(_dropped, lambda element: element.tag in _HEADINGS, _BLOCKS, _is_link)
    outline.walk(root)
    outline.end_paragraph()
    titles = [text_of(heading, _dropped) for heading, _ in outline.found]
    return [
        Section(page, _identity(heading, first=number == 0), titles[0], title, tuple(paragraphs))
        for number, ((heading, paragraphs), title) in enumerate(zip(outline.found, titles, strict=True))
    ]


def _classes(element: Element) -> set[str]:
    return set(element.get("class", "").split())


def _dropped(element: Element) -> bool:
    hidden = element.get("hidden") is not None and not element.get("data-chosen")
    return element.tag in _NO_TEXT or hidden or bool(_classes(element) & _BOILERPLATE)


def _choose(switch: Element) -> None:
    """Of the variants of a text take the default, else the first. All are hidden until a script shows one."""
    variants = list(switch)
    default = [one for one in variants if one.get("id", "").startswith("default")]
    for one in (default or variants)[:1]:
        one.set("data-chosen", "yes")
    for one in variants:
        if one.get("data-chosen") is None:
            one.drop_tree()


def _is_link(element: Element) -> bool:
    return element.tag == "a" and element.get("href") is not None


def _identity(heading: Element, *, first: bool) -> str | None:
    """The id of a heading: its own, of an anchor in it, or of the element that it begins. The first needs none."""
    inside = (anchor.get("id") or anchor.get("name") for anchor in heading.iter("a"))
    around = heading.getparent()
    own = heading.get("id") or next(filter(None, inside), None)
    if own is None and around is not None and around[0] is heading:
        own = around.get("id")
    return own or ("" if first else None)
