from __future__ import annotations

from pathlib import Path

import pytest

from clearir.report import load_run, proof
from clearir.report.run import Run


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return load_run(run_folder)


def test_english_first_then_what_training_is_for(run: Run) -> None:
    names = [row.name for row in proof.directions(run)]
    targets = ["de", "es", "vi", "zh", "ar", "hi"]
    assert names[0] == "en->en"
    assert names[1:7] == [f"{target}->en" for target in targets]
    assert names[7:13] == [f"en->{target}" for target in targets]
    assert names[13:19] == [f"{target}->{target}" for target in targets]
    assert len(names) == 7 * 7


def test_kinds_and_pools(run: Run) -> None:
    assert [row.name for row in proof.kinds(run)] == ["en->en", "x->en", "en->x", "x->x", "x->y"]
    assert len(proof.pools(run)) == 2 * 6


def test_rows_are_those_of_the_scores(run: Run) -> None:
    for language, row in proof.cross(run):
        assert row.baseline == pytest.approx(run.before.mean(f"{language}->en"))
        assert row.mean == pytest.approx(run.after.mean(f"{language}->en"))


def test_the_comparison_is_made_once(run: Run) -> None:
    assert run.comparison is run.comparison
    assert run.verdict.startswith("runs/demo/model against sentence-transformers/all-MiniLM-L6-v2")
