"""The tables that every format shows: one row a target language, before and after.

```python
table = direction_table(before, after, ["de", "uk", "fi"])
table.mean["x->en"].relative    # 0.23: 23 % better
table.retention                 # 0.998 of the English score is left
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clearir.evaluation.compare import BETTER, DIRECTIONS, KINDS, NOT_SHOWN, WORSE, Comparison, check_same
from clearir.evaluation.scores import MAIN_METRIC, Direction, Scores


@dataclass(frozen=True)
class Cell:
    """A mean before and after, between 0 and 1.

    Attributes:
        before: of the model before training.
        after: of the trained one.
        verdict: ``better``, ``worse`` or ``not shown``; None where it was not tested.
    """

    before: float
    after: float
    verdict: str | None = None

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
        verdicts: kind of direction -> verdict on its mean, where it was tested.
    """

    metric: str
    bridge: str
    kinds: list[str]
    rows: list[LanguageRow]
    english: Cell | None
    verdicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def mean(self) -> dict[str, Cell]:
        """Kind -> mean over the languages that have it; every language counts the same."""
        means = {kind: _mean(row.cells[kind] for row in self.rows if kind in row.cells) for kind in self.kinds}
        return {kind: replace(cell, verdict=self.verdicts.get(kind)) for kind, cell in means.items()}

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
        """Languages whose queries are shown to find more in the bridge language than before."""
        return self._with_verdict(BETTER)

    @property
    def worse(self) -> list[str]:
        """Languages whose queries are shown to find less in the bridge language than before."""
        return self._with_verdict(WORSE)

    @property
    def unclear(self) -> list[str]:
        """Languages whose queries are not shown to find more or less in the bridge language than before."""
        return self._with_verdict(NOT_SHOWN)

    def _with_verdict(self, verdict: str) -> list[str]:
        kind = f"x->{self.bridge}"
        return [row.language for row in self.rows if kind in row.cells and row.cells[kind].verdict == verdict]


def direction_table(
    before: Scores,
    after: Scores,
    languages: Sequence[str] | None = None,
    metric: str = MAIN_METRIC,
    comparison: Comparison | None = None,
) -> DirectionTable:
    """The four directions of every target language, before and after.

    Args:
        before: scores of the model before training.
        after: scores of the trained model on the same suite.
        languages: target languages, in the order of the table; None takes all of the scores.
        metric: which of the scores' metrics.
        comparison: of the same scores in the same metric; its verdicts are those of the cells.

    Raises:
        InputError: the scores are of different suites or queries, or the metric was not computed.
    """
    check_same(before, after)
    bridge = before.bridge
    if languages is None:
        languages = [language for language in before.languages if language != bridge]
    tested = _verdicts(comparison, DIRECTIONS)
    rows = [_row(before, after, language, metric, tested) for language in languages if language != bridge]
    kinds = [f"{bridge}->{bridge}", f"x->{bridge}", f"{bridge}->x", "x->x"]
    return DirectionTable(
        metric=metric,
        bridge=bridge,
        kinds=[kind for kind in kinds if any(kind in row.cells for row in rows)],
        rows=[row for row in rows if row.cells],
        english=_judged(before, after, f"{bridge}->{bridge}", metric, tested),
        # bridge -> bridge is over other queries in each row, and was not tested so
        verdicts={kind: one for kind, one in _verdicts(comparison, KINDS).items() if kind != f"{bridge}->{bridge}"},
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


def _verdicts(comparison: Comparison | None, part: str) -> dict[str, str]:
    rows = comparison.rows if comparison else ()
    return {row.name: row.verdict for row in rows if row.part == part}


def _judged(before: Scores, after: Scores, name: str, metric: str, tested: Mapping[str, str]) -> Cell | None:
    found = cell(before, after, name, metric)
    return found and replace(found, verdict=tested.get(name))


def _row(before: Scores, after: Scores, language: str, metric: str, tested: Mapping[str, str]) -> LanguageRow:
    bridge = before.bridge
    own = [f"{language}->{bridge}", f"{language}->{language}", f"{bridge}->{language}"]
    asked = next((before.directions[name].query_ids for name in own if name in before.directions), [])
    cells = {
        f"{bridge}->{bridge}": cell(before, after, f"{bridge}->{bridge}", metric, asked),
        f"x->{bridge}": _judged(before, after, f"{language}->{bridge}", metric, tested),
        f"{bridge}->x": _judged(before, after, f"{bridge}->{language}", metric, tested),
        "x->x": _judged(before, after, f"{language}->{language}", metric, tested),
    }
    return LanguageRow(language, len(asked), {kind: found for kind, found in cells.items() if found})


def _mean(cells: Iterable[Cell]) -> Cell:
    found = list(cells)
    return Cell(
        sum(each.before for each in found) / len(found),
        sum(each.after for each in found) / len(found),
    )
