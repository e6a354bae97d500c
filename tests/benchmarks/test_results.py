"""The tables of docs/results*.md; the functions are in benchmarks/results.py."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest

from clearir.losses.objectives import OBJECTIVES
from clearir.report.study_table import BASE, Result

ROOT = Path(__file__).parents[2]
T_1 = 12.706204736432095  # 97.5 % quantile of Student's t with 1 degree of freedom
HERE, THERE = "in domain", "artifacts/elsewhere/other.parquet"


@pytest.fixture(scope="module")
def results(benchmark_script):
    return benchmark_script("results")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two seeds of the base and two objectives, a third seed of one objective alone."""
    for name, seed, gain in (
        *((BASE, 0, 0.0), (BASE, 1, 0.0), (BASE, 2, 0.0)),
        *(("clear", 0, 0.10), ("clear", 1, 0.12), ("clear", 2, 0.5)),
        *(("hybrid", 0, 0.13), ("hybrid", 1, 0.13)),
    ):
        kinds = {"en->en": 0.8, "en->x": 0.5 + gain, "x->en": 0.4 + gain, "x->x": 0.3 + gain}
        directions = {"en->en": 0.8, "de->en": 0.4 + gain, "fi->en": 0.4 + gain / 2, "en->de": 0.5, "de->de": 0.3}
        scores = {HERE: kinds, THERE: {"en->en": 0.9 - gain}}
        seconds = None if name == BASE else 120.0
        Result(name, seed, scores, {HERE: directions, THERE: {}}, {}, 30, seconds).save(
            tmp_path / "small" / f"{name}-{seed}.json"
        )
    return tmp_path


def row(table: str, name: str, number: int = 0) -> list[str]:
    """The cells of a row of one of the tables, the first unless said."""
    line = [line for line in table.splitlines() if line.startswith(f"| {name} ")][number]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_differences_to_the_base_over_the_common_seeds(results, folder):
    table = results.overview(results.Study.load(folder / "small"))
    assert row(table, "base (score)")[1:] == ["40.0", "50.0", "30.0", "40.0", "80.0"]
    assert row(table, "base (score)", 1)[1:] == ["90.0"]
    half = 100 * T_1 * 0.01  # half of 0.12 - 0.10 over the root of 2, times the root of 2 less
    assert half == pytest.approx(100 * T_1 * (0.02 / sqrt(2)) / sqrt(2))
    assert row(table, "clear")[1] == f"+11.0 ({11 - half:+.1f} to {11 + half:+.1f})"
    assert row(table, "hybrid")[1:4] == ["+13.0 (+13.0 to +13.0) ▲"] * 3
    assert row(table, "hybrid", 1)[1] == "-13.0 (-13.0 to -13.0) ▼"
    assert "2 seeds, 4 trainings of 30 steps, 2.0 minutes each (median) on one core of a busy CPU." in table


def test_differences_to_another_objective(results, folder):
    table = results.against(results.Study.load(folder / "small"), "clear")
    assert row(table, "clear (score)")[1] == "51.0"
    assert row(table, "hybrid")[1].startswith("+2.0 (")


def test_one_column_a_language(results, folder):
    table = results.languages(results.Study.load(folder / "small"), "x->en")
    assert [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")] == ["", "de->en", "fi->en"]
    assert row(table, "clear")[2].startswith("+5.5 (")


@pytest.mark.parametrize(
    ("kind", "fits"), [("x->en", ["de->en"]), ("en->x", ["en->de"]), ("x->x", ["de->de"]), ("en->en", ["en->en"])]
)
def test_directions_of_a_kind(results, kind, fits):
    names = ["de->en", "en->de", "de->de", "de->fi", "en->en"]
    assert [name for name in names if results._fits(name, kind)] == fits


def test_runs_of_several_studies_count_the_same(results, folder):
    table = results.pooled(folder, "small+small", "hybrid", "clear", BASE)
    assert row(table, "hybrid over clear")[1].startswith("+2.0 (")
    assert row(table, "hybrid over clear")[1].endswith(", 4 runs")
    assert row(table, "hybrid over base")[6] == "-13.0 (-13.0 to -13.0) ▼, 4 runs"
    table = results.pooled(folder, "small", "clear", "hybrid", BASE)
    assert row(table, "clear over hybrid")[1].endswith(", 2 runs")
    assert row(table, "clear over base")[1].endswith(", 3 runs")


def test_other_settings_are_compared_seed_by_seed(results, folder):
    shutil.copytree(folder / "small", folder / "other")
    for file in (folder / "other").glob("clear-*.json"):
        run = Result.load(file)
        kinds = {kind: value + 0.02 for kind, value in run.kinds[HERE].items()}
        replace(run, kinds={**run.kinds, HERE: kinds}).save(file)
    table = results.settings(folder, "small:clear", "other:clear", "small:hybrid")
    assert row(table, "small:clear (score)")[1] == "64.0"  # 40 and 10, 12, 50 more
    assert row(table, "other:clear, 3 seeds")[1:] == ["+2.0 (+2.0 to +2.0) ▲"] * 5
    assert row(table, "small:hybrid, 2 seeds")[1].startswith("+2.0 (")
    assert row(table, "other:clear, 3 seeds", 1)[1:] == ["0.0 (0.0 to 0.0)"]  # the other suite
    for file in (folder / "other").glob("clear-*.json"):
        run = Result.load(file)
        replace(run, kinds={HERE: run.kinds[HERE]}).save(file)
    assert results.settings(folder, "small:clear", "other:clear").count("(score)") == 1, "no suite that only one has"
    page = "<!-- settings small:clear other:clear -->\n<!-- end -->\n"
    assert "| other:clear, 3 seeds" in results.filled(page, folder)


def test_a_single_seed_has_its_interval_over_languages(results, folder):
    def directions(de: float, fi: float) -> dict[str, float]:
        return {"en->en": 0.8, "de->en": de, "en->de": 0.5, "de->de": 0.6, "fi->en": fi, "en->fi": 0.5, "fi->fi": 0.6}

    def run(name: str, found: dict[str, float]) -> Result:
        kinds = {"en->en": 0.8, "en->x": 0.5, "x->x": 0.6, "x->en": (found["de->en"] + found["fi->en"]) / 2}
        return Result(name, 0, {HERE: kinds}, {HERE: found})

    for name, found in ((BASE, directions(0.3, 0.3)), ("clear", directions(0.40, 0.50))):
        run(name, found).save(folder / "one" / f"{name}-0.json")
    run("hybrid", directions(0.41, 0.53)).save(folder / "one" / "hybrid-0.json")
    table = results.settings(folder, "one:clear", "one:hybrid")
    half = 100 * T_1 * 0.01  # the spread of 1 and 3 over two languages
    assert row(table, "one:hybrid, 1 seed")[1] == f"+2.0 ({2 - half:.1f} to {2 + half:+.1f})"
    third = half / 3  # of the mean of x->en, en->x and x->x
    assert row(table, "one:hybrid, 1 seed")[4] == f"+0.7 ({2 / 3 - third:.1f} to {2 / 3 + third:+.1f})"
    assert row(table, "one:hybrid, 1 seed")[5] == "0.0"  # en->en
    table = results.against(results.Study.load(folder / "one"), "clear")
    assert row(table, "hybrid")[1] == f"+2.0 ({2 - half:.1f} to {2 + half:+.1f})"


def test_alpha_and_beta_of_named_objectives_and_of_sums(results, folder):
    sum_of_terms = {"0.8*forward+0.2*reverse": {"forward": 0.8, "reverse": 0.2}}
    named = {name: OBJECTIVES[name] for name in ("clear", "clear-no-kl", "infonce")}
    for name, weights in {**named, **sum_of_terms}.items():
        for seed, gain in ((0, 0.02), (1, 0.04)):
            kinds = {HERE: {"en->en": 0.8, "x->en": 0.4 + gain * (name != "clear")}}
            Result(name, seed, kinds, {HERE: {}}, {"weights": weights}).save(
                folder / "map" / f"{len(name)}-{seed}.json"
            )
    for seed in (0, 1):
        base = Result(BASE, seed, {HERE: {"en->en": 0.7, "x->en": 0.4}}, {HERE: {}})
        base.save(folder / "map" / f"base-{seed}.json")
    table = results.alpha_beta(folder, "map", "x->en", "en->en")
    assert [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")] == ["x->en", "beta 0.0", "beta 0.2"]
    assert row(table, "alpha 0.2")[1].startswith("+3.0 (")
    assert row(table, "alpha 0.2")[2] == ""
    assert row(table, "alpha 0.4")[1].startswith("+3.0 (")
    assert row(table, "alpha 0.4")[2] == "0.0 (0.0 to 0.0)"
    assert row(table, "alpha 0.4", 1)[2] == "+10.0 (+10.0 to +10.0) ▲"


def test_one_model_a_language_beside_one_for_all(results, folder):
    for language, gain in (("de", 0.01), ("fi", 0.03)):
        directions = {"en->en": 0.8 - gain, "de->en": 0.5 + gain, "fi->en": 0.45 + gain}
        run = Result("clear", 0, {HERE: {}}, {HERE: directions})
        run.save(folder / f"small-{language}" / "clear-0.json")
    table = results.alone(folder, "small:clear", "de", "fi")
    assert row(table, "own queries: one model for all (score)")[1:] == ["50.0", "45.0", "47.5"]
    half = 100 * T_1 * 0.01  # the spread of 1 and 3 over languages
    assert row(table, "own queries: one per language")[1:] == [
        "+1.0",
        "+3.0",
        f"+2.0 ({2 - half:.1f} to {2 + half:+.1f})",
    ]
    assert row(table, "en->en: one per language")[1:3] == ["-1.0", "-3.0"]


def test_some_of_the_objectives_with_the_seeds_that_these_have(results, folder):
    page = "<!-- overview small clear -->\n<!-- end -->\n<!-- against small hybrid hybrid clear -->\n<!-- end -->\n"
    first, second = results.filled(page, folder).split("<!-- end -->")[:2]
    assert row(first, "clear")[1].startswith("+24.0 (")  # 10, 12 and 50
    assert "3 seeds, 3 trainings" in first
    assert "hybrid" not in first
    assert row(second, "clear")[1].startswith("-2.0 (")  # 10 and 12 against 13


def test_scores_by_number_of_rows(results, folder):
    for rows, gain in ((100, 0.3), (30, 0.2), (1000, 0.4)):
        for seed in (0, 1):
            for name, more in ((BASE, 0.0), ("clear", gain)):
                seconds = None if name == BASE else 60.0
                run = Result(name, seed, {HERE: {"x->en": 0.1 + more}}, {HERE: {"km->en": 0.1 + more}}, {}, 30, seconds)
                run.save(folder / f"curve-{rows}" / f"{name}-{seed}.json")
    table = results.filled("<!-- rows curve clear km->en -->\n<!-- end -->\n", folder)
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if "rows |" in line or "score" in line]
    assert [line[0] for line in cells[:4]] == ["base (score)", "30 rows", "100 rows", "1,000 rows"]
    assert [line[1].split(" (")[0] for line in cells[:4]] == ["10.0", "+20.0", "+30.0", "+40.0"]
    results._draw_rows(folder, "curve", "clear", "km->en")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_only_what_stands_between_the_marks_is_written_anew(results, folder):
    page = "# Results\n\n<!-- overview small -->\nold\n<!-- end -->\n\nText stays.\n"
    filled = results.filled(page, folder)
    assert filled.startswith("# Results\n\n<!-- overview small -->\n\n|")
    assert filled.endswith("<!-- end -->\n\nText stays.\n")
    assert "old" not in filled
    assert results.filled(filled, folder) == filled


@pytest.mark.parametrize("name", ["results.md", "results-parts.md", "results-english.md"])
def test_the_pages_hold_what_the_results_say(results, name):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert re.search(results.PLACE, page)
    assert results.filled(page) == page
