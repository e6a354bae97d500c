"""Every format marks a difference as better or worse only if it is significant."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from clearir.cli import console, tables
from clearir.evaluation.scores import Direction, Scores
from clearir.report import Run, model_card
from clearir.report.headline import means
from clearir.report.html import to_html
from clearir.report.latex import to_latex
from clearir.report.markdown import to_markdown

Show = Callable[[Run], str]
RED = "\x1b[31m"


def run_of(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores], queries: int, bridge: str = "en"
) -> Run:
    """Every query of two languages falls from rank 1 to 2 on the bridge's passages; the bridge stays."""

    def scores(fallen: int, model: str) -> Scores:
        ranks = {bridge: 1, "ar": fallen, "es": fallen}
        found = [make_direction(language, bridge, [rank] * queries) for language, rank in ranks.items()]
        return replace(make_scores(found, model=model), bridge=bridge)

    return Run("x", scores(1, "base"), scores(2, "tuned"), ("a.json", "b.json"))


@pytest.fixture(scope="module")
def few(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> Run:
    return run_of(make_direction, make_scores, 2)


@pytest.fixture(scope="module")
def many(make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]) -> Run:
    return run_of(make_direction, make_scores, 60)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Show:
    """What `clearir train` shows of a run, with its colours."""

    def show(run: Run) -> str:
        shown = Console(force_terminal=True, width=80, color_system="standard", highlight=False)
        for module in (console, tables):
            monkeypatch.setattr(module, "console", shown)
        with shown.capture() as captured:
            tables.show_run(run, tmp_path)
        return captured.get()

    return show


def test_two_queries_show_nothing(few: Run, terminal: Show) -> None:
    lost = 100 * (1 / 1.584962500721156 - 1)  # rank 2 gives 1 / log2(3), rank 1 gives 1
    lines = means(few.table)
    assert lines[0].endswith(f"({lost:+.1f} points, {lost:+.1f} %), mean of 2 languages, not significant.")
    assert (
        lines[2] == "Significantly better: none. Significantly worse: none. No significant difference: Arabic, Spanish."
    )
    for text in (to_markdown(few), model_card(few)):
        assert lines[2] in text
        assert "worse" not in text.replace("Significantly worse: none", "").replace("significantly worse in 0", "")
    shown = terminal(few)
    assert f"{lost:+.1f}" in shown
    assert RED not in shown
    page = to_html(few)
    assert not re.search(r'class="(down|up)"', page)
    assert "No significant difference: Arabic, Spanish." in page
    assert "$^*$ &" not in to_latex(few)


def test_sixty_queries_show_a_loss(many: Run, terminal: Show) -> None:
    lines = means(many.table)
    assert lines[0].endswith("mean of 2 languages.")
    assert (
        lines[2] == "Significantly better: none. Significantly worse: Arabic, Spanish. No significant difference: none."
    )
    assert RED in terminal(many)
    assert 'class="down"' in to_html(many)
    starred = [line.partition(" ")[0] for line in to_latex(many).splitlines() if line.endswith(r"$^*$ \\")]
    assert starred == ["Arabic", "Spanish", "Mean"]


def test_few_queries_are_warned_of_wherever_a_verdict_stands(few: Run, many: Run, terminal: Show) -> None:
    warning = "Fewer than 50 queries seldom show a significant difference: ar 2, en 2, es 2; score more queries."
    assert few.verdict.endswith(warning)
    for text in (to_html(few), to_markdown(few), model_card(few), " ".join(terminal(few).split())):
        assert warning in text
    assert "Fewer than" not in many.verdict


def test_stars_do_not_depend_on_the_letters_of_a_code(
    make_direction: Callable[..., Direction], make_scores: Callable[..., Scores]
) -> None:
    """The kind x->xh with its x replaced by ar would be ar->arh, which nobody scored."""
    table = to_latex(run_of(make_direction, make_scores, 60, bridge="xh"))
    lines = [line for line in table.splitlines() if line.startswith(("Arabic", "Spanish"))]
    assert [line.count("$^*$") for line in lines] == [1, 1]
