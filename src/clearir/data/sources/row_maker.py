"""Records of somebody's table -> `Row`s."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources import headers
from clearir.data.sources.checks import BadRowError, OnBad, Skipped, identifier, is_nothing, language, text, usable
from clearir.data.sources.headers import Header
from clearir.data.sources.textfiles import CONTROLS
from clearir.support import languages

_Record = Mapping[str, Any]
_Located = tuple[str, _Record | BadRowError]
_Part = tuple[_Record, Mapping[str, tuple[str, ...]], str | None]  # record, field -> columns, the columns' language

logger = logging.getLogger(__name__)


class RowMaker:
    """Makes rows of a table's records.

    Args:
        columns: our name -> theirs, for columns with names that are not known anyway. Ours are those of `Row`,
            ``negative_1``, ``target_negative_1`` and so on for negatives that have a column each, and
            ``target_query_es`` for target queries that have a column for each language; ``target_query: [es, sw]``
            names several of these at once.
        language: language of the target queries, where the table has no column that says so.
        bridge: language of queries and passages, where the table has no column that says so.
        max_negatives: keep so many negatives of a row at most.
        keep_open: where each language has a column, make a row of an empty cell too, to be translated.

    Raises:
        InputError: a name in ``columns`` that is not ours, or an unknown language.
    """

    def __init__(
        self,
        columns: headers.Mapped | None = None,
        language: str | None = None,
        bridge: str = "en",
        max_negatives: int | None = None,
        keep_open: bool = False,
    ) -> None:
        self._columns = headers.one_each(columns or {})
        self._keep_open = keep_open
        self._language = None if language is None else languages.normalise(language)
        self._bridge = languages.normalise(bridge)
        self._max_negatives = max_negatives
        self._headers: dict[tuple[str, ...], Header] = {}
        self._said: set[str] = set()
        self._numbers: Counter[str] = Counter()  # column -> numbers that were read as text
        self._open: Counter[str] = Counter()  # language -> empty cells of its column
        self._named: dict[str, str] = {}  # name of a language -> code that it was read as

    def header(self, present: Sequence[str], place: str, source: object) -> Header:
        """What the columns ``present`` are; what had to be assumed is logged once a source.

        Raises:
            BadRowError: columns are missing, or several may be the same field.
        """
        key = tuple(present)
        if key not in self._headers:
            self._headers[key] = found = headers.find(key, self._columns, self._bridge, place)
            for note in dict.fromkeys(f"{source}: {note}" for note in found.notes):
                if note not in self._said:
                    self._said.add(note)
                    logger.warning("%s", note)
        return self._headers[key]

    def rows(
        self, records: Iterable[_Located], source: object, on_bad: OnBad, skipped: Skipped | None
    ) -> Iterator[Row]:
        """The rows of some records, one a record, or one a language where each has a column of its own.

        Args:
            records: pairs of place and record, or of place and what is wrong there.
            source: what to call the data in messages.
            on_bad: see `clearir.data.sources.checks.usable`.
            skipped: see there.

        Raises:
            InputError: a bad row, or no good one.
        """
        yield from usable(self._parts(records, source), self._row, source, on_bad, skipped)
        if self._open:
            shown = ", ".join(f"{languages.name(code)} ({code}) {count:,}" for code, count in self._open.items())
            logger.warning(
                "%s: rows without a translation are left out: %s; to translate them, add translate: to the recipe, or "
                "run clearir translate",
                source,
                shown,
            )
            if skipped is not None:
                skipped["no translation"] += self._open.total()
            self._open.clear()
        for what, found in (
            ("numbers in columns of texts are read as text", self._numbers),
            ("names of languages are read as codes", self._named),
        ):
            if found:
                shown = ", ".join(f"{name!r} ({value})" for name, value in found.items())
                logger.warning("%s: %s: %s", source, what, shown)
            found.clear()

    def _parts(self, records: Iterable[_Located], source: object) -> Iterator[tuple[str, _Part | BadRowError]]:
        for place, record in records:
            if isinstance(record, BadRowError):
                yield place, record
                continue
            try:
                header = self.header(tuple(record), place, source)
            except BadRowError as bad:
                yield place, bad
                continue
            filled = {
                code: own
                for code, own in header.by_language.items()
                if self._keep_open or any(not is_nothing(record.get(column)) for column in own.values())
            }
            if filled:
                self._open.update(code for code in header.by_language if code not in filled)
            for code, own in filled.items():
                yield place, (record, {**header.fields, **{name: (column,) for name, column in own.items()}}, code)
            if not filled:
                yield place, (record, header.fields, None)

    def _row(self, place: str, part: _Part) -> Row:
        record, columns, code = part

        def cell(field: str) -> tuple[Any, str, str]:
            column = columns[field][0] if field in columns else field
            return record.get(column) if field in columns else None, place, column

        target_query = self._text_or_none(*cell("target_query"))
        target_passage = self._text_or_none(*cell("target_passage"))
        bridge = self._code(cell("bridge")[0], place) or self._bridge
        code = code or self._code(cell("language")[0], place)
        return Row(
            query=self._text(*cell("query")),
            passage=self._text(*cell("passage")),
            target_query=target_query,
            language=self._target(code, place, bridge, target_query or target_passage),
            negatives=self._negatives(place, record, columns.get("negatives", ())),
            target_negatives=self._negatives(place, record, columns.get("target_negatives", ())),
            target_passage=target_passage,
            passage_id=_identifier(*cell("passage_id")),
            query_id=_identifier(*cell("query_id")),
            bridge=bridge,
            page_id=_identifier(*cell("page_id")),
        )

    def _code(self, value: Any, place: str) -> str | None:
        """The language that a cell names, if it names one."""
        if is_nothing(value):
            return None
        code = language(value, place)
        if isinstance(value, str) and headers.code_of(value) is None:
            self._named[value.strip()] = code
        return code

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

    def _negatives(self, place: str, record: _Record, columns: Sequence[str]) -> tuple[str, ...]:
        texts: list[str] = []
        for column in columns:
            value = record.get(column)
            values = value if isinstance(value, list | tuple) else [value]
            texts += [self._text(one, place, column) for one in values if not is_nothing(one)]
        return tuple(texts[: self._max_negatives])

    def _text(self, value: Any, place: str, column: str) -> str:
        """Text, or a number as one; without control characters that are no text, but left by a wrong conversion."""
        if _is_number(value):
            self._numbers[column] += 1
            value = _as_text(value)
        found = text(value, place, column)
        if control := CONTROLS.search(found):
            reason = f"column {column!r} holds the control character U+{ord(control[0]):04X}"
            fix = "text that Windows saved was read as Latin-1: convert it again (iconv -f cp1252 -t utf-8 OLD > NEW)"
            raise BadRowError(place, reason, fix)
        return found

    def _text_or_none(self, value: Any, place: str, column: str) -> str | None:
        return None if is_nothing(value) else self._text(value, place, column)


def _identifier(value: Any, place: str, column: str) -> str | None:
    return identifier(_as_text(value) if _is_number(value) else value, place, column)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value)


def _as_text(number: float | Decimal) -> str:
    """``7`` of 7.0 too: pandas and Excel have no other numbers."""
    return str(int(number)) if number == int(number) else str(number)
