"""Which texts of some rows answer which: what a row's negatives are drawn from, and what can be none of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from clearir.data.rows import Row
from clearir.support.texts import text_key


@dataclass(frozen=True)
class Group:
    """One ranking problem: anchors, and candidates for all of them.

    Attributes:
        name: of the bridge, or of target language and bridge.
        anchors: numbers of their texts.
        candidates: numbers of their texts.
        rows: of each anchor.
        banned: of each anchor, the places of those candidates that are right answers.
        positives: row -> place of the candidate that is its own right answer.
    """

    name: str
    anchors: list[int]
    candidates: list[int]
    rows: list[list[int]]
    banned: list[list[int]]
    positives: dict[int, int]


class _Numbering:
    """Distinct texts, numbered; texts with the same key are one and keep their first spelling."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, text: str, *place: str) -> int:
        number = self._numbers.setdefault((*place, text_key(text)), len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


class Answers:
    """Rows as numbers of distinct texts, and which of these answer one another.

    Attributes:
        passages: distinct texts, and so ``queries`` and ``targets``.
        query_of_target: of each target query, the number of the query that it translates.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        passages, queries, targets = _Numbering(), _Numbering(), _Numbering()
        self._rows = rows
        self._p = [passages.number(row.passage, row.bridge) for row in rows]
        self._q = [queries.number(row.query, row.bridge) for row in rows]
        self._t = [
            targets.number(row.target_query, row.bridge, row.language)
            if row.target_query is not None and row.language is not None
            else None
            for row in rows
        ]
        self.passages, self.queries, self.targets = passages.texts, queries.texts, targets.texts
        first: dict[int, int] = {}
        self._targets_of_query: dict[int, set[int]] = defaultdict(set)
        for q, t in zip(self._q, self._t, strict=True):
            if t is not None:
                first.setdefault(t, q)
                self._targets_of_query[q].add(t)
        self.query_of_target = [first[t] for t in range(len(self.targets))]
        # A question is known by its text, its id or its translation; a passage by its text or its id.
        self._questions = [
            [q, ("id", row.query_id), ("t", t)] for q, t, row in zip(self._q, self._t, rows, strict=True)
        ]
        self._answers = [[p, ("id", row.passage_id)] for p, row in zip(self._p, rows, strict=True)]
        self._passages_of_question = _partners(self._questions, self._p)
        self._questions_of_passage = _partners(self._answers, self._q)

    def passage_groups(self) -> list[Group]:
        """The passages of each bridge language, for its queries."""
        by_bridge: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(self._rows):
            by_bridge[row.bridge].append(i)

        def right(row: int) -> set[int]:
            return set().union(*(self._passages_of_question.get(name, ()) for name in self._questions[row]))

        return [_group(name, rows, self._q, self._p, right) for name, rows in by_bridge.items()]

    def target_groups(self) -> list[Group]:
        """The target queries of each language over a bridge, for its passages. Rows without one are left out."""
        by_language: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(self._rows):
            if self._t[i] is not None:
                by_language[f"{row.language} over {row.bridge}"].append(i)

        def right(row: int) -> set[int]:
            names = self._answers[row]
            questions: set[int] = set().union(*(self._questions_of_passage.get(name, ()) for name in names))
            return set().union(*(self._targets_of_query[q] for q in questions))

        targets = [-1 if t is None else t for t in self._t]
        return [_group(name, rows, self._p, targets, right) for name, rows in by_language.items()]


def _partners(names: Iterable[Iterable[Hashable]], partners: Iterable[int]) -> dict[Hashable, set[int]]:
    found: dict[Hashable, set[int]] = defaultdict(set)
    for row_names, partner in zip(names, partners, strict=True):
        for name in row_names:
            if not (isinstance(name, tuple) and name[1] is None):  # no id, no translation
                found[name].add(partner)
    return found


def _group(
    name: str, rows: list[int], anchor_of: list[int], candidate_of: list[int], right: Callable[[int], set[int]]
) -> Group:
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        rows_of[anchor_of[row]].append(row)
    candidates = list(dict.fromkeys(candidate_of[row] for row in rows))
    place = {number: at for at, number in enumerate(candidates)}
    banned = [sorted({place[n] for row in own for n in right(row) if n in place}) for own in rows_of.values()]
    positives = {row: place[candidate_of[row]] for row in rows}
    return Group(name, list(rows_of), candidates, list(rows_of.values()), banned, positives)
