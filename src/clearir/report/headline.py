"""The first lines of a report, in words: the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from clearir.report.tables import DirectionTable
from clearir.report.text import language_name, percent, points, signed, signed_percent


def headline(table: DirectionTable) -> list[str]:
    """Plain sentences: the cross-lingual gain, what is left of the bridge language, who improved and who did not."""
    bridge = language_name(table.bridge)
    lines = []
    if cross := table.cross:
        lines.append(
            f"Queries in other languages on {bridge} passages: {table.metric} {points(cross.before)} → "
            f"{points(cross.after)} ({signed(cross.difference)} points, {signed_percent(cross.relative)}), "
            f"mean of {_count(len(table.rows), 'language')}."
        )
    if english := table.english:
        lines.append(
            f"{bridge} itself: {points(english.before)} → {points(english.after)} "
            f"({signed(english.difference)} points); retention {percent(table.retention)}."
        )
    if table.cross:
        lines.append(f"Improved: {names(table.improved)}. Worse: {names(table.worse)}.")
    return lines


def names(languages: Sequence[str]) -> str:
    """``German, Finnish``, or ``none``."""
    return ", ".join(language_name(language) for language in languages) or "none"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
