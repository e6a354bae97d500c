from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from clearir.report import text


def test_numbers_in_points() -> None:
    assert text.points(0.7126) == "71.3"
    assert text.points(None) == "–"
    assert text.signed(0.0123) == "+1.2"
    assert text.signed(-0.0123) == "-1.2"


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert text.signed(-0.0004) == text.signed(0.0004) == text.signed(0.0) == "0.0"
    assert text.signed_percent(-0.0001) == "0.0 %"


def test_shares_and_p_values() -> None:
    assert text.percent(0.9874) == "98.7 %"
    assert text.signed_percent(0.355) == "+35.5 %"
    assert text.p_value(0.0004) == "< 0.001"
    assert text.p_value(0.04) == "0.040"


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.474, "47 %"), (0.0, "0 %"), (1.0, "100 %"), (0.004, "0.4 %"), (0.996, "99.6 %"), (2.5, "250 %")],
)
def test_whole_shares_are_never_rounded_to_none_or_all(share: float, words: str) -> None:
    assert text.whole_percent(share) == words


def test_counts() -> None:
    assert [text.count(number, "search") for number in (1, 1024)] == ["1 search", "1,024 searches"]
    assert text.count(2, "language") == "2 languages"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b>&amp;"),
        ("*x* _y_ `z`", r"\*x\* \_y\_ \`z\`"),
        ("~~x~~", r"\~\~x\~\~"),
        ("![i](x)", r"!\[i\](x)"),
        ("1. one", r"1\. one"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("> said", r"\> said"),
        ("c++ - c#", "c++ - c#"),
        ("see https://x.example", "see https&#8203;://x.example"),
    ],
)
def test_markdown_shows_text_as_it_stands(given: str, expected: str) -> None:
    assert text.markdown(given) == expected


MARKS = st.text(st.sampled_from("aab  *_`~[]()<>!|#&\\\n.1-"), min_size=12, max_size=40)


@settings(max_examples=400, deadline=None)
@given(MARKS | st.text(max_size=20))
def test_any_text_comes_out_of_markdown_as_it_went_in(given: str) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    rendered = reader.render(f"| head |\n| --- |\n| x {text.markdown(given)} |\n\n{text.markdown(given)} x\n")
    assert set(re.findall(r"<(\w+)", rendered)) <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
    shown = [html.unescape(one) for one in re.findall(r"<(?:td|p)>(.*?)</(?:td|p)>", rendered, re.DOTALL)]
    wanted = [
        " ".join(one.replace("\u200b", "").split()) for one in (f"x {text.clean(given)}", f"{text.clean(given)} x")
    ]
    assert [" ".join(one.replace("\u200b", "").split()) for one in shown] == wanted


def test_latex_prints_text_as_it_stands() -> None:
    assert text.latex(r"50 % of a_b & \c {d}") == r"50 \% of a\_b \& \textbackslash{}c \{d\}"
