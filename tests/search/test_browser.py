"""The page in a real browser. The pictures it leaves under ``artifacts/`` are for people to look at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lancedb", reason="the extra search is not installed")
pytest.importorskip("uvicorn", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="the extra dev is not installed")

from playwright.sync_api import expect

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


def ids(tab: Any, side: str) -> list[str]:
    found: list[str] = tab.page.locator(f"#{side} .hit").evaluate_all("hits => hits.map(hit => hit.dataset.id)")
    return found


def test_a_ukrainian_query_is_typed_and_the_expected_passage_is_first(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(address)
    expect(page.locator("#q")).to_be_focused()
    page.get_by_label("also match words").check()
    page.locator("#q").focus()
    page.keyboard.type("гра в шахи")
    page.keyboard.press("Enter")
    expect(page.locator("#tuned .hit")).to_have_count(6)
    expect(page.locator("#q")).to_have_value("гра в шахи")
    assert ids(tab, "tuned")[0] == "shakhy"
    assert ids(tab, "base")[0] == "shakhy"
    assert "filter" not in page.url  # what is empty is not sent
    tab.picture(ARTIFACTS / "search-page.png")


def test_nothing_comes_from_elsewhere(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=chess")
    expect(tab.page.locator(".moves path").first).to_be_attached()
    assert len(tab.requests) >= 3
    assert [one for one in tab.requests if not one.startswith((address, "data:"))] == []


def test_keys(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=photos of a camera")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.type("/")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("photos of a camera")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    at = "document.activeElement.dataset.id"
    assert page.evaluate(at) == ids(tab, "base")[0]
    while page.evaluate(at) != "gimp":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    whole = page.locator(".hit:focus details")
    expect(whole).to_have_attribute("open", "")
    assert whole.locator("p").text_content() == LONG
    for _ in range(12):
        page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()


def test_text_from_right_to_left(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=لعبة الشطرنج&hybrid=on")
    first = page.locator("#tuned .hit").first
    expect(first).to_have_attribute("data-id", "shatranj")
    for right in (first.locator("h3"), first.locator(".text"), page.locator("#q")):
        expect(right).to_have_css("direction", "rtl")
    expect(page.locator("#tuned .hit[data-id=vim] .text")).to_have_css("direction", "ltr")


def test_filters_and_examples_are_clicked(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(address)
    page.locator(".examples a").first.click()
    expect(page.locator("#tuned .hit")).to_have_count(6)
    expect(page.locator(".meaning")).to_contain_text("a game of chess")
    for side in ("base", "tuned"):
        expect(page.locator(f"#{side} .hit.right")).to_have_attribute("data-id", "shakhy")
    ranks = {side: 1 + ids(tab, side).index("shakhy") for side in ("base", "tuned")}
    tuned, base = (f"at rank {ranks[side]} with the {side} model" for side in ("tuned", "base"))
    expect(page.locator(".summary")).to_contain_text(f"The right passage is {tuned} and {base}.")
    page.get_by_role("combobox", name="language").select_option("language=uk")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#tuned .hit")).to_have_count(1)
    assert ids(tab, "tuned") == ids(tab, "base") == ["shakhy"]


def test_what_moved_is_joined_by_lines(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=chess")
    lines = tab.page.locator(".moves path[d]")
    expect(lines).to_have_count(6)
    heights = lines.evaluate_all("lines => lines.map(line => +line.getAttribute('d').split(' ').pop())")
    order = {hit: place for place, hit in enumerate(ids(tab, "tuned"))}
    assert [sorted(heights).index(height) for height in heights] == [order[hit] for hit in ids(tab, "base")]


def test_what_was_wrong_is_said_on_the_page(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=x&filter=nothing")
    expect(tab.page.get_by_role("alert")).to_contain_text("write FIELD=VALUE")
    assert "400" in tab.complaints.pop()  # the console notes the status


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_sticks_out(tab: Any, address: str, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 900})
    for path in ("", "?q=chess", "?q=x&filter=section=none"):
        tab.page.goto(address + path)
        assert tab.width_of_content() <= width
    tab.page.goto(f"{address}?q=لعبة الشطرنج&hybrid=on")
    tab.picture(ARTIFACTS / f"search-page-{width}.png")


def test_dark(tab: Any, address: str) -> None:
    tab.page.emulate_media(color_scheme="dark")
    tab.page.goto(f"{address}?q=chess")
    expect(tab.page.locator("body")).to_have_css("background-color", "rgb(20, 23, 27)")
    tab.picture(ARTIFACTS / "search-page-dark.png")
