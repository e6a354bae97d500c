"""Which words the target queries of a sparse model fire, before and after training.

What the bridge teaches such a model can be read: a query in Khmer fires words of the English passage that answers it.
Counted are the strongest words of a query that stand in its English query or passage and not in the query itself, so
that a name that both languages write alike counts for nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: words counted for each query
TOP = 10
#: queries of a language that are shown
SHOWN = 3


@dataclass(frozen=True)
class FiredWord:
    """A word that a query fires.

    Attributes:
        word: as the vocabulary has it.
        weight: above 0.
        bridge: whether it stands in the query or passage in the bridge language, and not in the query itself.
    """

    word: str
    weight: float
    bridge: bool


@dataclass(frozen=True)
class FiredBy:
    """A target query and its strongest words, before and after.

    Attributes:
        language: of the query.
        query: its text.
        meaning: the query in the bridge language.
        before: the strongest first.
        after: likewise.
    """

    language: str
    query: str
    meaning: str
    before: tuple[FiredWord, ...]
    after: tuple[FiredWord, ...]


@dataclass(frozen=True)
class BridgeWords:
    """How many of a query's `TOP` strongest words are bridge words, mean over the queries of a language.

    Attributes:
        language: of the queries.
        queries: how many.
        before: words per query.
        after: likewise.
    """

    language: str
    queries: int
    before: float
    after: float


@dataclass(frozen=True)
class FiredWords:
    """What is told of a run.

    Attributes:
        languages: one for each.
        examples: `SHOWN` queries of each language.
    """

    languages: tuple[BridgeWords, ...]
    examples: tuple[FiredBy, ...]

    @property
    def sentence(self) -> str:
        """What is counted, in words."""
        return (
            f"How many of a query's {TOP} strongest words stand in its English query or passage and not in the query "
            "itself, mean per query."
        )

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)
