"""Pools: the same queries where the passages of several languages stand in one corpus."""

from __future__ import annotations

from dataclasses import dataclass

from clearir.evaluation.metrics import BRIDGE_SHARE, COMPLETE, MAX_RANK
from clearir.evaluation.scores import ALL
from clearir.report.direction_table import Cell, cell
from clearir.report.load import Run

METRICS = (COMPLETE, BRIDGE_SHARE, MAX_RANK)  # besides the main one


@dataclass(frozen=True)
class PoolTable:
    """One kind of pool: a row a query language, a column a metric.

    Values of ``max@r`` are ranks, all others lie between 0 and 1.

    Attributes:
        kind: ``x->en+x`` (bridge and target passages) or ``x->all``.
        metrics: the columns.
        rows: query language and its cells.
    """

    kind: str
    metrics: list[str]
    rows: list[tuple[str, list[Cell | None]]]


def pool_tables(run: Run) -> list[PoolTable]:
    """The pools that both models were scored on: bridge and target together, then all languages."""
    bridge = run.before.bridge
    pairs = {f"{language}->{bridge}+{language}": language for language in run.languages}
    everything = {f"{language}->{ALL}": language for language in run.languages}
    tables = [_table(run, f"x->{bridge}+x", pairs), _table(run, f"x->{ALL}", everything)]
    return [table for table in tables if table.rows]


def _table(run: Run, kind: str, names: dict[str, str]) -> PoolTable:
    scored = {name: code for name, code in names.items() if name in run.before.pools and name in run.after.pools}
    metrics = [
        metric
        for metric in (run.metric, *METRICS)
        if scored and all(metric in one.pools[name].values for one in (run.before, run.after) for name in scored)
    ]
    rows = [(code, [cell(run.before, run.after, name, metric) for metric in metrics]) for name, code in scored.items()]
    return PoolTable(kind, metrics, rows if metrics else [])
