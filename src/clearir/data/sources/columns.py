"""Which column of somebody's table is which field of ours, and a record of the table -> `Row`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from clearir.data import languages
from clearir.data.rows import Row
from clearir.data.sources.checks import BadRowError, identifier, is_nothing, language, text
from clearir.data.sources.textfiles import CONTROLS
from clearir.errors import InputError

# Ours first, then the two sets of names that the authors of CLEAR use.
_NAMES: dict[str, tuple[str, ...]] = {
    "query": ("query", "anchor", "en_question"),
    "passage": ("passage", "positive", "paragraphs"),
    "target_query": ("target_query", "cross_anchor", "lang_question"),
    "negatives": ("negatives", "negative"),
    "target_negatives": ("target_negatives",),
    "language": ("language",),
    "target_passage": ("target_passage",),
    "passage_id": ("passage_id",),
    "query_id": ("query_id",),
    "bridge": ("bridge",),
    "page_id": ("page_id",),
}
_NUMBERED = {"negatives": ("negative_", "neg_"), "target_negatives": ("target_negative_", "neg_query_")}
_REQUIRED = ("query", "passage")


class RowMaker:
    """Makes rows of a table's records.

    Args:
        columns: our name -> theirs, for columns with names that are not known anyway. Ours are those of `Row`, and
            ``negative_1``, ``target_negative_1`` and so on for negatives that have a column each.
        language: language of the target queries, where the table has no column that says so.
        bridge: language of queries and passages, where the table has no column that says so.
        max_negatives: keep so many negatives of a row at most.

    Raises:
        InputError: a name in ``columns`` that is not ours, or an unknown language.
    """

    def __init__(
        self,
        columns: Mapping[str, str] | None = None,
        language: str | None = None,
        bridge: str = "en",
        max_negatives: int | None = None,
    ) -> None:
        self._columns = dict(columns or {})
        for ours in self._columns:
            if ours not in _NAMES and _number(ours) is None:
                known = ", ".join([*_NAMES, "negative_1", "target_negative_1"])
                raise InputError(f"columns: {ours!r} is not a name of ours; write one of {known}")
        self._language = None if language is None else languages.normalise(language)
        self._bridge = languages.normalise(bridge)
        self._max_negatives = max_negatives
        self._found: dict[tuple[str, ...], dict[str, list[str]]] = {}

    def find(self, present: Sequence[str], place: str) -> dict[str, list[str]]:
        """The columns of each field that a table with the columns ``present`` has.

        Raises:
            BadRowError: one that is needed is missing; the message lists those present and the likeliest.
        """
        key = tuple(present)
        if key not in self._found:
            self._found[key] = self._find(key, place)
        return self._found[key]

    def __call__(self, place: str, record: Mapping[str, Any]) -> Row:
        """The record as a row.

        Raises:
            BadRowError: something is wrong with it.
        """
        found = self.find(tuple(record), place)

        def cell(field: str) -> tuple[Any, str, str]:
            column = found[field][0] if field in found else field
            return record.get(column), place, column

        target_query = _readable_or_none(*cell("target_query"))
        target_passage = _readable_or_none(*cell("target_passage"))
        bridge = self._code(cell("bridge")[0], place) or self._bridge
        return Row(
            query=_readable(*cell("query")),
            passage=_readable(*cell("passage")),
            target_query=target_query,
            language=self._target(
                self._code(cell("language")[0], place), place, bridge, target_query or target_passage
            ),
            negatives=self._negatives(place, record, found.get("negatives", [])),
            target_negatives=self._negatives(place, record, found.get("target_negatives", [])),
            target_passage=target_passage,
            passage_id=identifier(*cell("passage_id")),
            query_id=identifier(*cell("query_id")),
            bridge=bridge,
            page_id=identifier(*cell("page_id")),
        )

    def _code(self, value: Any, place: str) -> str | None:
        """The language that a cell names, if it names one."""
        return None if is_nothing(value) else language(value, place)

    def _target(self, code: str | None, place: str, bridge: str, target: str | None) -> str | None:
        """The target language of a row.

        A row without a target text keeps the language that it names, which is the one to translate it into; the
        language of the whole table is that of the target texts.
        """
        if target is None:
            return None if code == bridge else code
        code = code or self._language
        if code is None:
            fix = "add a column 'language', or give one language for all (language=sw)"
            raise BadRowError(place, "the language of the target query is not said", fix)
        if code == bridge:
            fix = "'language' is that of the target query; where queries and passages are not English, set bridge"
            raise BadRowError(place, f"the target language {code!r} is the bridge language", fix)
        return code

    def _negatives(self, place: str, record: Mapping[str, Any], columns: list[str]) -> tuple[str, ...]:
        texts: list[str] = []
        for column in columns:
            value = record.get(column)
            values = value if isinstance(value, list | tuple) else [value]
            texts += [_readable(one, place, column) for one in values if not is_nothing(one)]
        return tuple(texts[: self._max_negatives])

    def _find(self, present: tuple[str, ...], place: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for field, names in _NAMES.items():
            if field in self._columns:
                found[field] = [self._checked(field, present, place)]
            elif known := [name for name in names if name in present]:
                found[field] = known[:1]
        for field, prefixes in _NUMBERED.items():
            numbered = self._numbered(field, prefixes, present, place)
            if numbered and field not in self._columns:
                found[field] = numbered
        for field in _REQUIRED:
            if field not in found:
                raise _missing(field, field, present, place)
        return found

    def _numbered(self, field: str, prefixes: tuple[str, ...], present: tuple[str, ...], place: str) -> list[str]:
        """Columns that hold one negative each, in the order of their numbers."""
        by_number = {
            number: column
            for prefix in reversed(prefixes)
            for column in present
            if (number := _ending(column, prefix)) is not None
        }
        for ours in self._columns:
            if (ending := _ending(ours, prefixes[0])) is not None:
                by_number[ending] = self._checked(ours, present, place)
        return [by_number[number] for number in sorted(by_number)]

    def _checked(self, ours: str, present: tuple[str, ...], place: str) -> str:
        theirs = self._columns[ours]
        if theirs not in present:
            raise _missing(ours, theirs, present, place)
        return theirs


def _readable(value: Any, place: str, column: str) -> str:
    """Like `text`, and without the control characters that stand for no text, but for a wrong conversion."""
    found = text(value, place, column)
    if control := CONTROLS.search(found):
        reason = f"column {column!r} holds the control character U+{ord(control[0]):04X}"
        fix = "text that Windows saved was read as Latin-1: convert the file anew (iconv -f cp1252 -t utf-8 OLD > NEW)"
        raise BadRowError(place, reason, fix)
    return found


def _readable_or_none(value: Any, place: str, column: str) -> str | None:
    return None if is_nothing(value) else _readable(value, place, column)


def _missing(ours: str, theirs: str, present: tuple[str, ...], place: str) -> BadRowError:
    wanted = [theirs] if theirs != ours else list(_NAMES.get(ours, (ours,)))
    there = ", ".join(repr(name[:60]) for name in present[:30]) or "none at all"
    near = [close for name in wanted for close in difflib.get_close_matches(name, present, n=1)]
    hint = f"did you mean {near[0]!r}? " if near else ""
    example = near[0] if near else "NAME_OF_THE_COLUMN"
    fix = f"the columns are {there}; {hint}Say which one it is with columns: {{{ours}: {example}}}"
    return BadRowError(place, f"no column {theirs!r}", fix)


def _number(ours: str) -> int | None:
    endings = (_ending(ours, prefixes[0]) for prefixes in _NUMBERED.values())
    return next((ending for ending in endings if ending is not None), None)


def _ending(column: str, prefix: str) -> int | None:
    """7 for ``negative_7``."""
    rest = column.removeprefix(prefix)
    whole = rest != column and rest.isascii() and rest.isdigit() and len(rest) < 6
    return int(rest) if whole else None
