from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest

from clearir.report.study_table import (
    BASE,
    Result,
    draw,
    estimate,
    head,
    note,
    pool_table,
    scales,
    summarise,
    to_markdown,
)
from clearir.support.errors import InputError

T_2 = 4.302652729911275  # 97.5 % quantile of Student's t with 2 degrees of freedom


def result(objective: str, seed: int, *values: float) -> Result:
    kinds = dict(zip(("en->en", "x->en"), values, strict=True))
    return Result(objective, seed, {"in domain": kinds}, {"in domain": kinds})


RESULTS = [
    result(BASE, 0, 0.80, 0.40),
    result(BASE, 1, 0.82, 0.41),
    result(BASE, 2, 0.81, 0.42),
    result("clear", 0, 0.81, 0.60),
    result("clear", 1, 0.80, 0.62),
    result("clear", 2, 0.82, 0.61),
    result("a|b", 0, 0.70, 0.61),
    result("a|b", 1, 0.71, 0.63),
    result("a|b", 2, 0.72, 0.62),
]


def test_the_interval_is_students_t():
    deviation = sqrt(((-0.1) ** 2 + 0**2 + 0.1**2) / 2)
    found = estimate([0.1, 0.2, 0.3])
    assert found.mean == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - T_2 * deviation / sqrt(3))
    assert found.high == pytest.approx(0.2 + T_2 * deviation / sqrt(3))
    assert found.shown == ""
    assert estimate([0.2, 0.2, 0.2]).shown == "better"
    assert estimate([-0.2, -0.21, -0.2]).shown == "worse"


def test_one_seed_shows_nothing():
    found = estimate([0.5])
    assert (found.mean, found.low, found.high, found.shown) == (0.5, None, None, "")
    assert "one seed" in note(summarise([RESULTS[0], RESULTS[3]], ["clear"]))


def test_differences_are_taken_seed_by_seed():
    lines = {(line.kind, line.objective): line for line in summarise(RESULTS, ["clear", "a|b"])}
    assert list(lines) == [(kind, name) for kind in ("en->en", "x->en") for name in (BASE, "clear", "a|b")]
    assert lines["x->en", BASE].over_base is None
    assert lines["x->en", "clear"].over_first is None
    clear = lines["x->en", "clear"].over_base
    assert clear.mean == pytest.approx((0.20 + 0.21 + 0.19) / 3)
    assert clear.high - clear.mean == pytest.approx(T_2 * 0.01 / sqrt(3))
    assert clear.shown == "better"
    assert lines["en->en", "clear"].over_base.shown == ""  # +1, -2, +1 points
    assert lines["en->en", "a|b"].over_base.shown == "worse"
    other = lines["x->en", "a|b"].over_first
    assert other.mean == pytest.approx(0.01)
    assert other.shown == "better"


def test_a_run_that_is_missing_is_named():
    with pytest.raises(InputError, match="clear with seed 1"):
        summarise([one for one in RESULTS if (one.objective, one.seed) != ("clear", 1)], ["clear"])


def test_markdown_and_picture(tmp_path):
    lines = summarise(RESULTS, ["clear", "a|b"])
    text = to_markdown("one_study", lines, "study.png")
    assert "# one\\_study" in text
    assert "a\\|b" in text
    assert "61.0" in text
    assert head(lines)[-1] == "over clear"
    row = next(line for line in text.splitlines() if "clear" in line and "61.0" in line)
    assert "+20.0 (" in row
    assert "▲" in row
    draw(lines, tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes()[:4] == b"\x89PNG"


def test_the_scales_that_were_trained_with():
    scales_of = {BASE: (None, None, None), "clear": (21.4, 20.9, 22.0), "a|b": (None, None, None)}
    runs = [replace(one, scale=scales_of[one.objective][one.seed]) for one in RESULTS]
    of_old = {"loss": {"scale": 20.0}}  # runs of before scales were found
    runs = [replace(one, settings=of_old) if one.objective == "a|b" else one for one in runs]
    lines = summarise(runs, ["clear", "a|b"])
    assert scales(lines) == "Scales: clear 20.9 to 22, a|b 20."
    assert "Scales: clear 20.9 to 22, a\\|b 20." in to_markdown("study", lines, "study.png")
    assert scales(summarise(RESULTS, ["clear", "a|b"])) == ""


def test_a_result_survives_being_written_and_read(tmp_path):
    RESULTS[0].save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == RESULTS[0]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="clearir study"):
        Result.load(tmp_path / "other.json")


def test_the_passages_of_all_languages_in_one_corpus():
    def scored(objective: str, seed: int, *values: float) -> Result:
        metrics = dict(zip(("ndcg@10", "complete@10", "bridge@10", "max@r"), values, strict=True))
        return replace(result(objective, seed, 0.5, 0.5), pools={"in domain": metrics})

    runs = [
        scored(BASE, 0, 0.40, 0.20, 0.9, 30),
        scored(BASE, 1, 0.42, 0.22, 0.8, 28),
        scored("clear", 0, 0.60, 0.50, 0.5, 12),
        scored("clear", 1, 0.62, 0.52, 0.4, 10),
    ]
    table = pool_table(runs, ["clear"], "in domain")
    base, clear = (next(row for row in table.splitlines() if row.startswith(f"| {name}")) for name in (BASE, "clear"))
    assert [cell.strip() for cell in base.split("|")[2:-1]] == ["41.0", "21.0", "85.0", "29.0"]
    assert "61.0, +20.0" in clear  # (60 - 40 + 62 - 42) / 2
    assert "11.0, -18.0" in clear  # ranks: (12 - 30 + 10 - 28) / 2
    assert table in to_markdown("study", summarise(runs, ["clear"]), "study.png", {"in domain": table})
    unscored = [result(BASE, 0, 0.5, 0.5), *runs[2:3]]
    assert pool_table(unscored, ["clear"], "in domain") == ""
