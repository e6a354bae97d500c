"""Queries before and after: the typical one of a language, and those that gained and lost most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clearir.evaluation.scores import Direction
from clearir.report.direction_table import directions_of
from clearir.report.load import Run

#: languages with examples, at most
LANGUAGES = 12
#: typical searches of a report on few languages
SEARCHES = 6


@dataclass(frozen=True)
class Found:
    """A passage among the first of a query.

    Attributes:
        identifier: its id, in a pool with the language in front.
        text: None where the texts are not kept beside the scores.
        right: whether the scores know it as relevant.
    """

    identifier: str
    text: str | None
    right: bool


@dataclass(frozen=True)
class Change:
    """One query before and after.

    Attributes:
        direction: ``de->en``.
        language: of the query.
        passage_language: of the passages.
        query_id: its id.
        query: its text, None where it is not kept.
        meaning: the same question in the bridge language, where that is another one and is kept.
        gold: id and text of a relevant passage.
        values: the metric before and after.
        ranks: of the first relevant passage, before and after.
        top: the first passages before and after.
    """

    direction: str
    language: str
    passage_language: str
    query_id: str
    query: str | None
    meaning: str | None
    gold: Found
    values: tuple[float, float]
    ranks: tuple[int, int]
    top: tuple[list[Found], list[Found]]

    @property
    def difference(self) -> float:
        """Of the metric, after minus before."""
        return self.values[1] - self.values[0]


def extremes(run: Run, direction: str, number: int = 3) -> tuple[list[Change], list[Change]]:
    """The queries of one direction that gained most and that lost most, most first; a direction not scored has none.

    Where the metric ties, the rank of the relevant passage decides, on a log scale as the metric itself does.
    """
    changes = _by_gain(run, direction)
    gained = [change for change in reversed(changes[-number:]) if change.difference > 0]
    lost = [change for change in changes[:number] if change.difference < 0]
    return gained, lost


def typical(run: Run, direction: str, number: int = 1) -> list[Change]:
    """Queries of one direction spread evenly from the largest gain to the largest loss; one alone is that with the
    median gain. A direction that was not scored has none.
    """
    changes = _by_gain(run, direction)
    number = min(number, len(changes))
    return [changes[((2 * place + 1) * len(changes) - 1) // (2 * number)] for place in reversed(range(number))]


def typical_searches(run: Run) -> tuple[str, list[Change]]:
    """What they are, in words, and typical queries of the languages on the bridge language's passages.

    There is one a language, and more where the languages are few.
    """
    languages = run.cross_languages[:LANGUAGES]
    number = max(1, SEARCHES // max(len(languages), 1))
    changes = [one for code in languages for one in typical(run, f"{code}->{run.before.bridge}", number)]
    if number == 1:
        return "A typical search in each language: the one with the median gain.", changes
    return "Typical searches in each language, evenly spread from the largest gain to the largest loss.", changes


def most_changed(run: Run) -> tuple[list[Change], list[Change]]:
    """The query of each target language that gained most on the bridge language's passages, and that lost most."""
    pairs = [extremes(run, f"{language}->{run.before.bridge}", 1) for language in run.languages]
    return [one for gained, _ in pairs for one in gained], [one for _, lost in pairs for one in lost]


def _by_gain(run: Run, direction: str) -> list[Change]:
    """All queries of one direction, the largest loss first."""
    pair = directions_of(run.before, run.after, direction)
    if pair is None:
        return []
    changes = _changes(*pair, run)
    return sorted(changes, key=lambda one: (one.difference, one.ranks[0] / max(one.ranks[1], 1)))


def _changes(first: Direction, second: Direction, run: Run) -> Iterator[Change]:
    texts, bridge = run.texts, run.before.bridge
    places = {query: index for index, query in enumerate(second.query_ids)}

    def question(language: str, query: str) -> str | None:
        return texts.queries.get(language, {}).get(query) if texts else None

    def found(identifier: str, right: bool) -> Found:
        return Found(identifier, texts.passage(identifier, first.passage_language) if texts else None, right)

    def hits(top: list[str], gold: str, rank: int) -> list[Found]:
        # more than one passage may be relevant: the named one is, and so is the one that stands at the rank
        return [found(one, one == gold or place == rank) for place, one in enumerate(top, start=1)]

    for index, (query, gold) in enumerate(zip(first.query_ids, first.gold, strict=True)):
        other = places[query]
        yield Change(
            direction=first.name,
            language=first.query_language,
            passage_language=first.passage_language,
            query_id=query,
            query=question(first.query_language, query),
            meaning=question(bridge, query) if first.query_language != bridge else None,
            gold=found(gold, True),
            values=(first.values[run.metric][index], second.values[run.metric][other]),
            ranks=(first.ranks[index], second.ranks[other]),
            top=(
                hits(first.top[index], gold, first.ranks[index]),
                hits(second.top[other], gold, second.ranks[other]),
            ),
        )
