"""The report in a real browser. The pictures it leaves under ``artifacts/`` are for people to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearir.evaluation.scores import Direction, Scores
from clearir.report import Run, load_run, write_report

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"


@pytest.fixture(scope="module")
def report(full_run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the report on a whole run."""
    return write_report(full_run, tmp_path_factory.mktemp("report"), ["html"])[0].as_uri()


@pytest.fixture(scope="module")
def hostile_report(hostile_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(load_run(hostile_folder), tmp_path_factory.mktemp("report"), ["html"])[0].as_uri()


@pytest.fixture(scope="module")
def report_on_many(
    make_direction: Callable[..., Direction],
    make_scores: Callable[..., Scores],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The report on 30 languages with two queries each, and English."""
    codes = [*(f"l{number}" for number in range(30)), "en"]
    before, after = (make_scores([make_direction(code, "en", [rank, 1]) for code in codes]) for rank in (2, 1))
    run = Run("many", before, after, ("before.json", "after.json"))
    return write_report(run, tmp_path_factory.mktemp("report"), ["html"])[0].as_uri()


def resize(tab: Any, width: int, height: int = 900) -> None:
    tab.page.set_viewport_size({"width": width, "height": height})


def height(tab: Any) -> int:
    found: int = tab.page.evaluate("document.documentElement.scrollHeight")
    return found


def test_every_figure_is_drawn(tab: Any, report: str) -> None:
    tab.page.goto(report)
    tab.page.evaluate(OPEN_ALL)
    figures = tab.page.locator("figure > svg[role=img]")
    sizes = figures.evaluate_all("all => all.map(one => [one.clientWidth, one.clientHeight])")
    assert len(sizes) == 9  # intervals, three matrices, the scale, four terms of the loss
    assert min(min(size) for size in sizes) > 80


def test_no_request_leaves(tab: Any, hostile_report: str) -> None:
    tab.page.goto(hostile_report)
    tab.page.evaluate(OPEN_ALL)
    assert "x.example" in tab.page.content()
    assert tab.requests == [hostile_report]


@pytest.mark.parametrize("width", [320, 390, 500, 768])
def test_nothing_sticks_out(tab: Any, report: str, hostile_report: str, report_on_many: str, width: int) -> None:
    resize(tab, width)
    for address in (report, hostile_report, report_on_many):
        tab.page.goto(address)
        assert tab.width_of_content() == width
        tab.page.evaluate(OPEN_ALL)
        assert tab.width_of_content() == width


def test_a_desktop_page_is_at_most_4000_pixels_high(tab: Any, report: str, report_on_many: str) -> None:
    resize(tab, 1200)
    tab.page.goto(report)
    assert height(tab) <= 4000
    tab.page.goto(report_on_many)
    assert height(tab) <= 4000
    assert tab.page.get_by_text("14 more languages").is_visible()


@pytest.mark.parametrize(("width", "screen"), [(1200, 800), (390, 844)])
def test_the_result_is_on_the_first_screen(tab: Any, report: str, width: int, screen: int) -> None:
    resize(tab, width, screen)
    tab.page.goto(report)
    for shown in (".message", ".card >> nth=0"):
        box = tab.page.locator(shown).bounding_box()
        assert box["y"] + box["height"] < screen


def test_details_are_folded_until_they_are_asked_for(tab: Any, report: str) -> None:
    resize(tab, 1200, 800)
    tab.page.goto(report)
    shown = [section for section in sections(tab) if tab.page.locator(f"#{section}").is_visible()]
    assert shown == ["headline", "languages", "typical"]
    tab.page.get_by_role("navigation").get_by_text("How sure is this?").click()
    proof = tab.page.locator("#proof")
    assert proof.is_visible()
    assert 0 <= proof.bounding_box()["y"] < 800
    tab.page.locator("summary", has_text="How sure is this?").click()
    assert not proof.is_visible()


def sections(tab: Any) -> list[str]:
    found: list[str] = tab.page.locator("section").evaluate_all("all => all.map(one => one.id)")
    return found


def test_all_that_is_folded_is_printed(tab: Any, report: str) -> None:
    tab.page.goto(report)
    tab.page.emulate_media(media="print", color_scheme="dark")
    sizes = tab.page.locator("section, .example").evaluate_all("all => all.map(one => one.clientHeight)")
    assert len(sizes) > len(sections(tab))
    assert min(sizes) > 20
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [one for one in sections(tab) if not tab.page.locator(f"#{one}").is_visible()] == []
    ARTIFACTS.mkdir(exist_ok=True)
    assert tab.page.pdf(path=ARTIFACTS / "report.pdf").startswith(b"%PDF")


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_legends_stay_on_one_line(tab: Any, report: str, width: int) -> None:
    resize(tab, width)
    tab.page.goto(report)
    tab.page.evaluate(OPEN_ALL)
    tops = "all => all.map(one => new Set([...one.children].map(key => key.getBoundingClientRect().top)).size)"
    assert tab.page.locator(".keys").evaluate_all(tops) == [1, 1]


@pytest.mark.parametrize("width", [390, 1200])
def test_figures_can_be_read(tab: Any, report: str, width: int) -> None:
    """No text of a figure is smaller than 9 pixels."""
    resize(tab, width)
    tab.page.goto(report)
    tab.page.evaluate(OPEN_ALL)
    sizes = tab.page.locator("figure text").evaluate_all(
        "all => all.map(one => [parseFloat(getComputedStyle(one).fontSize), one.getScreenCTM()])"
        ".map(([size, to]) => size * Math.hypot(to.a, to.b))"
    )
    assert len(sizes) > 150
    assert min(sizes) >= 9


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1200, "dark")])
def test_axe_finds_nothing(tab: Any, report: str, width: int, scheme: str) -> None:
    resize(tab, width)
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.goto(report)
    tab.page.evaluate(OPEN_ALL)
    tab.assert_accessible()


@pytest.mark.parametrize("width", [320, 390, 500, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(tab: Any, report: str, width: int, scheme: str) -> None:
    from PIL import Image

    resize(tab, width)
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.goto(report)
    picture = ARTIFACTS / f"report-{width}-{scheme}.png"
    tab.picture(picture)
    with Image.open(picture) as image:
        corner = image.convert("L").getpixel((2, 2))
        assert image.width == width
    assert isinstance(corner, int)
    assert (corner < 64) == (scheme == "dark")
