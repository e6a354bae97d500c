from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import Any

import pytest

from clearir.models.reranker import Reranking
from clearir.search.limits import GUESSES, Limits
from clearir.search.query import Searcher
from clearir.settings import SearchExample
from clearir.support.errors import InputError

pytest.importorskip("lancedb", reason="the extra search is not installed")
pytest.importorskip("starlette", reason="the extra ui is not installed")

from starlette.testclient import TestClient

from clearir.search.api import Service, make_app

NO_RATE = Limits(rate=0, characters=50, k=20, batch=3, body=2000)


def client(*searchers: Searcher, **options: Any) -> TestClient:
    options = {"limits": NO_RATE, **options}
    service = Service(*searchers, **options)
    return TestClient(make_app(service), base_url="http://127.0.0.1:8321", follow_redirects=False)


@pytest.fixture(scope="module")
def searcher(index_path) -> Searcher:
    return Searcher.open(index_path)


@pytest.fixture(scope="module")
def base(other_index_path) -> Searcher:
    return Searcher.open(other_index_path)


@pytest.fixture(scope="module")
def one(searcher) -> TestClient:
    return client(searcher)


@pytest.fixture(scope="module")
def two(searcher, base) -> TestClient:
    return client(
        searcher,
        base,
        examples=[SearchExample(language="uk", query="гра в шахи"), SearchExample(language="ar", query="لعبة")],
    )


# -- JSON


def test_a_search_by_address_and_by_json_is_the_same(one, searcher):
    ids = [hit.id for hit in searcher.search("play chess", 3, filters=["language=en"])]
    by_address = one.get("/api/search", params={"q": "play chess", "k": 3, "filter": "language=en"}).json()
    body = {"query": "play chess", "k": 3, "filters": ["language=en"]}
    by_json = one.post("/api/search", json=body).json()
    assert by_address["results"] == by_json["results"]
    [found] = by_json["results"]
    assert found["query"] == "play chess"
    assert [hit["id"] for hit in found["hits"]] == ids
    assert by_json["seconds"] > 0


def test_several_queries(one):
    found = one.post("/api/search", json={"queries": ["a", "b"], "hybrid": True}).json()["results"]
    assert [result["query"] for result in found] == ["a", "b"]


def test_two_models(two):
    [found] = two.post("/api/search", json={"query": "play chess", "k": 2}).json()["results"]
    assert [len(found[side]) for side in ("base", "tuned")] == [2, 2]
    assert {"rank", "score", "other"} <= set(found["tuned"][0])


def test_what_the_index_is_of_without_paths(two, index_path):
    answer = two.get("/api/info")
    info = answer.json()
    assert info["index"]["passages"] == 6
    assert info["base"]["max_seq_length"] == 4
    assert info["limits"]["batch"] == 3
    assert str(index_path.parent) not in answer.text
    assert info["index"]["model"].count("/") == 1


def test_token_vectors_of_a_model_of_late_interaction(searcher, late_index_path):
    late = Searcher.open(late_index_path)
    asking = client(late, searcher)
    [found] = asking.post("/api/search", json={"query": "play chess", "filters": ["language=en"]}).json()["results"]
    hits = late.search("play chess", filters=["language=en"])
    assert [(hit["id"], hit["score"]) for hit in found["tuned"]] == [(hit.id, round(hit.score, 4)) for hit in hits]
    info = asking.get("/api/info").json()
    assert (info["index"]["tokens"], info["base"]["tokens"]) == (late.info.tokens, None)
    assert "128 dimensions per token" in asking.get("/", params={"q": "play chess", "hybrid": "on"}).text
    assert asking.get("/api/sentence", params={"q": "play chess", "id": "chess"}).status_code == 200


def test_reranked_hits_say_so(index_path, one, overlap, tmp_path):
    reranking = Reranking(overlap, str(tmp_path / "runs" / "judge"), 4)
    asked = client(Searcher.open(index_path, rerank=reranking))
    [found] = asked.get("/api/search", params={"q": "edit text", "k": 6}).json()["results"]
    scores = [hit["rerank_score"] for hit in found["hits"]]
    assert scores[4:] == [None, None]
    assert scores[:4] == sorted(scores[:4], reverse=True)
    info = asked.get("/api/info")
    assert info.json()["rerank"] == {"model": "runs/judge", "top": 4, "first_weight": 0}
    page = asked.get("/", params={"q": "edit text"}).text
    assert "first 4 reranked" in page
    assert 'title="reranker 1.980, score ' in page
    for text in (info.text, page):
        assert str(tmp_path) not in text
    weighed = client(Searcher.open(index_path, rerank=Reranking(overlap, "judge", 4, 2.5)))
    assert "passages reranked by judge with 2.5 × the model" in weighed.get("/", params={"q": "edit text"}).text
    assert one.get("/api/info").json()["rerank"] is None
    assert "rerank" not in one.get("/", params={"q": "edit text"}).text


def test_the_closest_sentence_of_a_passage(tiny_model_path, tmp_path):
    from clearir.data.passages import Corpus, Passage
    from clearir.search.index import build_index

    passages = (Passage("a", "Ab cd ef gh\u202e\nZz qq xx\nIj kl mn op"), Passage("b", "One alone"))
    build_index(Corpus("c", passages), str(tiny_model_path), tmp_path / "i", cache=tmp_path / "c")
    asking = client(Searcher.open(tmp_path / "i"))
    answer = asking.get("/api/sentence", params={"q": "zz qq xx", "id": "a"}).json()
    assert answer.pop("seconds") >= 0
    assert answer == {"sentence": "Zz qq xx", "before": "Ab cd ef gh ", "shown": "Zz qq xx", "after": " Ij kl mn op"}
    for unknown in ("b", "nowhere"):
        assert asking.get("/api/sentence", params={"q": "x", "id": unknown}).json()["sentence"] is None
    for bad in ("", "?q=x", "?id=a", "?q=%00&id=a", f"?q={'x' * 51}&id=a"):
        assert asking.get(f"/api/sentence{bad}").status_code == 400
    assert asking.get("/api/sentence", params={"q": "x", "id": "\0"}).status_code == 200


def test_sentences_count_as_queries(searcher):
    asking = client(searcher, limits=Limits(rate=1, burst=2))
    asked = {"q": "x", "id": "vim"}
    assert [asking.get("/api/sentence", params=asked).status_code for _ in range(3)] == [200, 200, 429]


def test_health(one):
    assert one.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (("GET", "/api/search"), 400, "no query"),
        (("GET", "/api/search?q=x&k=0"), 400, "k is 0"),
        (("GET", "/api/search?q=x&k=21"), 400, "ask for 1 to 20"),
        (("GET", "/api/search?q=x&k=ten"), 400, "write a whole number"),
        (("GET", "/api/search?q=x&k=-1"), 400, "k is -1; ask for 1 to 20 passages"),
        (("GET", "/api/search?q=%ff%fe"), 400, "the address is not UTF-8"),
        (("GET", "/api/search?q=a%00b"), 400, "the query holds NUL"),
        (("GET", "/api/search?q=x&filter=section%3Da%00"), 400, "the filter holds NUL"),
        (("GET", "/api/search?q=x&hybrid=maybe"), 400, "write on or off"),
        (("POST", "/api/search", b'{"query": "x", "k": -1}'), 400, "k is -1; ask for 1 to 20 passages"),
        (("POST", "/api/search", b'{"query": "caf\xe9"}'), 400, "the body is not UTF-8"),
        (("POST", "/api/search", rb'{"query": "a\u0000"}'), 400, "the query holds NUL"),
        (("POST", "/api/search", rb'{"query": "x\ud800"}'), 400, "the query holds half a character"),
        (("POST", "/api/search", rb'{"query": "x", "filters": ["section=\ud800"]}'), 400, "the filter holds half"),
        (("GET", "/api/search?q=x&filter=nothing"), 400, "write FIELD=VALUE"),
        (("GET", "/api/search?q=x&filter=size%3Dbig"), 400, "size holds numbers"),
        (("GET", "/api/search?q=x&filter=vector%3D1"), 400, "no field 'vector'"),
        (("GET", "/api/search?" + "&".join(["q=x"] * 4)), 400, "at most 3 at once"),
        (("GET", "/api/search?q=" + 51 * "x"), 400, "a query of 51 characters"),
        (("POST", "/api/search", b"{"), 400, "not JSON"),
        (("POST", "/api/search", b'{"query": " "}'), 400, "the query is empty"),
        (("POST", "/api/search", b'{"query": "x", "K": 3}'), 400, "unknown key 'K'"),
        (("POST", "/api/search", b'{"query": "' + 2000 * b"x" + b'"}'), 413, "more than 2,000 bytes"),
        (("PUT", "/api/search"), 405, "PUT is not supported here"),
        (("GET", "/api/nothing"), 404, "there is nothing here"),
    ],
)
def test_bad_requests_get_a_reason(one, request_, status, words):
    method, path, *body = request_
    answer = one.request(method, path, content=body[0] if body else None)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize("address", ["/?q=%ff", "/?q=a%00", "/?q=x&k=-1", "/?q=x&hybrid=maybe"])
def test_the_page_says_what_is_wrong_with_an_address(one, address):
    answer = one.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert any(words in answer.text for words in ("not UTF-8", "holds NUL", "k is -1", "write on or off"))


# -- who may ask


def test_too_many_queries_have_to_wait(searcher):
    asking = client(searcher, limits=Limits(rate=0.1, burst=3))  # one more after ten seconds
    statuses = [asking.get("/api/search?q=x").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = asking.post("/api/search", json={"queries": ["a", "b", "c"]})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert "try again in" in refused.json()["error"]
    assert asking.get("/healthz").status_code == 200


def test_only_by_its_own_name(one, searcher):
    assert one.get("/", headers={"Host": "attacker.example"}).status_code == 400
    assert one.get("/", headers={"Host": "localhost:8321"}).status_code == 200
    assert one.get("/", headers={"Host": "[::1]:8321"}).status_code == 200
    assert client(searcher, hosts=None).get("/", headers={"Host": "search.example"}).status_code == 200


def test_a_token_is_asked_for(searcher):
    asking = client(searcher, token="open sesame")
    for path in ("/", "/?q=chess", "/api/search?q=chess", "/api/info", "/nothing"):
        answer = asking.get(path)
        assert answer.status_code == 401
        assert "chess" not in answer.text.replace("q=chess", "")
        assert "passages" not in answer.text
    assert asking.get("/healthz").status_code == 200
    for header in ("Bearer open sesame", "bearer  open sesame"):
        assert asking.get("/api/search?q=x", headers={"Authorization": header}).status_code == 200
    for header in ("Bearer open", "Basic open sesame", "open sesame", "Bearer öffne"):
        headers = {"Authorization": header.encode()}
        assert asking.get("/api/search?q=x", headers=headers).status_code == 401


def test_the_page_keeps_the_token_in_a_cookie(searcher):
    asking = client(searcher, token="open sesame")
    assert asking.post("/token", data={"token": "wrong"}).status_code == 401
    answer = asking.post("/token", data={"token": "open sesame"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "sesame" not in cookie
    assert asking.get("/?q=chess").status_code == 200


@pytest.mark.parametrize("rate", [0, 1000])
def test_guessing_the_token_is_slow_whatever_the_rate_of_queries(searcher, rate, monkeypatch):
    # six at once, as ever, but slower after that: nothing comes back while this test runs
    monkeypatch.setattr("clearir.search.api.GUESSES", replace(GUESSES, rate=0.01))
    asking = client(searcher, token="open sesame", limits=Limits(rate=rate))
    wrong, right = ({"Authorization": f"Bearer {token}"} for token in ("open", "open sesame"))
    for _ in range(20):  # with the right token there is no limit but the rate
        assert asking.get("/api/info", headers=right).status_code == 200
    statuses = [asking.get("/api/info", headers=wrong).status_code for _ in range(7)]
    assert statuses == [401] * 6 + [429]
    refused = asking.get("/api/info", headers=right)  # a guess, too
    assert refused.status_code == 429
    assert 90 <= int(refused.headers["Retry-After"]) <= 100
    assert asking.post("/token", data={"token": "open sesame"}).status_code == 429
    assert asking.get("/api/info").status_code == 401  # no token is no guess
    assert asking.get("/healthz").status_code == 200


def test_every_answer_forbids_the_browser_what_it_does_not_need(one):
    for path in ("/", "/?q=x", "/?q=x&k=0", "/nothing", "/api/info", "/static/page.css"):
        headers = one.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"


# -- the page


def test_the_start_shows_examples_and_filters(two):
    page = two.get("/").text
    assert '<bdi lang="ar">لعبة</bdi>' in page
    assert "Ukrainian" in page
    assert 'value="section=games"' in page
    assert "games (3)" in page
    assert "Finnish (1)" in page
    assert "by_hand" not in page


def test_results_stand_beside_each_other(two, base, searcher):
    page = two.get("/", params={"q": "play chess", "k": 5}).text
    sides = {
        name: re.search(rf'<section class="side" id="{name}".*?</section>', page, re.S) for name in ("base", "tuned")
    }
    for name, one in (("base", base), ("tuned", searcher)):
        assert sides[name] is not None
        ids = re.findall(r'data-id="([^"]*)"', sides[name][0])
        assert ids == [hit.id for hit in one.search("play chess", 5)]
    assert re.search(r'class="move (up|down|same)"', page)
    assert page.count('dir="auto"') > 20
    assert re.search(r"The same 5 results as before training|of 5 results (is|are) new after training", page)


def test_one_model_has_one_list(one):
    page = one.get("/", params={"q": "гра", "hybrid": "on"}).text
    assert 'id="hits"' in page
    assert 'id="base"' not in page
    assert "by words: place 1" in page
    assert "checked" in page


def test_what_was_chosen_stays_chosen(one):
    page = one.get("/", params=[("q", "x"), ("k", "20"), ("filter", "section=games"), ("filter", "size>2")]).text
    assert '<option value="section=games" selected>' in page
    assert 'value="size&gt;2"' in page
    assert "<option selected>20</option>" in page


def test_no_result(one):
    assert "No passage matches the filters." in one.get("/?q=x&filter=section%3Dnone").text


def test_a_bad_request_by_the_page_is_explained_on_it(one):
    answer = one.get("/?q=x&filter=nothing")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "write FIELD=VALUE" in answer.text
    assert one.get("/?q=x&k=<b>").status_code == 400
    assert "<b>" not in one.get("/?q=x&k=<b>").text


HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}\u202eevil"""


def test_everything_is_escaped(tiny_model_path, tmp_path):
    from clearir.data.passages import Corpus, Passage
    from clearir.search.index import build_index

    passages = (Passage(HOSTILE, HOSTILE, HOSTILE, "en", {HOSTILE: HOSTILE}), Passage("b", "x", fields={HOSTILE: "y"}))
    build_index(Corpus(HOSTILE, passages), str(tiny_model_path), tmp_path / "i", cache=tmp_path / "c")
    asking = client(
        Searcher.open(tmp_path / "i"),
        examples=[SearchExample(language="en", query=HOSTILE, meaning=HOSTILE, right=HOSTILE)],
        limits=Limits(rate=0),
    )
    for path in ({}, {"q": HOSTILE}, {"q": HOSTILE, "filter": HOSTILE}, {"q": "x", "filter": f"{HOSTILE}={HOSTILE}"}):
        page = asking.get("/", params=path).text
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "49" not in re.sub(r"\d\.\d+", "", page)
        assert "\u202e" not in re.sub(r'="[^"]*"', "", page)  # a value that is sent back stays as it is


def test_a_fault_of_ours_is_no_4xx(searcher, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(Searcher, "search_many", fail)
    service = Service(searcher, limits=NO_RATE)
    asking = TestClient(make_app(service), base_url="http://127.0.0.1", raise_server_exceptions=False)
    answer = asking.get("/api/search?q=x")
    assert answer.status_code == 500
    assert "fire" not in answer.text


# -- what the command line gives it


def test_an_index_that_is_replaced_while_it_is_served(index_path, tmp_path):
    shutil.copytree(index_path, tmp_path / "index")
    served = client(Searcher.open(tmp_path / "index"))
    shutil.rmtree(tmp_path / "index")
    answer = served.get("/api/search?q=chess")
    assert (answer.status_code, "start again" in answer.json()["error"]) == (503, True)
    assert "start again" in served.get("/?q=chess").text


def test_other_machines_need_a_token(monkeypatch):
    from clearir.search.serve import serve

    monkeypatch.delenv("CLEARIR_TOKEN", raising=False)
    with pytest.raises(InputError, match="export CLEARIR_TOKEN"):
        serve("index", address=("0.0.0.0", 8321))


def test_a_port_that_is_taken():
    import socket

    from clearir.search.serve import serve

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="choose another"):
        serve("index", address=taken.getsockname())
