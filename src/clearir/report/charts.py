"""The figures of the HTML report: SVG by matplotlib whose colours the page sets, so that they follow its theme.

A figure is drawn in stand-in colours; `_svg` replaces each by a CSS variable of the page (``--ink``, ``--up`` ...).
Text stays text, in the page's font.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from io import StringIO
from typing import TYPE_CHECKING, Any, ParamSpec

from clearir.report.text import points, signed
from clearir.support.texts import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, FAINT, UP, DOWN, AFTER, ON_HALF, ON_FULL = (f"#00000{number}" for number in range(1, 8))
_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    UP: "var(--up)",
    DOWN: "var(--down)",
    AFTER: "var(--after)",
    ON_HALF: "var(--on-half)",
    ON_FULL: "var(--on-full)",
}
# A picture of many cells is drawn as an image, whose colours cannot follow the theme: these are legible on both.
_IMAGE = {UP: (0.16, 0.47, 0.75), DOWN: (0.85, 0.42, 0.08), AFTER: (0.08, 0.52, 0.47), FAINT: (0.5, 0.5, 0.5)}
MOST_CELLS_WITH_NUMBERS = 20
MOST_CELLS_WITH_DECIMALS = 6
_HEIGHT, _ROW = 0.4, 0.3  # inches of a figure with a row a language: its margins, and a row
# Shares of the full colour from which text on it is hard to read in the colour of text: first on a dark page, on any.
_HALF, _FULL = 0.6, 0.78


_STYLE: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.labelcolor": FAINT,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
P = ParamSpec("P")


def _styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Run a drawing function with our settings of matplotlib, and leave the caller's alone."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> str:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


@_styled
def heat_map(
    queries: Sequence[str],
    passages: Sequence[str],
    values: Sequence[Sequence[float | None]],
    title: str,
    *,
    shown: Sequence[Sequence[bool]] | None = None,
) -> str:
    """Query languages down, passage languages across.

    Args:
        queries: names of the rows.
        passages: names of the columns.
        values: scores between 0 and 1, or their differences; None was not scored.
        title: what it shows, for those who cannot see it.
        shown: the values are differences, and these of them are shown not to be chance: two colours around 0, and
            none for the others.
    """
    difference = shown is not None
    known = [abs(value) for row in values for value in row if value is not None]
    scale = max(known, default=0.0) or 1.0 if difference else 1.0
    height, width = len(queries), len(passages)
    figure, axes = _figure(4.2, 1.1 + 3.1 * min(max(height / width, 0.2), 2.0))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    draw = _cells if max(height, width) <= MOST_CELLS_WITH_NUMBERS else _picture
    draw(axes, values, scale, shown)
    _ticks(axes.xaxis, passages)
    _ticks(axes.yaxis, queries)
    axes.xaxis.tick_top()
    for label in axes.get_xticklabels():
        label.set(rotation=90 if width > 12 else 45, rotation_mode="anchor", ha="left", va="center")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("passages")
    axes.set_ylabel("queries")
    return _svg(figure, title, bbox_inches="tight", pad_inches=0.02)


@_styled
def intervals(
    names: Sequence[str], rows: Sequence[tuple[float, float, float]], verdicts: Sequence[str], title: str
) -> str:
    """A difference and its interval (low, difference, high) a line, in the colour of its verdict."""
    size = len(names)
    figure, axes = _figure(3.8, _HEIGHT + _ROW * size)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    for place, ((low, middle, high), verdict) in enumerate(zip(rows, verdicts, strict=True)):
        color = {"better": UP, "worse": DOWN}.get(verdict, FAINT)
        axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="round")
        axes.plot([middle], [place], "o", color=color, markersize=5)
    axes.set(ylim=(size - 0.45, -0.55))
    axes.xaxis.set_major_formatter(lambda value, _: signed(value).replace(".0", "").replace("-", "−"))
    axes.set_yticks(range(size), [clean(name, 24) for name in names])
    axes.xaxis.grid(True, color=FAINT, alpha=0.25, linewidth=0.6)
    return _svg(figure, title)


@_styled
def curve(steps: Sequence[float], values: Sequence[float], title: str) -> str:
    """One quantity over the steps of training."""
    figure, axes = _figure(2.6, 1.7)
    axes.plot(steps, values, color=AFTER, linewidth=1.8)
    axes.plot(steps[-1:], values[-1:], "o", color=AFTER, markersize=4)
    low, high = min([0.0, *values]), max([0.0, *values])
    axes.set_ylim(low, high * 1.08 or 1.0)
    axes.locator_params(nbins=4)
    axes.yaxis.grid(True, color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_xlabel("step")
    return _svg(figure, title)


@_styled
def scale_curve(points: Sequence[Sequence[float]], used: float, title: str) -> str:
    """Cross-entropy in nats by scale, with a line at the one that was trained with.

    Args:
        points: (scale, cross-entropy), the smallest scale first; what lies above the first point is left out.
        used: the scale of the training.
        title: what it shows, for those who cannot see it.
    """
    figure, axes = _figure(2.6, 1.7)
    top = points[0][1]
    scales, values = zip(*(point for point in points if point[1] <= top), strict=True)
    axes.set_xscale("log")
    axes.plot(scales, values, color=AFTER, linewidth=1.8)
    axes.axvline(used, color=INK, linewidth=0.8)
    axes.annotate(f"{used:g}", (used, top), (3, 0), textcoords="offset points", va="top", weight="bold", color=INK)
    axes.set_ylim(0, top * 1.08 or 1.0)
    first, last = min(scales[0], used), max(scales[-1], used)
    axes.set_xlim(first, last)
    ticks = [scale for scale in (2, 5, 20, 50, 200, 500) if first <= scale <= last]
    axes.set_xticks(ticks, [str(scale) for scale in ticks])
    axes.minorticks_off()
    axes.yaxis.grid(True, color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_xlabel("scale (1 / temperature)")
    return _svg(figure, title)


def _cells(
    axes: Axes, values: Sequence[Sequence[float | None]], scale: float, shown: Sequence[Sequence[bool]] | None
) -> None:
    """A square and a number a cell."""
    from matplotlib.patches import Rectangle

    most = max(len(values), *map(len, values))
    size = 8.5 if most <= MOST_CELLS_WITH_DECIMALS else min(9.0, 95 / most)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value is None:
                continue
            share = min(abs(value) / scale, 1.0)
            corner = (column - 0.48, row - 0.48)
            hue = _hue(value, None if shown is None else shown[row][column])
            axes.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=hue, alpha=share, linewidth=0))
            color = ON_FULL if share > _FULL else ON_HALF if share > _HALF else INK
            axes.text(
                column, row, _number(value, shown is not None, most), ha="center", va="center", color=color, size=size
            )


def _number(value: float, difference: bool, most: int) -> str:
    """Of a cell, without decimals where there is no room for them."""
    number = signed(value) if difference else points(value)
    if most > MOST_CELLS_WITH_DECIMALS:
        whole = round(100 * value)
        number = f"{whole:+d}" if difference and whole else f"{whole}"
    return number.replace("-", "−")


def _picture(
    axes: Axes, values: Sequence[Sequence[float | None]], scale: float, shown: Sequence[Sequence[bool]] | None
) -> None:
    """A pixel a cell."""
    import numpy as np

    image = np.zeros((len(values), len(values[0]), 4))
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value is not None:
                hue = _hue(value, None if shown is None else shown[row][column])
                image[row, column] = (*_IMAGE[hue], abs(value) / scale)
    axes.imshow(image, interpolation="none")


def _ticks(axis: Axis, labels: Sequence[str]) -> None:
    """The labels, or every fifth of very many."""
    step = 1 if len(labels) <= 30 else 5
    axis.set_ticks(list(range(0, len(labels), step)), [clean(label, 16) for label in labels[::step]])


def _hue(value: float, shown: bool | None) -> str:
    """Colour of a score (``shown`` is None), or of a difference that is shown or not."""
    if shown is None:
        return AFTER
    return (UP if value >= 0 else DOWN) if shown else FAINT


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of that many inches, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for side in axes.spines.values():
        side.set_visible(False)
    return figure, axes


def _svg(figure: Figure, title: str, **saving: Any) -> str:
    """The figure as an element for an HTML page: no ids that could meet another figure's, no fixed size."""
    from html import escape

    from matplotlib import rc_context

    out = StringIO()
    with rc_context({"svg.hashsalt": title}):
        nothing = {"Date": None, "Creator": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=nothing, **saving)
    head, body = re.search(r"<svg([^>]*)>(.*)", out.getvalue(), re.DOTALL).groups()  # type: ignore[union-attr]
    box = re.search(r'viewBox="[^"]*"', head).group()  # type: ignore[union-attr]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r' id="[a-zA-Z.]+_\d+"', "", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    return f'<svg {box} role="img" aria-label="{escape(clean(title), quote=True)}">{body.strip()}'
