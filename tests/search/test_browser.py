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
from clearir.evaluation.scores import Direction, Scores
from clearir.models.load import Loading
from clearir.models.reranker import Reranking
from clearir.search.index import build_index, load_info
from clearir.settings import SearchExample

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
LONG = "It reads the photos of a camera and sorts them by day and place, and it finds the ones that look the same. " * 6
LONG = LONG.strip()
# The model reads its first 64 letters, and has the same vector for a sentence that is the query itself.
LINES = "Ab cd ef gh\nZz qq xx\nIj kl mn op\n" + "What follows is not read. " * 20
PASSAGES = (
    Passage("gimp", LONG, "photo editor", "en", {"section": "graphics", "page": "https://www.gimp.org/a?b=1&c=2"}),
    Passage("gnuchess", "plays chess against you, or against itself", "chess engine", "en", {"section": "games"}),
    Passage("shakhy", "гра в шахи проти комп’ютера", "шахи", "uk", {"section": "games"}),
    Passage("shatranj", "لعبة الشطرنج مع GNU Chess 6.2 والحاسوب", "لعبة الشطرنج", "ar", {"section": "games"}),
    Passage("luks", LINES, "disk encryption", "en", {"section": "admin"}),
    Passage("vim", "edits text fast", "text editor", "en", {"section": "editors"}),
)

EXAMPLES = [
    SearchExample(language="uk", query="гра в шахи", meaning="a game of chess", right=PASSAGES[2].text),
    *(SearchExample(language="uk", query=f"шахи {number}") for number in range(2, 8)),
    SearchExample(language="ar", query="لعبة الشطرنج"),
]
RANKS = {"uk": ([9, 2, 1, 4], [1, 1, 1, 2]), "ar": ([7, 7, 7], [1, 2, 3])}  # before and after training
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


def write_scores(folder: Path, model_hash: str, side: int) -> None:
    """What a run keeps of a model: ranks of held-out queries among 40 passages."""
    directions = {}
    for language, ranks in RANKS.items():
        ids = [f"q{number}" for number in range(len(ranks[side]))]
        values = {"ndcg@10": [0.0] * len(ids)}
        directions[f"{language}->en"] = Direction(language, "en", 40, ids, ids, values, ranks[side], [[] for _ in ids])
    folder.mkdir(parents=True, exist_ok=True)
    Scores("suite", "hash", "model", model_hash, "en", directions).save(folder / f"{side}.json")


def another_model(path: Path, folder: Path) -> Path:
    """The same model with one weight changed: nearly the same results, and other scores."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(path), device="cpu")
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def start(*arguments: Any, **options: Any) -> str:
    """A server as `clearir serve` runs it, in a thread of this process; returns its address."""
    from clearir.search.serve import serve

    told: list[str] = []
    ready = threading.Event()

    def tell(place: str) -> None:
        told.append(place)
        ready.set()

    options = {"address": ("127.0.0.1", 0), "ready": tell, **options}
    threading.Thread(target=serve, args=arguments, kwargs=options, daemon=True).start()
    assert ready.wait(60)
    return told[0]


@pytest.fixture(scope="module")
def address(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Passages in three languages, two models, and a run that has measured both."""
    folder = tmp_path_factory.mktemp("served")
    corpus = Corpus("dump.jsonl", PASSAGES)
    models = {"tuned": (tiny_model_path, 64), "base": (another_model(tiny_model_path, folder / "other"), 4)}
    for side, (name, (model, length)) in enumerate(reversed(models.items())):
        build_index(corpus, str(model), folder / name, cache=folder / "cache", loading=Loading(max_seq_length=length))
        write_scores(folder / "run" / "scores", load_info(folder / name).model_hash, side)
    return start(
        str(folder / "tuned"),
        base=str(folder / "base"),
        examples=EXAMPLES,
        run=folder / "run",
        title="descriptions of packages",
    )


@pytest.fixture(scope="module")
def plain_address(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """English passages, one model, and nothing known of it."""
    folder = tmp_path_factory.mktemp("plain")
    corpus = Corpus("dump.jsonl", tuple(one for one in PASSAGES if one.language == "en"))
    build_index(corpus, str(tiny_model_path), folder / "index", cache=folder / "cache")
    return start(str(folder / "index"))


@pytest.fixture(scope="module")
def reranked_address(tiny_model_path: Path, overlap: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same passages in two indexes, with a reranker behind both."""
    folder = tmp_path_factory.mktemp("reranked")
    corpus = Corpus("dump.jsonl", PASSAGES)
    for name, length in (("tuned", 64), ("base", 4)):
        loading = Loading(max_seq_length=length)
        build_index(corpus, str(tiny_model_path), folder / name, cache=folder / "cache", loading=loading)
    reranking = Reranking(overlap, "runs/a-reranker-with-a-long-name/model", 50)
    return start(str(folder / "tuned"), base=str(folder / "base"), rerank=reranking)


def ids(tab: Any, side: str) -> list[str]:
    found: list[str] = tab.page.locator(f"#{side} .hit").evaluate_all("hits => hits.map(hit => hit.dataset.id)")
    return found


def focused(tab: Any) -> tuple[str | None, str | None]:
    """Id and list of the hit that has the focus."""
    at: list[str | None] = tab.page.evaluate(
        "[document.activeElement.dataset.id, document.activeElement.closest('.side')?.id]"
    )
    return at[0], at[1]


# -- success first


def test_the_place_of_the_right_answer_is_the_headline_and_it_is_marked_in_both_lists(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(address)
    page.get_by_role("link", name="гра в шахи").click()
    expect(page.locator("#tuned .hit")).to_have_count(6)
    ranks = [1 + ids(tab, side).index("shakhy") for side in ("tuned", "base")]
    expect(page.locator(".summary")).to_have_text(f"Right answer: place {ranks[0]} after training, {ranks[1]} before.")
    for side in ("base", "tuned"):
        expect(page.locator(f"#{side} .hit.right")).to_have_attribute("data-id", "shakhy")
        expect(page.locator(f"#{side} .hit.right")).to_contain_text("right answer")
    expect(page.locator(".meaning")).to_have_text("Meaning: a game of chess")


def test_a_right_answer_that_is_further_down_is_marked_too(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=гра в шахи&k=1&filter=language=en&filter=language=uk")
    for side in ("base", "tuned"):
        right = tab.page.locator(f"#{side} .hit.right")
        expect(right).to_have_attribute("data-id", "shakhy")
        first = tab.page.locator(f"#{side} .hit").first
        assert first.get_attribute("data-id") == "shakhy" or "beyond" in (right.get_attribute("class") or "")


def test_all_held_out_queries_are_counted_beside_the_box(tab: Any, address: str) -> None:
    page = tab.page
    for path in ("", "?q=chess"):
        page.goto(address + path)
        expect(page.locator(".proof")).to_contain_text("Right answer first: 4 of 7 after, 1 before")
        expect(page.locator(".proof")).to_contain_text("All held-out questions in 2 languages, over the 40 held-out")
    page.goto(address)
    expect(page.get_by_role("navigation", name="Examples in Ukrainian")).to_contain_text("3 of 4, 1 before")


def test_the_headline_of_the_page_is_in_words(tab: Any, address: str, plain_address: str) -> None:
    for place, words in ((address, "Search 6 descriptions of packages"), (plain_address, "Search 4 passages")):
        tab.page.goto(place)
        expect(tab.page.get_by_role("heading", level=1)).to_have_text(words)


def test_languages_of_the_training_and_doubt(tab: Any, address: str, plain_address: str) -> None:
    page = tab.page
    page.goto(address)
    expect(page.get_by_role("region", name="About")).to_contain_text("The model was trained for Arabic, Ukrainian.")
    expect(page.get_by_role("region", name="About")).to_contain_text("Other languages were not part of the training")
    for query, doubt in (
        ("ქართული", "Low confidence: the model was not trained on a language in this script."),
        ("كتاب", "Low confidence in Arabic: the right answer comes first for 1 of 3 held-out questions."),
        ("ліс", None),  # first for 3 of 4
        ("a book", None),
        ("гра в шахи", None),  # its answer is known
    ):
        page.goto(f"{address}?q={query}")
        expect(page.locator(".doubt")).to_have_text(doubt if doubt else [])
    page.goto(f"{plain_address}?q=ქართული")
    expect(page.locator(".doubt")).to_have_count(0)  # nothing was measured


# -- the lists


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_reranked_lists_say_so(tab: Any, reranked_address: str, size: dict[str, int]) -> None:
    page = tab.page
    page.set_viewport_size(size)
    page.goto(f"{reranked_address}?q=plays chess against you")
    for side in ("tuned", "base"):
        assert ids(tab, side)[0] == "gnuchess"
    expect(page.get_by_text("first 50 of each list reranked")).to_be_visible()
    expect(page.locator("footer")).to_contain_text(
        "the first 50 passages reranked by a-reranker-with-a-long-name/model; passages of"
    )
    assert tab.width_of_content() <= size["width"]
    tab.assert_accessible()
    tab.picture(ARTIFACTS / f"search-reranked-{size['width']}.png")


def test_a_query_is_typed_and_the_expected_passage_is_first(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(address)
    expect(page.locator("#q")).to_be_focused()
    page.get_by_text("Options").click()
    page.get_by_label("also match words").check()
    page.locator("#q").focus()
    page.keyboard.type("гра в шахи")
    page.keyboard.press("Enter")
    expect(page.locator("#tuned .hit")).to_have_count(6)
    expect(page.locator("#q")).to_have_value("гра в шахи")
    assert ids(tab, "tuned")[0] == "shakhy"
    assert ids(tab, "base")[0] == "shakhy"
    tab.picture(ARTIFACTS / "search-page.png")


def test_the_list_after_training_is_first_and_the_other_beside_it(tab: Any, address: str) -> None:
    tab.page.set_viewport_size(WIDE)
    tab.page.goto(f"{address}?q=chess")
    boxes = {side: tab.page.locator(f"#{side}").bounding_box() for side in ("tuned", "base")}
    assert boxes["tuned"]["x"] + boxes["tuned"]["width"] < boxes["base"]["x"]
    assert boxes["tuned"]["y"] == boxes["base"]["y"]
    legend = tab.page.locator(".legend").bounding_box()
    assert legend["y"] + legend["height"] <= boxes["tuned"]["y"]


def test_on_a_phone_the_other_list_is_one_tap_away(tab: Any, address: str) -> None:
    page = tab.page
    page.set_viewport_size(PHONE)
    page.goto(f"{address}?q=chess")
    first = page.locator("#tuned .hit").first
    box = first.bounding_box()
    assert box["y"] + box["height"] < PHONE["height"]  # without scrolling
    expect(page.locator("#base")).to_be_hidden()
    page.get_by_role("link", name="Before").click()
    expect(page.locator("#base .hit").first).to_be_visible()
    expect(page.locator("#tuned")).to_be_hidden()
    expect(page.get_by_role("link", name="Before")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="After training").click()
    expect(first).to_be_visible()


def test_places_before_training_stand_in_the_line(tab: Any, address: str) -> None:
    tab.page.set_viewport_size(PHONE)
    tab.page.goto(f"{address}?q=chess")
    before = {hit: place for place, hit in enumerate(ids(tab, "base"), start=1)}
    for place, (hit, row) in enumerate(zip(ids(tab, "tuned"), tab.page.locator("#tuned .place").all(), strict=True), 1):
        was = "same" if before[hit] == place else f"was {before[hit]}"
        expect(row).to_contain_text(was)
        assert row.bounding_box()["height"] < 40  # one line


def test_what_moved_is_joined_by_lines(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=chess")
    lines = tab.page.locator(".moves path[d]")
    expect(lines).to_have_count(6)
    heights = lines.evaluate_all("lines => lines.map(line => +line.getAttribute('d').split(' ').pop())")
    order = {hit: place for place, hit in enumerate(ids(tab, "base"))}
    assert [sorted(heights).index(height) for height in heights] == [order[hit] for hit in ids(tab, "tuned")]


def test_text_from_right_to_left(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=لعبة الشطرنج&hybrid=on")
    first = page.locator("#tuned .hit").first
    expect(first).to_have_attribute("data-id", "shatranj")
    for right in (first.locator("h3"), first.locator(".text"), page.locator("#q")):
        expect(right).to_have_css("direction", "rtl")
    expect(first.locator("mark")).to_have_text(["لعبة", "الشطرنج"])
    expect(page.locator("#tuned .hit[data-id=vim] .text")).to_have_css("direction", "ltr")


# -- a hit


def test_keys(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=photos of a camera")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.type("/")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("photos of a camera")
    tuned, base = ids(tab, "tuned"), ids(tab, "base")
    page.keyboard.press("ArrowDown")
    assert focused(tab) == (tuned[0], "tuned")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert focused(tab) == (tuned[1], "base")  # the same passage in the other list
    page.keyboard.press("ArrowDown")
    assert focused(tab) == (base[base.index(tuned[1]) + 1] if tuned[1] != base[-1] else base[-1], "base")
    page.keyboard.press("ArrowLeft")
    assert focused(tab)[1] == "tuned"
    while focused(tab)[0] != tuned[0]:
        page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()


def test_the_other_list_opens_by_key_on_a_phone(tab: Any, address: str) -> None:
    tab.page.set_viewport_size(PHONE)
    tab.page.goto(f"{address}?q=chess")
    tab.page.locator("#q").focus()
    for key in ("ArrowDown", "ArrowRight"):
        tab.page.keyboard.press(key)
    assert focused(tab) == (ids(tab, "tuned")[0], "base")
    expect(tab.page.locator("#tuned")).to_be_hidden()


def test_each_hit_is_one_stop_of_the_tab_key_until_it_is_unfolded(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=chess")
    tuned = ids(tab, "tuned")
    page.locator("#tuned .hit").first.focus()
    for place in range(1, 6):
        page.keyboard.press("Tab")
        assert focused(tab) == (tuned[place], "tuned")
    page.locator("#tuned .hit[data-id=gimp]").focus()
    page.keyboard.press("Enter")
    link = page.locator("#tuned .hit[data-id=gimp] .meta a")
    expect(link).to_have_attribute("tabindex", "0")
    page.keyboard.press("Tab")
    expect(link).to_be_focused()


def test_the_whole_passage_takes_the_place_of_the_snippet(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=photos of a camera")
    hit = tab.page.locator("#tuned .hit[data-id=gimp]")
    expect(hit.locator(".text")).to_be_visible()
    hit.get_by_text("Whole passage").click()
    expect(hit.locator(".text")).to_be_hidden()
    expect(hit.locator(".whole")).to_have_text(LONG)
    expect(hit.locator(".whole mark").first).to_have_text("photos")
    expect(tab.page.locator("#tuned .hit[data-id=vim] details")).to_have_count(0)  # there is no more to show


def test_words_of_the_query_are_marked(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=Chess engine")
    expect(tab.page.locator("#tuned .hit[data-id=gnuchess] .text mark")).to_have_text(["chess"])


def test_the_closest_sentence_is_marked_in_what_is_looked_at(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=zz qq xx")
    hit = page.locator("#tuned .hit[data-id=luks]")
    hit.scroll_into_view_if_needed()
    expect(hit.locator(".text mark.sentence")).to_have_text("Zz qq xx")
    expect(hit.locator(".text")).to_contain_text("Ab cd ef gh Zz qq xx Ij kl mn op")
    hit.get_by_text("Whole passage").click()
    expect(hit.locator(".whole mark.sentence")).to_have_text("Zz qq xx")
    expect(page.locator("#base mark.sentence")).to_have_count(0)
    asked = [one for one in tab.requests if "/api/sentence" in one]
    assert sorted(one.split("id=")[1] for one in asked) == ["gimp", "luks"]  # the others are single sentences


def test_what_is_out_of_sight_is_not_asked_for(tab: Any, address: str) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 200})
    tab.page.goto(f"{address}?q=zz qq xx")
    tab.page.wait_for_load_state("networkidle")
    assert [one for one in tab.requests if "/api/sentence" in one] == []


def test_languages_are_named_where_there_are_several(tab: Any, address: str, plain_address: str) -> None:
    tab.page.goto(f"{address}?q=chess")
    expect(tab.page.locator("#tuned .hit[data-id=shakhy] .meta")).to_contain_text("Ukrainian")
    tab.page.goto(f"{plain_address}?q=chess")
    expect(tab.page.locator(".hit").first).to_be_visible()
    expect(tab.page.locator(".hit .meta").filter(has_text="English")).to_have_count(0)


def test_addresses_of_web_pages_are_links_and_no_filter(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=chess")
    link = tab.page.locator("#tuned .hit[data-id=gimp] .meta a")
    expect(link).to_have_attribute("href", "https://www.gimp.org/a?b=1&c=2")
    expect(link).to_have_attribute("rel", "noopener")
    expect(link).to_have_text("gimp.org/a?b=1&c=2")
    texts = "label => [...label.childNodes].filter(one => one.nodeType == 3).map(one => one.data.trim()).join('')"
    names = tab.page.locator(".options label").evaluate_all(f"labels => labels.map({texts})")
    assert names == ["language", "section", "filter", "show", "also match words"]
    expect(tab.page.get_by_placeholder("section=…")).to_have_count(1)


# -- the query


def test_an_empty_box_offers_five_queries_of_each_language(tab: Any, address: str) -> None:
    page = tab.page
    offered = {"Ukrainian": 5, "Arabic": 1}  # of seven and of one
    page.goto(address)
    for language, number in offered.items():
        expect(page.get_by_role("navigation", name=f"Examples in {language}").get_by_role("link")).to_have_count(number)
    page.goto(f"{address}?q=chess")
    expect(page.locator("#examples a").first).to_be_hidden()
    page.locator("#q").fill("")
    expect(page.locator("#examples a")).to_have_count(6)
    expect(page.locator("#examples a").first).to_be_visible()


def test_a_query_is_shared_by_its_address(tab: Any, address: str, chromium: Any) -> None:
    page = tab.page
    page.goto(address)
    page.locator("#q").fill("play chess")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#tuned .hit")).to_have_count(6)
    assert page.url == f"{address}?q=play+chess"  # what is empty or as usual is not in it
    found = ids(tab, "tuned")
    elsewhere = chromium.new_page()
    elsewhere.goto(page.url)
    assert elsewhere.locator("#tuned .hit").evaluate_all("hits => hits.map(hit => hit.dataset.id)") == found
    elsewhere.close()


def test_filters_stay_and_are_in_the_address(tab: Any, address: str) -> None:
    page = tab.page
    page.goto(f"{address}?q=chess")
    page.get_by_text("Options").click()
    page.get_by_role("combobox", name="language").select_option("language=uk")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#tuned .hit")).to_have_count(1)
    assert ids(tab, "tuned") == ids(tab, "base") == ["shakhy"]
    assert page.url == f"{address}?q=chess&filter=language%3Duk"
    expect(page.get_by_role("combobox", name="language")).to_be_visible()  # unfolded, as it is in use


def test_what_was_wrong_is_said_on_the_page(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=x&filter=nothing")
    expect(tab.page.get_by_role("alert")).to_contain_text("write FIELD=VALUE")
    assert "400" in tab.complaints.pop()  # the console notes the status


def test_without_javascript(address: str, chromium: Any) -> None:
    context = chromium.new_context(viewport=PHONE, java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.locator("#q").fill("photos")
    page.get_by_role("button", name="Search").click()
    hit = page.locator("#tuned .hit[data-id=gimp]")
    hit.get_by_text("Whole passage").click()
    expect(hit.locator(".whole")).to_have_text(LONG)
    page.get_by_role("link", name="Before").click()
    expect(page.locator("#base .hit").first).to_be_visible()
    expect(page.locator("#tuned")).to_be_hidden()
    context.close()


# -- for everybody


def test_nothing_comes_from_elsewhere(tab: Any, address: str) -> None:
    tab.page.goto(f"{address}?q=zz qq xx")
    expect(tab.page.locator("mark.sentence").first).to_be_attached()
    assert len(tab.requests) >= 4
    assert [one for one in tab.requests if not one.startswith((address, "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_axe_finds_nothing(tab: Any, address: str, plain_address: str, size: Any, scheme: Any) -> None:
    tab.page.set_viewport_size(size)
    tab.page.emulate_media(color_scheme=scheme)
    for place in (address, f"{address}?q=гра в шахи", f"{address}?q=كتاب&hybrid=on", f"{plain_address}?q=chess"):
        tab.page.goto(place)
        tab.page.wait_for_load_state("networkidle")
        for fold in tab.page.locator("summary").all():
            if fold.is_visible():
                fold.click()
        tab.assert_accessible()


@pytest.mark.parametrize("width", [320, 390, 500, 768, 1200])
def test_nothing_sticks_out(tab: Any, address: str, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 900})
    for path in ("", "?q=chess", "?q=chess#base", "?q=x&filter=section=none"):
        tab.page.goto(address + path)
        assert tab.width_of_content() <= width
    tab.page.goto(f"{address}?q=لعبة الشطرنج&hybrid=on")
    tab.picture(ARTIFACTS / f"search-page-{width}.png")


def test_dark(tab: Any, address: str) -> None:
    tab.page.emulate_media(color_scheme="dark")
    tab.page.goto(f"{address}?q=chess")
    expect(tab.page.locator("body")).to_have_css("background-color", "rgb(20, 23, 27)")
    tab.picture(ARTIFACTS / "search-page-dark.png")
