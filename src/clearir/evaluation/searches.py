"""The queries that the end of a run answers before and after: the recipe's own, or some that were held out.

What is known of a held-out query stands beside it: its meaning in the bridge language, and the passage that is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from clearir.data.rows import Row
from clearir.settings import SearchExample
from clearir.support.artifacts import fingerprint

#: passages shown for each search
HITS = 3


@dataclass(frozen=True)
class FoundPassage:
    """A passage that a search found.

    Attributes:
        passage: its text.
        score: cosine of query and passage.
        question: a query in the bridge language that this passage answers, where one is known.
        right: whether it is the passage that the query was held out with.
    """

    passage: str
    score: float
    question: str | None = None
    right: bool = False


@dataclass(frozen=True)
class Search:
    """A query and its best passages, before and after.

    Attributes:
        language: of the query.
        query: its text.
        before: best passages of the base model.
        after: best passages of the trained model.
        meaning: the query in the bridge language, where it is known.
        right: the passage that answers it, where it is known.
    """

    language: str
    query: str
    before: list[FoundPassage]
    after: list[FoundPassage]
    meaning: str | None = None
    right: str | None = None


def held_out(rows: Iterable[Row], number: int, seed: int = 0) -> list[SearchExample]:
    """So many target queries of each language, drawn at random, each with its meaning and its passage.

    Args:
        rows: that were held out of training.
        number: of queries a language, or all where there are fewer.
        seed: of the draw; rows that come or go change it for themselves alone.
    """
    found: dict[str, dict[str, SearchExample]] = defaultdict(dict)
    for row in rows:
        if row.language is not None and row.target_query is not None:
            example = SearchExample(language=row.language, query=row.target_query, meaning=row.query, right=row.passage)
            found[row.language].setdefault(row.target_query, example)
    return [
        example
        for language in sorted(found)
        for example in sorted(found[language].values(), key=lambda one: fingerprint([seed, one.query]))[:number]
    ]


def one_each(searches: Sequence[Search]) -> list[Search]:
    """The first search of every language."""
    return list({search.language: search for search in reversed(searches)}.values())[::-1]


def first_places(searches: Sequence[Search]) -> tuple[int, int, int] | None:
    """Searches whose right passage is known, and how many of them have it in the first place, before and after."""
    known = [search for search in searches if search.right is not None]
    if not known:
        return None
    before, after = (
        sum(bool(hits) and hits[0].right for hits in side)
        for side in ([one.before for one in known], [one.after for one in known])
    )
    return len(known), before, after


def first_places_in_words(searches: Sequence[Search]) -> str | None:
    """`first_places` as a sentence; None where no right passage is known."""
    counts = first_places(searches)
    if counts is None:
        return None
    number, before, after = counts
    return f"the right passage ranks first for {before} of {number} held-out queries before training, for {after} after"


def to_json(searches: Iterable[Search]) -> list[dict[str, object]]:
    """What is kept of them; also the queries that ``clearir serve --examples`` offers."""
    return [asdict(search) for search in searches]
