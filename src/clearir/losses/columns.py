"""The columns of a CLEAR batch, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

LAYOUT = "(query, passage, negative_1..n, target_query, target_negative_1..m)"


@dataclass(frozen=True)
class Columns(Generic[T]):
    """One value a column: embeddings, text ids, names ..."""

    query: T
    passage: T
    negatives: tuple[T, ...]
    target_query: T
    target_negatives: tuple[T, ...]

    def map(self, function: Callable[[T], U]) -> Columns[U]:
        """The same columns with ``function`` applied to each value."""
        return Columns(
            function(self.query),
            function(self.passage),
            tuple(function(value) for value in self.negatives),
            function(self.target_query),
            tuple(function(value) for value in self.target_negatives),
        )

    @property
    def passages(self) -> tuple[T, ...]:
        """The passage, then its hard negatives: the candidates of the query."""
        return (self.passage, *self.negatives)

    @property
    def targets(self) -> tuple[T, ...]:
        """The target query, then its hard negatives: the candidates of the passage."""
        return (self.target_query, *self.target_negatives)


def split_columns(values: Sequence[T], num_negatives: int | None = None) -> Columns[T]:
    """Give the values of a batch's columns their names.

    Args:
        values: one a column, in the order ``(query, passage, negative_1..n, target_query, target_negative_1..m)``.
        num_negatives: n, the hard-negative passages; m is what is left. None: n = m.

    Raises:
        ValueError: the number of columns cannot be right.
    """
    got = f"got {len(values)} columns for {LAYOUT}"
    if len(values) < 3:
        raise ValueError(f"{got}; at least query, passage and target_query are needed")
    hard = len(values) - 3
    if num_negatives is None:
        if hard % 2:
            raise ValueError(
                f"{got}: {hard} hard negatives cannot be shared equally between passages and target queries; "
                "pass num_negatives=n, the number of negative passages a row"
            )
        num_negatives = hard // 2
    if not 0 <= num_negatives <= hard:
        raise ValueError(
            f"{got}: num_negatives={num_negatives} does not fit, there are {hard} columns besides query, passage "
            f"and target_query; pass a number from 0 to {hard}, or None for as many on both sides"
        )
    return Columns(
        values[0],
        values[1],
        tuple(values[2 : 2 + num_negatives]),
        values[2 + num_negatives],
        tuple(values[3 + num_negatives :]),
    )
