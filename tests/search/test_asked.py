from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearir.errors import InputError
from clearir.search.asked import Asked


def test_parameters():
    pairs = [
        ("q", "гра"),
        ("k", "5"),
        ("hybrid", "on"),
        ("filter", "a=b"),
        ("filter", ""),
        ("filter", "c>1"),
        ("x", "y"),
    ]
    assert Asked.from_parameters(pairs) == Asked(["гра"], 5, True, ["a=b", "c>1"])
    assert Asked.from_parameters([("q", " "), ("k", "")]) == Asked([], 10, False, [])


def test_half_characters_are_replaced():
    assert Asked.from_json(rb'{"query": "a\ud800", "filters": ["x=\udfff"]}') == Asked(["a?"], 10, False, ["x=?"])


@pytest.mark.parametrize("k", ["ten", "-1", "1.5", "1e3", "٣", "9" * 400])
def test_a_k_that_is_no_number(k):
    with pytest.raises(InputError, match="write a whole number"):
        Asked.from_parameters([("q", "x"), ("k", k)])


def test_json():
    assert Asked.from_json(b'{"query": "x"}') == Asked(["x"], 10, False, [])
    body = {"queries": ["x", "y"], "k": 3, "hybrid": True, "filters": ["a=b"]}
    assert Asked.from_json(json.dumps(body).encode()) == Asked(["x", "y"], 3, True, ["a=b"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
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
