"""A request for passages, out of an address or out of JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from clearir.support.errors import InputError

_ON, _OFF = ("on", "1", "true", "yes"), ("off", "0", "false", "no", "")
_KEYS = ("query", "queries", "k", "hybrid", "filters")
DEFAULT_K = 10
_EXAMPLE = 'send {"queries": ["..."], "k": 10}'


@dataclass(frozen=True)
class Asked:
    """What is asked for. ``queries`` is empty where nothing is yet."""

    queries: list[str] = field(default_factory=list)
    k: int = DEFAULT_K
    hybrid: bool = False
    filters: list[str] = field(default_factory=list)

    @classmethod
    def from_address(cls, query: bytes) -> Asked:
        """Out of ``q=...&k=10&hybrid=on&filter=language=fi``; what is empty is not asked for.

        Raises:
            InputError: it is not UTF-8, ``k`` is no number, or ``hybrid`` neither on nor off.
        """
        try:
            pairs = parse_qsl(query.decode(), errors="strict")
        except UnicodeDecodeError:
            raise InputError("the address is not UTF-8; write other letters as UTF-8, e.g. q=%C3%A9 for é") from None
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if value.strip():
                given.setdefault(name, []).append(value)
        k = given.get("k", [str(DEFAULT_K)])[-1].strip()
        if re.fullmatch(r"[+-]?[0-9]{1,9}", k) is None:
            raise InputError(f"k is {k[:20]!r}; write a whole number, e.g. k=10")
        hybrid = given.get("hybrid", [""])[-1].strip().casefold()
        if hybrid not in (*_ON, *_OFF):
            raise InputError(f"hybrid is {hybrid[:20]!r}; write on or off")
        return cls(given.get("q", []), int(k), hybrid in _ON, given.get("filter", []))

    @classmethod
    def from_json(cls, body: bytes) -> Asked:
        """Out of ``{"queries": [...], "k": 10, "hybrid": false, "filters": [...]}``, or ``"query"`` for one alone.

        Raises:
            InputError: it is something else.
        """
        try:
            content = json.loads(body)
        except UnicodeDecodeError:
            raise InputError(f"the body is not UTF-8; {_EXAMPLE}") from None
        except (ValueError, RecursionError):
            raise InputError(f"the body is not JSON; {_EXAMPLE}") from None
        if not isinstance(content, dict):
            raise InputError(f"the body is not a JSON object; {_EXAMPLE}")
        unknown = [key for key in content if key not in _KEYS]
        if unknown:
            raise InputError(f"unknown key {unknown[0][:60]!r}; the keys are {', '.join(_KEYS)}")
        queries = content.get("queries", [content["query"]] if "query" in content else [])
        k, hybrid, filters = content.get("k", DEFAULT_K), content.get("hybrid", False), content.get("filters", [])
        if not _are_texts(queries) or not _are_texts(filters):
            raise InputError(f"queries and filters are lists of texts; {_EXAMPLE}")
        if type(k) is not int or type(hybrid) is not bool:
            raise InputError(f"k is a whole number, hybrid is true or false; {_EXAMPLE}")
        return cls(queries, k, hybrid, filters)


def check_text(text: str, what: str) -> None:
    """Refuse a text with what is no character: bytes that are no UTF-8, half a surrogate pair, NUL.

    Args:
        text: as a command line, JSON or a program gave it.
        what: it is, for the message.

    Raises:
        InputError: it has such a thing.
    """
    bad = next((one for one in text if one == "\0" or "\ud800" <= one <= "\udfff"), None)
    if bad is not None:
        of_a_byte = "\udc80" <= bad <= "\udcff"  # as Python keeps those that it cannot read
        kind = "NUL" if bad == "\0" else "a byte that is not UTF-8" if of_a_byte else "half a character"
        raise InputError(f"the {what} holds {kind}; type it again, as UTF-8")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
