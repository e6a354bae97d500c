"""The table of directions for a paper: booktabs, before and after, a star where the difference is shown."""

from __future__ import annotations

from clearir.evaluation.compare import BETTER, WORSE
from clearir.report.direction_table import Cell, DirectionTable, LanguageRow
from clearir.report.load import Run
from clearir.report.text import latex, percent, points
from clearir.support.languages import language_name


def to_latex(run: Run) -> str:
    r"""A ``table`` to ``\input``; it needs ``\usepackage{booktabs}``."""
    table = run.table
    kinds = [r"$\to$".join(map(latex, kind.split("->"))) for kind in table.kinds]
    lines = [
        "% needs: \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'rr' * len(kinds)}}}",
        r"\toprule",
        " & ".join(["", *(rf"\multicolumn{{2}}{{c}}{{{kind}}}" for kind in kinds)]) + r" \\",
        " ".join(rf"\cmidrule(lr){{{2 * n + 2}-{2 * n + 3}}}" for n in range(len(kinds))),
        " & ".join(["Language", *["before & after"] * len(kinds)]) + r" \\",
        r"\midrule",
        *(_language(row, table.kinds) for row in table.rows),
    ]
    if len(table.rows) > 1:
        lines += [r"\midrule", _line("Mean", [_pair(table.mean[kind]) for kind in table.kinds])]
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{_caption(run, table)}}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _line(head: str, cells: list[str]) -> str:
    return " & ".join([head, *cells]) + r" \\"


def _language(row: LanguageRow, kinds: list[str]) -> str:
    return _line(latex(language_name(row.language)), [_pair(row.cells.get(kind)) for kind in kinds])


def _pair(cell: Cell | None) -> str:
    """A star marks what Holm's correction over all directions (or all means) leaves."""
    if cell is None:
        return "-- & --"
    return f"{points(cell.before)} & {points(cell.after)}{'$^*$' if cell.verdict in (BETTER, WORSE) else ''}"


def _caption(run: Run, table: DirectionTable) -> str:
    bridge = language_name(table.bridge)
    kept = f" {bridge} retention {percent(table.retention)}." if table.retention is not None else ""
    text = f"{table.metric} x 100 on {run.before.suite}: {run.before.model} before, {run.after.model} after.{kept}"
    return latex(text, 1000) + r" $^*$: difference significant ($p < 0.05$, sign flips over passages, Holm)."
