from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from clearir.report import load_run
from clearir.report.latex import to_latex
from clearir.report.load import Run


def test_a_line_a_language_with_its_scores(full_run: Run) -> None:
    line = next(line for line in to_latex(full_run).splitlines() if line.startswith("German"))
    before, after = full_run.before.mean("de->en"), full_run.after.mean("de->en")
    assert f"& {100 * before:.1f} & {100 * after:.1f}$^*$ &" in line


def test_a_star_is_for_what_is_shown(full_run: Run) -> None:
    starred = re.findall(r"^(\w+) .*", to_latex(full_run), re.MULTILINE)
    assert "Hindi" in starred
    hindi = next(line for line in to_latex(full_run).splitlines() if line.startswith("Hindi"))
    row = full_run.difference("hi->hi")
    assert row is not None
    assert row.verdict == "not shown"
    assert hindi.endswith(f"{100 * row.baseline:.1f} & {100 * row.mean:.1f} \\\\")


def test_every_line_has_as_many_columns(full_run: Run) -> None:
    text = to_latex(full_run)
    columns = re.search(r"begin{tabular}{(\w+)}", text)
    assert columns is not None
    body = text.partition("\\midrule")[2].partition("\\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert {line.count("&") + 1 for line in lines} == {len(columns[1])} == {9}
    assert len(lines) == 6 + 1  # languages and their mean


def test_names_cannot_be_commands(small_folder: Path) -> None:
    run = load_run(small_folder)
    text = to_latex(replace(run, before=replace(run.before, model=r"\input{x} 50% <a>")))
    assert r"\textbackslash{}input\{x\} 50\% \textless{}a\textgreater{}" in text
