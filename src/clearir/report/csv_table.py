"""A report as CSV: a line a direction and metric, for spreadsheets and data frames. Full precision, no rounding."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from clearir.evaluation.compare import DIRECTIONS, POOLED
from clearir.report.direction_table import cell, directions_of
from clearir.report.load import Run

HEAD = [
    "part",
    "direction",
    "query_language",
    "passage_language",
    "metric",
    "queries",
    "before",
    "after",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "verdict",
]


def to_csv(run: Run) -> str:
    """All directions and pools with all metrics; interval and significance for the main metric."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    writer.writerows(_rows(run))
    return out.getvalue()


def _rows(run: Run) -> Iterator[list[object]]:
    parts = [(DIRECTIONS, name) for name in run.before.directions] + [(POOLED, name) for name in run.before.pools]
    for part, name in parts:
        pair = directions_of(run.before, run.after, name)
        if pair is None:
            continue
        proof = run.difference(name, part)
        names = [_inert(one) for one in (name, pair[0].query_language, pair[0].passage_language)]
        for metric in (one for one in pair[0].values if one in pair[1].values):
            found = cell(run.before, run.after, name, metric)
            if found is None:
                continue
            row: list[object] = [part, *names, metric, len(pair[0].query_ids)]
            row += [found.before, found.after, found.difference]
            if metric == run.metric and proof is not None:
                row += [proof.low, proof.high, proof.p, proof.p_holm, proof.verdict]
            yield row + [None] * (len(HEAD) - len(row))


def _inert(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
