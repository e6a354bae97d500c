"""What the documentation tells a reader to type gives the report's numbers."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from clearir.report.load import Run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"


def test_a_mean_is_traced_to_its_queries(full_run: Run, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snippet = re.findall(r"```python\n(import json.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    monkeypatch.chdir(run_folder)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(snippet, {})
    mean, worst = out.getvalue().splitlines()
    assert float(mean) == pytest.approx(100 * full_run.after.mean("de->en"))
    assert worst.count("'q") == 10
