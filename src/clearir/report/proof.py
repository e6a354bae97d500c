"""Which differences a report proves: the rows of the comparison, in the order in which people ask for them."""

from __future__ import annotations

from clearir.evaluation.compare import DIRECTIONS, KINDS, POOLED, Difference
from clearir.report.load import Run

MOST_ROWS = 150


def kinds(run: Run) -> list[Difference]:
    """Means over kinds of direction (``x->en``)."""
    return _part(run, KINDS)


def first_kinds(run: Run) -> list[Difference]:
    """Means over kinds of direction of how often the right page comes first."""
    return [row for row in run.first_places.rows if row.part == KINDS]


def directions(run: Run) -> list[Difference]:
    """Single directions: bridge alone first, then the targets' queries on bridge passages, then the others."""
    bridge, order = run.before.bridge, {language: place for place, language in enumerate(run.languages)}

    def place(row: Difference) -> tuple[int, int, int]:
        query, _, passage = row.name.partition("->")
        kind = [(bridge, bridge), (query, bridge), (bridge, passage), (query, query)]
        first = kind.index((query, passage)) if (query, passage) in kind else len(kind)
        return first, order.get(query, -1), order.get(passage, -1)

    return sorted(_part(run, DIRECTIONS), key=place)


def pools(run: Run) -> list[Difference]:
    """Pools of several languages."""
    return _part(run, POOLED)


def cross(run: Run) -> list[tuple[str, Difference]]:
    """Target language and its queries on bridge passages, those with most training rows first."""
    found = [(language, run.difference(f"{language}->{run.before.bridge}")) for language in run.languages]
    return [(language, row) for language, row in found if row is not None]


def _part(run: Run, part: str) -> list[Difference]:
    return [row for row in run.comparison.rows if row.part == part]
