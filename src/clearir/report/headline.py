"""The first sentences of a report, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from clearir.evaluation.compare import NOT_SHOWN
from clearir.report.direction_table import Cell, DirectionTable
from clearir.report.text import percent, points, signed, signed_percent
from clearir.support.languages import language_name


def headline(table: DirectionTable) -> list[str]:
    """Plain sentences: the cross-lingual gain, the retention of the bridge language, and the languages that are
    significantly better or worse.
    """
    bridge = language_name(table.bridge)
    lines = []
    if cross := table.cross:
        lines.append(
            f"Queries in other languages on {bridge} passages: {table.metric} {points(cross.before)} → "
            f"{points(cross.after)} ({signed(cross.difference)} points, {signed_percent(cross.relative)}), "
            f"mean of {_count(len(table.rows), 'language')}{unless_shown(cross)}."
        )
    if english := table.english:
        lines.append(
            f"{bridge} queries on {bridge} passages: {points(english.before)} → {points(english.after)} "
            f"({signed(english.difference)} points{unless_shown(english)}); retention {percent(table.retention)}."
        )
    if table.cross:
        lines.append(
            f"Significantly better: {names(table.improved)}. Significantly worse: {names(table.worse)}. "
            f"No significant difference: {names(table.unclear)}."
        )
    return lines


def unless_shown(cell: Cell) -> str:
    """What a sentence adds to a difference that may be due to chance."""
    return ", not significant" if cell.verdict == NOT_SHOWN else ""


def names(languages: Sequence[str]) -> str:
    """``German, Finnish``, or ``none``."""
    return ", ".join(language_name(language) for language in languages) or "none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
