"""The queries that gained and lost most, with what they found before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearir.evaluation.scores import MAIN_METRIC, Direction, Texts
from clearir.report.direction_table import directions_of
from clearir.report.load import Run


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
    gold: Found
    values: tuple[float, float]
    ranks: tuple[int, int]
    top: tuple[list[Found], list[Found]]

    @property
    def difference(self) -> float:
        """Of the metric, after minus before."""
        return self.values[1] - self.values[0]


def extremes(run: Run, direction: str, number: int = 3, metric: str = MAIN_METRIC) -> tuple[list[Change], list[Change]]:
    """The queries of one direction that gained most and that lost most, most first; a direction not scored has none.

    Where the metric ties, the rank of the relevant passage decides, on a log scale as the metric itself does.
    """
    pair = directions_of(run.before, run.after, direction)
    if pair is None or metric not in pair[0].values or metric not in pair[1].values:
        return [], []
    first, second = pair
    place = {query: index for index, query in enumerate(second.query_ids)}

    def gain(index: int) -> tuple[float, float]:
        other = place[first.query_ids[index]]
        return (
            second.values[metric][other] - first.values[metric][index],
            first.ranks[index] / max(second.ranks[other], 1),
        )

    ordered = sorted(range(len(first.query_ids)), key=gain)
    change = _changer(first, second, place, run.texts, metric)
    gained = [change(index) for index in reversed(ordered[-number:]) if gain(index)[0] > 0]
    lost = [change(index) for index in ordered[:number] if gain(index)[0] < 0]
    return gained, lost


def most_changed(run: Run, metric: str = MAIN_METRIC) -> tuple[list[Change], list[Change]]:
    """The query of each target language that gained most on the bridge language's passages, and that lost most."""
    pairs = [extremes(run, f"{language}->{run.before.bridge}", 1, metric) for language in run.languages]
    return [one for gained, _ in pairs for one in gained], [one for _, lost in pairs for one in lost]


def _changer(
    first: Direction, second: Direction, place: dict[str, int], texts: Texts | None, metric: str
) -> Callable[[int], Change]:
    def found(identifier: str, right: bool) -> Found:
        return Found(identifier, texts.passage(identifier, first.passage_language) if texts else None, right)

    def hits(top: list[str], gold: str, rank: int) -> list[Found]:
        # more than one passage may be relevant: the named one is, and so is the one that stands at the rank
        return [found(one, one == gold or place == rank) for place, one in enumerate(top, start=1)]

    def change(index: int) -> Change:
        query, gold = first.query_ids[index], first.gold[index]
        other = place[query]
        return Change(
            direction=first.name,
            language=first.query_language,
            passage_language=first.passage_language,
            query_id=query,
            query=texts.queries.get(first.query_language, {}).get(query) if texts else None,
            gold=found(gold, True),
            values=(first.values[metric][index], second.values[metric][other]),
            ranks=(first.ranks[index], second.ranks[other]),
            top=(
                hits(first.top[index], gold, first.ranks[index]),
                hits(second.top[other], gold, second.ranks[other]),
            ),
        )

    return change
