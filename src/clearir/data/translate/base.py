"""What a translation backend is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol


class Translator(Protocol):
    """A translation backend.

    Attributes:
        identity: backend, model and whatever else decides the words it answers; together with the text and the two
            languages it is the key of a finished translation. Never holds a secret.
        batch_size: texts that are translated, and put into the cache, together. A killed run loses at most this many.
    """

    @property
    def identity(self) -> str: ...  # noqa: D102 (see the class)

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    def translate(self, texts: Sequence[str], source: str, target: str) -> Iterator[str]:
        """Translate ``texts``, each a single line, from ``source`` into ``target``; one answer each, in order."""
        ...


def flatten(text: str) -> str:
    """``text`` as one line: white space (line ends too) squeezed, control characters and half surrogates taken out."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join("".join(kept).split())
