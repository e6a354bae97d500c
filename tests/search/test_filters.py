from __future__ import annotations

import pytest

from clearir.search.filters import condition, parse
from clearir.search.store import Field
from clearir.support.errors import InputError

pytest.importorskip("lancedb", reason="the extra search is not installed")

FIELDS = (
    Field("section", "section", "text"),
    Field("size", "size", "integer"),
    Field("price", "price", "number"),
    Field("free", "free", "boolean"),
    Field("my field", "my_field", "text"),
)
KNOWN = {field.name: field for field in FIELDS}


@pytest.mark.parametrize(
    ("text", "name", "sign", "value"),
    [
        ("section=games", "section", "=", "games"),
        (" section = games ", "section", "=", "games"),
        ("section=a=b", "section", "=", "a=b"),
        ("section=", "section", "=", ""),
        ("size>=20", "size", ">=", 20),
        ("size<-3", "size", "<", -3),
        ("price<=0.5", "price", "<=", 0.5),
        ("free=TRUE", "free", "=", True),
        ("my field=x", "my field", "=", "x"),
    ],
)
def test_filters_are_read(text, name, sign, value):
    assert parse(text, KNOWN) == (KNOWN[name], sign, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("games", "write FIELD=VALUE"),
        ("=games", "write FIELD=VALUE"),
        ("sektion=games", "did you mean 'section'"),
        ("vector=1", "The fields are section, size"),
        ("size=many", "size holds numbers"),
        ("size=nan", "size holds numbers"),
        ("size=1e400", "size holds numbers"),
        ("free=yes", "free is true or false"),
        ("1=1 OR section=games", "no field '1'"),
        ("section) OR (1=1", "no field 'section) OR (1'"),
    ],
)
def test_filters_that_cannot_be_used(text, words):
    with pytest.raises(InputError) as caught:
        parse(text, KNOWN)
    assert words in str(caught.value)


def test_values_stay_values():
    sql = condition(["section=x' OR '1'='1", "size>3", "section=y"], FIELDS).to_sql()
    assert sql == "((`size` > 3) AND section IN ('x'' OR ''1''=''1', 'y'))"


def test_no_filter_is_no_condition():
    assert condition([], FIELDS) is None


def test_too_many_filters():
    with pytest.raises(InputError, match="33 filters"):
        condition(["size=1"] * 33, FIELDS)
