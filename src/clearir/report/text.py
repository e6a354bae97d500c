"""Numbers, verdicts and user text as all report formats write them."""

from __future__ import annotations

import re

from clearir.evaluation.compare import NOT_SHOWN
from clearir.support.texts import clean

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_MARKDOWN_START = re.compile(r"^(\d*)([.)>#+=-])")  # a list, a quotation, a heading
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def points(value: float | None) -> str:
    """A score between 0 and 1 in points of 100 with one decimal; a dash if it was not scored."""
    return "–" if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """A difference of scores in points of 100, with its sign; never ``-0.0``."""
    return "–" if value is None else _no_negative_zero(f"{100 * value:+.1f}")


def percent(value: float | None) -> str:
    """A share as ``98.7 %``."""
    return "–" if value is None else f"{100 * value:.1f} %"


def whole_percent(value: float) -> str:
    """A share as ``51 %``, with a decimal where it is nearly none or nearly all."""
    nearly = 0 < value < 0.01 or 0.99 <= value < 1
    return f"{100 * value:.1f} %" if nearly else f"{100 * value:.0f} %"


def signed_percent(value: float | None) -> str:
    """A relative change as ``+12.3 %``."""
    return "–" if value is None else f"{_no_negative_zero(f'{100 * value:+.1f}')} %"


def interval(low: float | None, high: float | None) -> str:
    """A 95 % interval of a difference in points, ``+1.2 to +3.4``."""
    return "–" if low is None or high is None else f"{signed(low)} to {signed(high)}"


def count(number: int, noun: str) -> str:
    """``1 search``, ``1,024 searches``."""
    plural = f"{noun}es" if noun.endswith(("ch", "s")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def p_value(value: float) -> str:
    """A p-value with three decimals, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def verdict_in_words(verdict: str) -> str:
    """``better``, ``worse`` or ``not significant``."""
    return "not significant" if verdict == NOT_SHOWN else verdict


def markdown(text: str, limit: int = 300) -> str:
    """User text that Markdown shows unchanged, also in a table cell."""
    line = clean(text, limit).replace("&", "&amp;").replace("<", "&lt;")
    line = _MARKDOWN_START.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", line))
    return re.sub(r"(?i)(https?|www|ftp)([:.])", r"\1&#8203;\2", line)  # a bare address would become a link


def latex(text: str, limit: int = 300) -> str:
    """User text that LaTeX prints unchanged."""
    return "".join(_LATEX.get(character, character) for character in clean(text, limit))


def _no_negative_zero(number: str) -> str:
    return "0.0" if float(number) == 0 else number
