"""A tree of marked-up text (HTML, XML) -> its headings, each with the paragraphs between it and the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearir.support.errors import InputError

Element = Any  # of lxml, which has no types
Says = Callable[[Element], bool]


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def read_bytes(file: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error}); fetch or make the file again") from error


def tag(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def text_of(element: Element, dropped: Says) -> str:
    """All text in an element but that of ``dropped`` elements, white space squeezed."""
    outline = Outline(dropped, lambda _: False, frozenset())
    outline.found.append((element, []))
    outline.walk(element)
    outline.end_paragraph()
    return " ".join(outline.found[0][1])


@dataclass
class Outline:
    """What is found on a walk through a tree.

    Attributes:
        dropped: elements that are no text (scripts, navigation, code).
        heading: elements that begin a section.
        blocks: names of elements that begin and end a paragraph; in a row of a table (``tr``) only the row does.
        link: elements that lead elsewhere; a paragraph of nothing else is navigation and left out.
        found: pairs of heading and paragraphs. Text before the first heading is left out.
    """

    dropped: Says
    heading: Says
    blocks: frozenset[str]
    link: Says = lambda _: False
    found: list[tuple[Element, list[str]]] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _own: bool = False  # the paragraph has words outside links
    _rows: int = 0  # rows of tables that the walk is in

    def walk(self, element: Element, linked: bool = False) -> None:
        """Add what is in ``element``. Parsers refuse trees deeper than 256, so that this may call itself."""
        if self.dropped(element):
            return
        if self.heading(element):
            self._end()
            self.found.append((element, []))
            return
        block, row = tag(element) in self.blocks, tag(element) == "tr"
        if block:
            self.end_paragraph()
        self._rows += row
        linked = linked or self.link(element)
        self._add(element.text, linked)
        for child in element:
            if isinstance(child.tag, str):  # else a comment or an entity
                self.walk(child, linked)
            self._add(child.tail, linked)
        self._rows -= row
        if block:
            self.end_paragraph()

    def end_paragraph(self) -> None:
        """What came since the last paragraph is one, unless it has no letter, as the figures of a table."""
        if self._rows:
            self._pieces.append(" ")
        else:
            self._end()

    def _end(self) -> None:
        paragraph = " ".join("".join(self._pieces).replace("\xad", "").split())  # without hints where to hyphenate
        if self._own and self.found:
            self.found[-1][1].append(paragraph)
        self._pieces.clear()
        self._own = False

    def _add(self, text: str | None, linked: bool) -> None:
        if text:
            self._pieces.append(text)
            self._own = self._own or (not linked and any(char.isalpha() for char in text))
