from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from clearir.report import load_run
from clearir.report.csv_table import to_csv
from clearir.report.load import Run


def rows(run: Run) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(to_csv(run))))


def test_a_line_a_direction_and_metric(small_folder: Path) -> None:
    run = load_run(small_folder)
    found = rows(run)
    directions = [row for row in found if row["part"] == "directions"]
    assert len(directions) == 3 * 3 * 2
    line = next(row for row in directions if (row["direction"], row["metric"]) == ("de->en", "ndcg@10"))
    assert float(line["before"]) == run.before.mean("de->en")
    assert float(line["after"]) == run.after.mean("de->en")
    assert float(line["difference"]) == pytest.approx(run.after.mean("de->en") - run.before.mean("de->en"))
    assert float(line["low"]) < float(line["difference"]) < float(line["high"])
    assert line["verdict"] == "not shown"  # 12 queries are few


def test_only_the_main_metric_is_tested(small_folder: Path) -> None:
    other = [row for row in rows(load_run(small_folder)) if row["metric"] != "ndcg@10"]
    assert {row["p_holm"] for row in other} == {""}


def test_a_spreadsheet_computes_nothing(small_folder: Path) -> None:
    run = load_run(small_folder)
    name = "=HYPERLINK(1)->en"
    evil = replace(run.before.directions["de->en"], query_language="=HYPERLINK(1)")
    run = replace(
        run,
        before=replace(run.before, directions={name: evil}, pools={}),
        after=replace(run.after, directions={name: evil}, pools={}),
    )
    assert {row["direction"] for row in rows(run)} == {f"'{name}"}
