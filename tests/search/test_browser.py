"""The page in a real browser. The pictures it leaves under ``artifacts/`` are for people to look at."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lancedb", reason="the extra search is not installed")
pytest.importorskip("uvicorn", reason="the extra ui is not installed")

from clearir.data.passages import Corpus, Passage
from clearir.models.load import Loading
from clearir.search.index import build_index
from clearir.settings import SearchExample

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
LONG = "It reads the photos of a camera and sorts them by day and place, and it finds the ones that look the same. " * 6
LONG = LONG.strip()
PASSAGES = (
    Passage("gimp", LONG, "photo editor", "en", {"section": "graphics"}),
    Passage("gnuchess", "plays chess against you, or against itself", "chess engine", "en", {"section": "games"}),
    Passage("shakhy", "гра в шахи проти комп’ютера", "шахи", "uk", {"section": "games"}),
    Passage("shatranj", "لعبة الشطرنج مع GNU Chess 6.2 والحاسوب", "لعبة الشطرنج", "ar", {"section": "games"}),
    Passage("luks", "encrypts a disk", "disk encryption", "en", {"section": "admin"}),
    Passage("vim", "edits text fast", "text editor", "en", {"section": "editors"}),
)

EXAMPLES = [
    SearchExample(language="uk", query="гра в шахи", meaning="a game of chess", right=PASSAGES[2].text),
    SearchExample(language="ar", query="لعبة الشطرنج"),
]


@pytest.fixture(scope="module")
def browser(module_at: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = os.environ.get("CLEARIR_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium; install it with: apt-get install chromium")
    module = module_at(Path(__file__).with_name("browser.py"))
    driven = module.Browser(program, tmp_path_factory.mktemp("profile"))
    yield driven
    driven.close()


@pytest.fixture(scope="module")
def address(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server as `clearir serve` runs it, in a thread of this process."""
    from clearir.search.serve import serve

    folder = tmp_path_factory.mktemp("served")
    corpus = Corpus("packages", PASSAGES)
    for name, length in (("tuned", 64), ("base", 4)):
        how = Loading(max_seq_length=length)
        build_index(corpus, str(tiny_model_path), folder / name, cache=folder / "cache", loading=how)
    told: list[str] = []
    ready = threading.Event()

    def tell(place: str) -> None:
        told.append(place)
        ready.set()

    options = {"base": str(folder / "base"), "examples": EXAMPLES, "address": ("127.0.0.1", 0)}
    threading.Thread(
        target=serve, args=(str(folder / "tuned"),), kwargs={**options, "ready": tell}, daemon=True
    ).start()
    assert ready.wait(60)
    return told[0]


@pytest.fixture(autouse=True)
def _quiet(browser: Any) -> Iterator[None]:
    browser.requests.clear()
    browser.complaints.clear()
    browser.resize(1280, 900)
    yield
    assert browser.complaints == []


def ids(browser: Any, side: str) -> list[str]:
    found: list[str] = browser.evaluate(f"[...document.querySelectorAll('#{side} .hit')].map(hit => hit.dataset.id)")
    return found


def test_a_ukrainian_query_is_typed_and_the_expected_passage_is_first(browser: Any, address: str) -> None:
    browser.open(address)
    assert browser.evaluate("document.activeElement.id") == "q"
    browser.evaluate("document.querySelector('[name=hybrid]').checked = true")
    browser.type("гра в шахи")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('#tuned .hit').length == 6")
    assert browser.evaluate("document.getElementById('q').value") == "гра в шахи"
    assert ids(browser, "tuned")[0] == "shakhy"
    assert ids(browser, "base")[0] == "shakhy"
    assert "filter" not in browser.evaluate("location.search")  # what is empty is not sent
    browser.picture(ARTIFACTS / "search-page.png")


def test_nothing_comes_from_elsewhere(browser: Any, address: str) -> None:
    browser.open(f"{address}?q=chess")
    browser.wait("document.querySelectorAll('.moves path').length > 0")
    assert len(browser.requests) >= 3
    assert [one for one in browser.requests if not one.startswith((address, "data:"))] == []


def test_keys(browser: Any, address: str) -> None:
    browser.open(f"{address}?q=photos of a camera")
    browser.evaluate("document.activeElement.blur()")
    browser.type("/")
    assert browser.evaluate("document.activeElement.id") == "q"
    assert browser.evaluate("document.getElementById('q').value") == "photos of a camera"
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    browser.press("ArrowUp")
    at = "document.activeElement.dataset.id"
    assert browser.evaluate(at) == ids(browser, "base")[0]
    while browser.evaluate(at) != "gimp":
        browser.press("ArrowDown")
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.querySelector('details').open")
    assert browser.evaluate("document.activeElement.querySelector('details p').textContent.length") == len(LONG)
    for _ in range(12):
        browser.press("ArrowUp")
    assert browser.evaluate("document.activeElement.id") == "q"


def test_text_from_right_to_left(browser: Any, address: str) -> None:
    browser.open(f"{address}?q=لعبة الشطرنج&hybrid=on")
    first = "document.querySelector('#tuned .hit')"
    assert browser.evaluate(f"{first}.dataset.id") == "shatranj"
    for selector in ("h3", ".text"):
        direction = f"getComputedStyle({first}.querySelector('{selector}')).direction"
        assert browser.evaluate(direction) == "rtl"
    assert browser.evaluate("getComputedStyle(document.getElementById('q')).direction") == "rtl"
    other = "[...document.querySelectorAll('#tuned .hit')].find(hit => hit.dataset.id == 'vim').querySelector('.text')"
    assert browser.evaluate(f"getComputedStyle({other}).direction") == "ltr"


def test_filters_and_examples_are_clicked(browser: Any, address: str) -> None:
    browser.open(address)
    browser.evaluate("document.querySelector('.examples a').click()")
    browser.wait("document.querySelectorAll('#tuned .hit').length == 6")
    assert "a game of chess" in browser.evaluate("document.querySelector('.meaning').textContent")
    for side in ("base", "tuned"):
        marked = f"[...document.querySelectorAll('#{side} .hit.right')].map(hit => hit.dataset.id).join()"
        assert browser.evaluate(marked) == "shakhy"
    ranks = {side: 1 + ids(browser, side).index("shakhy") for side in ("base", "tuned")}
    tuned, base = (f"at rank {ranks[side]} with the {side} model" for side in ("tuned", "base"))
    said = f"The right passage is {tuned} and {base}."
    assert said in browser.evaluate("document.querySelector('.summary').textContent")
    browser.evaluate("document.querySelector('select[name=filter] option[value=\"language=uk\"]').selected = true")
    browser.evaluate("document.querySelector('.ask').requestSubmit()")
    browser.wait("document.querySelectorAll('#tuned .hit').length == 1")
    assert ids(browser, "tuned") == ids(browser, "base") == ["shakhy"]


def test_what_moved_is_joined_by_lines(browser: Any, address: str) -> None:
    browser.open(f"{address}?q=chess")
    browser.wait("document.querySelectorAll('.moves path[d]').length == 6")
    order = {hit: place for place, hit in enumerate(ids(browser, "tuned"))}
    heights = browser.evaluate(
        "[...document.querySelectorAll('.moves path')].map(p => +p.getAttribute('d').split(' ').pop())"
    )
    assert [sorted(heights).index(height) for height in heights] == [order[hit] for hit in ids(browser, "base")]


def test_what_was_wrong_is_said_on_the_page(browser: Any, address: str) -> None:
    browser.open(f"{address}?q=x&filter=nothing")
    assert "write FIELD=VALUE" in browser.evaluate("document.querySelector('[role=alert]').textContent")
    browser.complaints.clear()  # the browser notes the status 400


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_sticks_out(browser: Any, address: str, width: int) -> None:
    browser.resize(width, 900)
    for path in ("", "?q=chess", "?q=x&filter=section=none"):
        browser.open(address + path)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.open(f"{address}?q=لعبة الشطرنج&hybrid=on")
    browser.picture(ARTIFACTS / f"search-page-{width}.png")


def test_dark(browser: Any, address: str) -> None:
    browser.resize(1280, 900, dark=True)
    browser.open(f"{address}?q=chess")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    browser.picture(ARTIFACTS / "search-page-dark.png")
