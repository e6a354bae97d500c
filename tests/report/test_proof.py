from __future__ import annotations

import pytest

from clearir.report import proof
from clearir.report.load import Run


def test_english_first_then_what_training_is_for(full_run: Run) -> None:
    names = [row.name for row in proof.directions(full_run)]
    targets = ["de", "es", "vi", "zh", "ar", "hi"]
    assert names[0] == "en->en"
    assert names[1:7] == [f"{target}->en" for target in targets]
    assert names[7:13] == [f"en->{target}" for target in targets]
    assert names[13:19] == [f"{target}->{target}" for target in targets]
    assert len(names) == 7 * 7


def test_kinds_and_pools(full_run: Run) -> None:
    assert [row.name for row in proof.kinds(full_run)] == ["en->en", "x->en", "en->x", "x->x", "x->y"]
    assert len(proof.pools(full_run)) == 2 * 6


def test_rows_are_those_of_the_scores(full_run: Run) -> None:
    for language, row in proof.cross(full_run):
        assert row.baseline == pytest.approx(full_run.before.mean(f"{language}->en"))
        assert row.mean == pytest.approx(full_run.after.mean(f"{language}->en"))


def test_the_comparison_is_made_once(full_run: Run) -> None:
    assert full_run.comparison is full_run.comparison
    assert full_run.verdict.startswith("runs/demo/model compared with sentence-transformers/all-MiniLM-L6-v2")
