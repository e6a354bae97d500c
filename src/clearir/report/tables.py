"""The tables that every format shows: one row a target language, before and after.

```python
table = direction_table(before, after, ["de", "uk", "fi"])
table.mean["x->en"].relative    # 0.23: 23 % better
table.retention                 # 0.998 of the English score is left
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clearir.evaluate.compare import check_same
from clearir.evaluate.scores import MAIN_METRIC, Direction, Scores


@dataclass(frozen=True)
class Cell:
    """A mean before and after, between 0 and 1."""

    before: float
    after: float

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def relative(self) -> float | None:
        """Difference as a share of before; None where before is 0."""
        return self.difference / self.before if self.before else None

    @property
    def ratio(self) -> float | None:
        """After / before; None where before is 0."""
        return self.after / self.before if self.before else None


@dataclass(frozen=True)
class LanguageRow:
    """One target language.

    Attributes:
        language: its code.
        queries: number of its queries on bridge passages (on its own passages, where the former were not scored).
        cells: kind of direction -> Cell, for those that were scored. The kind ``en->en`` is over the English queries
            that are also asked in this language, so that the kinds of a row can be compared.
    """

    language: str
    queries: int
    cells: dict[str, Cell]


@dataclass(frozen=True)
class DirectionTable:
    """Means before and after, one row a target language.

    Attributes:
        metric: what was averaged.
        bridge: code of the bridge language.
        kinds: ``en->en``, ``x->en``, ``en->x``, ``x->x``: those that were scored, in this order.
        rows: one a language.
        english: the bridge language over all its queries.
    """

    metric: str
    bridge: str
    kinds: list[str]
    rows: list[LanguageRow]
    english: Cell | None

    @property
    def mean(self) -> dict[str, Cell]:
        """Kind -> mean over the languages that have it; every language counts the same."""
        return {kind: _mean(row.cells[kind] for row in self.rows if kind in row.cells) for kind in self.kinds}

    @property
    def cross(self) -> Cell | None:
        """Mean over languages of target query -> bridge passage, the figure that training is to raise."""
        return self.mean.get(f"x->{self.bridge}")

    @property
    def retention(self) -> float | None:
        """Bridge score after / before, over all bridge queries."""
        return self.english.ratio if self.english else None

    @property
    def improved(self) -> list[str]:
        """Languages whose queries find more in the bridge language than before."""
        return [language for language, difference in self._cross_differences() if difference > 0]

    @property
    def worse(self) -> list[str]:
        """Languages whose queries find less in the bridge language than before."""
        return [language for language, difference in self._cross_differences() if difference < 0]

    def _cross_differences(self) -> list[tuple[str, float]]:
        kind = f"x->{self.bridge}"
        return [(row.language, row.cells[kind].difference) for row in self.rows if kind in row.cells]


def direction_table(
    before: Scores, after: Scores, languages: Sequence[str] | None = None, metric: str = MAIN_METRIC
) -> DirectionTable:
    """The four directions of every target language, before and after.

    Args:
        before: scores of the model before training.
        after: scores of the trained model on the same suite.
        languages: target languages, in the order of the table; None takes all of the scores.
        metric: which of the scores' metrics.

    Raises:
        InputError: the scores are of different suites or queries, or the metric was not computed.
    """
    check_same(before, after)
    bridge = before.bridge
    if languages is None:
        languages = [language for language in before.languages if language != bridge]
    rows = [_row(before, after, language, metric) for language in languages if language != bridge]
    kinds = [f"{bridge}->{bridge}", f"x->{bridge}", f"{bridge}->x", "x->x"]
    return DirectionTable(
        metric=metric,
        bridge=bridge,
        kinds=[kind for kind in kinds if any(kind in row.cells for row in rows)],
        rows=[row for row in rows if row.cells],
        english=cell(before, after, f"{bridge}->{bridge}", metric),
    )


def cell(before: Scores, after: Scores, name: str, metric: str, query_ids: Iterable[str] | None = None) -> Cell | None:
    """Means of one direction or pool; None where one of the models was not scored in it."""
    pair = directions_of(before, after, name)
    if pair is None:
        return None
    first, second = pair
    wanted = None if query_ids is None else set(query_ids) & set(first.query_ids)
    if not first.query_ids or wanted == set():
        return None
    return Cell(first.mean(metric, wanted), second.mean(metric, wanted))


def directions_of(before: Scores, after: Scores, name: str) -> tuple[Direction, Direction] | None:
    """One direction or pool of both models, or None where one of them was not scored in it."""
    first = before.directions.get(name) or before.pools.get(name)
    second = after.directions.get(name) or after.pools.get(name)
    return None if first is None or second is None else (first, second)


def _row(before: Scores, after: Scores, language: str, metric: str) -> LanguageRow:
    bridge = before.bridge
    own = [f"{language}->{bridge}", f"{language}->{language}", f"{bridge}->{language}"]
    asked = next((before.directions[name].query_ids for name in own if name in before.directions), [])
    cells = {
        f"{bridge}->{bridge}": cell(before, after, f"{bridge}->{bridge}", metric, asked),
        f"x->{bridge}": cell(before, after, f"{language}->{bridge}", metric),
        f"{bridge}->x": cell(before, after, f"{bridge}->{language}", metric),
        "x->x": cell(before, after, f"{language}->{language}", metric),
    }
    return LanguageRow(language, len(asked), {kind: found for kind, found in cells.items() if found})


def _mean(cells: Iterable[Cell]) -> Cell:
    found = list(cells)
    return Cell(
        sum(each.before for each in found) / len(found),
        sum(each.after for each in found) / len(found),
    )
