from __future__ import annotations

import contextlib
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearir.search.request import Asked, check_text
from clearir.support.errors import InputError


def test_an_address():
    query = "q=гра&k=5&hybrid=on&filter=a=b&filter=&filter=c%3E1&x=y"
    assert Asked.from_address(query.encode()) == Asked(["гра"], 5, True, ["a=b", "c>1"])
    assert Asked.from_address(quote("гра").join(["q=", "&hybrid=off"]).encode()) == Asked(["гра"], 10, False, [])
    assert Asked.from_address(b"q=+&k=") == Asked([], 10, False, [])
    assert Asked.from_address(b"q=x&k=-1").k == -1  # a number, which the limits refuse
    assert Asked.from_address(b"") == Asked()


@pytest.mark.parametrize("k", ["ten", "1.5", "1e3", "٣", "9" * 400, "--1"])
def test_a_k_that_is_no_number(k):
    with pytest.raises(InputError, match="write a whole number"):
        Asked.from_address(f"q=x&k={k}".encode())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (b"q=%ff%fe", "the address is not UTF-8; write other letters as UTF-8, e.g. q=%C3%A9"),
        (b"q=\xe9", "the address is not UTF-8"),
        (b"q=x&filter=a%3D%e9", "the address is not UTF-8"),
        (b"q=x&hybrid=maybe", "hybrid is 'maybe'; write on or off"),
    ],
)
def test_an_address_that_cannot_be_used(address, words):
    with pytest.raises(InputError) as caught:
        Asked.from_address(address)
    assert words in str(caught.value)


@given(st.binary())
def test_any_address_is_read_or_refused(address):
    with contextlib.suppress(InputError):
        assert isinstance(Asked.from_address(address).queries, list)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a\0b", "holds NUL"), ("a\ud800", "holds half a character"), ("caf\udce9", "holds a byte that is not UTF-8")],
)
def test_what_is_no_character_is_refused(text, words):
    with pytest.raises(InputError, match=f"the query {words}; type it again, as UTF-8"):
        check_text(text, "query")
    check_text("caf\u00e9 \U0001f600\t", "query")


def test_json():
    assert Asked.from_json(b'{"query": "x"}') == Asked(["x"], 10, False, [])
    body = {"queries": ["x", "y"], "k": 3, "hybrid": True, "filters": ["a=b"]}
    assert Asked.from_json(json.dumps(body).encode()) == Asked(["x", "y"], 3, True, ["a=b"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"query": "caf\xe9"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"querys": ["x"]}', "unknown key 'querys'"),
        (b'{"queries": "x"}', "lists of texts"),
        (b'{"queries": [1]}', "lists of texts"),
        (b'{"query": null}', "lists of texts"),
        (b'{"query": "x", "filters": {"a": "b"}}', "lists of texts"),
        (b'{"query": "x", "k": "3"}', "k is a whole number"),
        (b'{"query": "x", "k": true}', "k is a whole number"),
        (b'{"query": "x", "hybrid": 1}', "hybrid is true or false"),
    ],
)
def test_json_that_cannot_be_used(body, words):
    with pytest.raises(InputError) as caught:
        Asked.from_json(body)
    assert words in str(caught.value)


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_any_body_is_read_or_refused(body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        asked = Asked.from_json(raw)
    except InputError:
        return
    assert isinstance(asked.queries, list)
