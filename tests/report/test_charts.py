from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from clearir.report import charts


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def fills(svg: str) -> list[tuple[str, float]]:
    """Variable and share of the colour of every cell that is drawn; without a share the colour is full."""
    cells = re.findall(r"<path[^>]*fill: var\(--(\w+)\)(?:; opacity: ([\d.]+))?", svg)
    return [(name, float(share or 1)) for name, share in cells]


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("xlink:href", "href"))


def test_a_cell_shows_its_score_in_its_share_of_the_colour() -> None:
    svg = charts.heat_map(["en", "de"], ["en", "de"], [[0.9, 0.25], [None, 0.5]], "scores")
    assert fills(svg) == [("after", 0.9), ("after", 0.25), ("after", 0.5)]
    assert [text for text in texts(svg) if "." in text] == ["90.0", "25.0", "50.0"]


def test_differences_are_two_colours_and_the_largest_is_full() -> None:
    svg = charts.heat_map(["en"], ["en", "de", "fi"], [[0.1, -0.2, 0.0]], "change", shown=[[True] * 3])
    assert fills(svg) == [("up", 0.5), ("down", 1.0)]  # no change, no colour
    assert [text for text in texts(svg) if "." in text] == ["+10.0", "−20.0", "0.0"]


def test_differences_that_are_not_shown_have_no_colour_of_their_own() -> None:
    svg = charts.heat_map(["en"], ["en", "de", "fi"], [[0.1, -0.2, -0.1]], "change", shown=[[False, False, True]])
    assert fills(svg) == [("faint", 0.5), ("faint", 1.0), ("down", 0.5)]


def test_numbers_on_dark_cells_change_colour() -> None:
    svg = charts.heat_map(["en"], ["a", "b", "c"], [[0.5, 0.7, 0.9]], "scores")
    colour = {text: re.search(rf"var\(--([\w-]+)\)[^>]*>{text}<", svg) for text in ("50.0", "70.0", "90.0")}
    assert [found and found[1] for found in colour.values()] == ["ink", "on-half", "on-full"]


def test_many_languages_have_whole_numbers() -> None:
    labels = [f"l{i}" for i in range(10)]
    values = [[0.126, 0.001, -0.126, *[None] * 7], *[[None] * 10] * 9]
    svg = charts.heat_map(labels, labels, values, "x", shown=[[True] * 10] * 10)
    assert [text for text in texts(svg) if not text.startswith(("l", "p", "q"))] == ["+13", "0", "−13"]


def test_very_many_languages_are_a_picture_of_few_bytes() -> None:
    labels = [f"l{i}" for i in range(121)]
    svg = charts.heat_map(labels, labels, [[(i * j % 100) / 100 for i in range(121)] for j in range(121)], "scores")
    assert len(svg) < 100_000
    assert svg.count("<image") == 1
    assert 'href="data:image/png;base64,' in svg


@pytest.mark.parametrize(
    "svg",
    [
        charts.heat_map(["en"], ["en"], [[0.5]], "a"),
        charts.intervals(["German"], [(-0.1, 0.1, 0.2)], ["not shown"], "c"),
        charts.curve([1, 2], [2.0, 1.0], "d"),
    ],
    ids=["heat", "intervals", "curve"],
)
def test_a_figure_is_an_element_that_names_itself_and_asks_for_nothing(svg: str) -> None:
    root = parse(svg)
    assert root.get("role") == "img"
    assert len(root.get("aria-label", "")) == 1
    assert root.get("width") is None
    assert not re.search(r"https?://|<style|<metadata|font-family|#00000\d", svg)


def test_intervals_have_the_colour_of_their_verdict() -> None:
    rows = [(0.1, 0.2, 0.3), (-0.3, -0.2, -0.1), (0.01, 0.1, 0.2)]
    svg = charts.intervals(["a", "b", "c"], rows, ["better", "worse", "not shown"], "intervals")
    strokes = re.findall(r"stroke: var\(--(\w+)\); stroke-width: 2[;.\"]", svg)
    assert strokes == ["up", "down", "faint"]


def test_a_curve_of_scales_ends_where_it_is_as_high_as_it_began() -> None:
    points = [(5.0, 4.0), (10.0, 2.0), (20.0, 1.0), (50.0, 3.0), (100.0, 7.0)]
    svg = charts.scale_curve(points, 23.4, "scales")
    assert [text for text in texts(svg) if text.isdigit()][:3] == ["5", "20", "50"]
    assert not {"200", "500"} & set(texts(svg))
    assert "23.4" in texts(svg)
    assert "500" in texts(charts.scale_curve(points, 500, "scales")), "the one that was set is shown, however far off"


def test_names_are_text_not_formulas_nor_markup() -> None:
    svg = charts.intervals(["$x^2$ <b>", "a & b"], [(0.1, 0.2, 0.3)] * 2, ["better"] * 2, 'say "<x>"')
    parse(svg)
    assert "<b>" not in svg
    assert "$x^2$ &lt;b&gt;" in texts(svg)
    assert 'aria-label="say &quot;&lt;x&gt;&quot;"' in svg


def test_settings_of_matplotlib_are_left_alone() -> None:
    import matplotlib

    before = matplotlib.rcParams["font.size"]
    charts.curve([1, 2], [1.0, 2.0], "x")
    assert matplotlib.rcParams["font.size"] == before
