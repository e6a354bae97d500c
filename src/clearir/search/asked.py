"""A request for passages, out of an address or out of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clearir.errors import InputError

_ON = ("on", "1", "true", "yes")
_KEYS = ("query", "queries", "k", "hybrid", "filters")
_EXAMPLE = 'send {"queries": ["..."], "k": 10}'


@dataclass(frozen=True)
class Asked:
    """What is asked for. ``queries`` is empty where nothing is yet."""

    queries: list[str] = field(default_factory=list)
    k: int = 10
    hybrid: bool = False
    filters: list[str] = field(default_factory=list)

    @classmethod
    def from_parameters(cls, pairs: Iterable[tuple[str, str]]) -> Asked:
        """Out of ``q=...&k=10&hybrid=on&filter=language=fi``; what is empty is not asked for.

        Raises:
            InputError: ``k`` is no number.
        """
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            if value.strip():
                given.setdefault(name, []).append(value)
        k = given.get("k", ["10"])[-1].strip()
        if not k.isascii() or not k.isdigit() or len(k) > 9:
            raise InputError(f"k is {k[:20]!r}; write a whole number")
        hybrid = given.get("hybrid", [""])[-1].casefold() in _ON
        return cls(given.get("q", []), int(k), hybrid, given.get("filter", []))

    @classmethod
    def from_json(cls, body: bytes) -> Asked:
        """Out of ``{"queries": [...], "k": 10, "hybrid": false, "filters": [...]}``, or ``"query"`` for one alone.

        Raises:
            InputError: it is something else.
        """
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise InputError(f"the body is not JSON; {_EXAMPLE}") from None
        if not isinstance(content, dict):
            raise InputError(f"the body is no JSON object; {_EXAMPLE}")
        unknown = [key for key in content if key not in _KEYS]
        if unknown:
            raise InputError(f"unknown key {unknown[0][:60]!r}; the keys are {', '.join(_KEYS)}")
        queries = content.get("queries", [content["query"]] if "query" in content else [])
        k, hybrid, filters = content.get("k", 10), content.get("hybrid", False), content.get("filters", [])
        if not _are_texts(queries) or not _are_texts(filters):
            raise InputError(f"queries and filters are lists of texts; {_EXAMPLE}")
        if type(k) is not int or type(hybrid) is not bool:
            raise InputError(f"k is a whole number, hybrid is true or false; {_EXAMPLE}")
        return cls([whole(one) for one in queries], k, hybrid, [whole(one) for one in filters])


def whole(text: str) -> str:
    """A text without half characters, which JSON and command lines can hold but no answer can."""
    return text.encode("utf-8", "replace").decode()


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
