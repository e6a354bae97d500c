from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clearir.evaluation.scores import Direction, Scores
from clearir.report import load_run
from clearir.report.direction_table import Cell
from clearir.report.load import Run
from clearir.report.pools import pool_tables


def test_a_table_a_kind_and_a_row_a_language(small_folder: Path) -> None:
    pair, everything = pool_tables(load_run(small_folder))
    assert (pair.kind, everything.kind) == ("x->en+x", "x->all")
    assert pair.metrics == ["ndcg@10", "complete@10", "bridge@10", "max@r"]
    assert [language for language, _ in pair.rows] == ["de", "ar"]


def test_no_pools_no_tables(small_folder: Path) -> None:
    run = load_run(small_folder)
    assert pool_tables(replace(run, after=replace(run.after, pools={}))) == []


def test_means_by_hand(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> None:
    def scores(ranks: list[float]) -> Scores:
        values = {"max@r": ranks, "bridge@10": [0.2, 0.4]}
        return make_scores(
            [make_direction("de", "en", [1, 1])], [replace(make_direction("de", "all", [1, 1]), values=values)]
        )

    (table,) = pool_tables(Run("x", scores([4.0, 8.0]), scores([2.0, 3.0]), ("", "")))
    assert table.metrics == ["bridge@10", "max@r"]
    assert table.rows == [("de", [Cell((0.2 + 0.4) / 2, (0.2 + 0.4) / 2), Cell((4 + 8) / 2, (2 + 3) / 2)])]
