"""Conditions on fields: ``language=fi``, ``year>=2020``.

Conditions on the same field with ``=`` are alternatives, all others must hold together. Names are looked up among the
fields of the index, and values reach the database as typed literals, never as SQL.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from clearir.data.passages import Value
from clearir.search.request import check_text
from clearir.search.store import Field
from clearir.support.errors import InputError

_CONDITION = re.compile(r"\s*(.*?)\s*(>=|<=|=|>|<)(.*)", re.DOTALL)
_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_MOST = 32


def condition(filters: Sequence[str], fields: Iterable[Field]) -> Any:
    """The filters as one expression of LanceDB, None where there are none.

    Raises:
        InputError: a filter cannot be read, names no field, or its value is none of the field's kind.
    """
    from lancedb.expr import col, lit

    if len(filters) > _MOST:
        raise InputError(f"{len(filters)} filters; give at most {_MOST}")
    known = {field.name: field for field in fields}
    equal: dict[str, list[Value]] = {}
    parts: list[Any] = []
    for text in filters:
        check_text(text, "filter")
        field, sign, value = parse(text, known)
        if sign == "=":
            equal.setdefault(field.column, []).append(value)
        else:
            parts.append(_OPERATORS[sign](col(field.column), lit(value)))
    parts += [col(column).isin([lit(value) for value in values]) for column, values in equal.items()]
    return reduce(operator.and_, parts) if parts else None


def parse(text: str, known: dict[str, Field]) -> tuple[Field, str, Value]:
    """``"year>=2020"`` -> the field ``year``, ``">="``, ``2020``.

    Raises:
        InputError: see `condition`.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or not match[1]:
        raise InputError(f"filter {text!r}: write FIELD=VALUE, e.g. language=fi (or <, <=, >, >= for numbers)")
    name, sign, value = match.groups()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"filter {text!r}: no field {name!r}; {hint}The fields are {', '.join(known)}")
    return known[name], sign, _typed(text, known[name], value.strip())


def _typed(text: str, field: Field, value: str) -> Value:
    if field.kind == "text":
        return value
    if field.kind == "boolean":
        if value.casefold() not in ("true", "false"):
            raise InputError(f"filter {text!r}: {field.name} is true or false")
        return value.casefold() == "true"
    try:
        number: int | float = (
            int(value) if field.kind == "integer" and re.fullmatch(r"[+-]?\d+", value) else float(value)
        )
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > 2**63 - 1:
        raise InputError(f"filter {text!r}: {field.name} holds numbers, but {value!r} is not a number")
    return number
