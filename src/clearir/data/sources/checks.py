"""Rows that cannot be used: an error that says where and what to do, or a count, as the user asks.

Every reader turns what it reads into ``(place, record)`` pairs, hands them to `usable`, and raises `BadRowError` for
what is wrong inside one row. What is wrong with a whole file is a plain `InputError`, whatever the user asks.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from clearir.support import languages
from clearir.support.errors import InputError
from clearir.support.progress import track
from clearir.support.texts import is_blank

T = TypeVar("T")
Made = TypeVar("Made")
OnBad = Literal["error", "skip"]
Skipped = Counter[str]  # reason -> number of rows left out

logger = logging.getLogger(__name__)


class BadRowError(InputError):
    """One row that cannot be used. ``reason`` is what such rows are counted under."""

    def __init__(self, place: str, reason: str, fix: str) -> None:
        super().__init__(f"{place}: {reason}; {fix}")
        self.place, self.reason, self.fix = place, reason, fix

    def or_skip(self) -> BadRowError:
        """The same, told where bad rows can be left out."""
        return BadRowError(self.place, self.reason, f"{self.fix}, or leave such rows out with on_bad=skip")


def usable(
    records: Iterable[tuple[str, T | BadRowError]],
    make: Callable[[str, T], Made],
    source: object,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Made]:
    """Rows of the records, or what else ``make`` makes of them.

    Args:
        records: pairs of place and record, or of place and what is wrong there.
        make: makes a row of place and record, or raises `BadRowError`.
        source: what to call the data in messages.
        on_bad: ``"error"`` stops at the first bad row, ``"skip"`` leaves bad rows out.
        skipped: gets the number of rows left out, by reason; they are logged in any case.

    Raises:
        InputError: a bad row, or no good one.
    """
    check_on_bad(on_bad)
    counts: Skipped = Counter()
    first: BadRowError | None = None
    good = 0
    for place, record in track(records, f"Reading {Path(str(source)).name}"):
        try:
            if isinstance(record, BadRowError):
                raise record
            row = make(place, record)
        except BadRowError as bad:
            if on_bad == "error":
                raise bad.or_skip() from bad
            counts[bad.reason] += 1
            first = first or bad
        else:
            good += 1
            yield row
    if first is not None and not good:
        raise InputError(f"{source}: none of the {counts.total()} rows can be used. The first: {first}") from first
    if not good:
        raise InputError(f"{source}: no rows; check that this is the right file and that it is not empty")
    if counts:
        reasons = ", ".join(f"{reason} ({number})" for reason, number in counts.most_common())
        logger.warning("%s: %d rows left out: %s", source, counts.total(), reasons)
    if skipped is not None:
        skipped.update(counts)


def check_on_bad(on_bad: str) -> None:
    """Refuse what is no `OnBad`.

    Raises:
        InputError: it is none.
    """
    if on_bad not in ("error", "skip"):
        raise InputError(f"on_bad is {on_bad!r}; write 'error' or 'skip'")


def text(value: Any, place: str, column: str) -> str:
    """``value`` if it is a text with something in it.

    Raises:
        BadRowError: it is not.
    """
    if not isinstance(value, str):
        what = "nothing" if is_nothing(value) else f"a value of type {type(value).__name__}"
        raise BadRowError(place, f"column {column!r} holds {what}, not text", _FIX)
    if is_blank(value):
        raise BadRowError(place, f"column {column!r} is empty", _FIX)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRowError(
            place, f"column {column!r} holds half a surrogate pair, which is not a character", _FIX
        ) from error
    return value


_FIX = "correct the cell"


def is_nothing(value: Any) -> bool:
    """Whether a cell says nothing: null, nothing to see (CSV has no other way), or NaN (the null of pandas)."""
    return value is None or (isinstance(value, str) and is_blank(value)) or value != value


def optional_text(value: Any, place: str, column: str) -> str | None:
    """Like `text`, but None for a cell that holds nothing."""
    return None if is_nothing(value) else text(value, place, column)


def identifier(value: Any, place: str, column: str) -> str | None:
    """An id: a text or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return optional_text(value, place, column)


def language(code: Any, place: str) -> str:
    """The one spelling of a language's code, which may be said by its name too.

    Raises:
        BadRowError: there is no such language.
    """
    if code is False:  # what YAML makes of an unquoted no
        code = "no"
    try:
        return languages.normalise(code)
    except InputError as error:
        if isinstance(code, str) and (found := language_named(code)) is not None:
            return found
        reason, _, fix = str(error).partition("; ")
        raise BadRowError(place, reason, fix) from error


@lru_cache(maxsize=4096)
def language_named(text: str) -> str | None:
    """The code of the language that a text names, such as ``Spanish``, ``español`` or ``Spanish (Mexico)``.

    None where it names none, or with something in brackets that is neither a territory nor a script.
    """
    import langcodes

    name, bracket, inside = text.strip().partition("(")
    if not 1 < len(name) < 40 or not text.isprintable() or (bracket and not inside.endswith(")")):
        return None
    try:
        tag = str(langcodes.find(name.strip()))
        if bracket:
            tag += f"-{_subtag(inside[:-1].strip())}"
        return languages.normalise(tag)
    except (LookupError, ValueError):  # InputError is a ValueError
        return None


def _subtag(name: str) -> str:
    """Of a script or a territory, by its English name. Raises LookupError where there is none."""
    import langcodes

    for kind in ("territory", "script"):
        with contextlib.suppress(LookupError):
            found = langcodes.Language.find_name(kind, name, "en")
            return str(found.territory or found.script)
    raise LookupError(name)


def chosen(asked: Iterable[str] | None, found: Iterable[str], source: object) -> list[str]:
    """The languages to read: all that were ``found``, or those ``asked`` for, each of which must be there.

    Raises:
        InputError: one is not there; the message lists those that are.
    """
    there = sorted(set(found))
    if asked is None:
        return there
    codes = list(dict.fromkeys(languages.normalise(code) for code in asked))
    for code in codes:
        if code not in there:
            raise InputError(f"{source}: no language {code!r}; choose from {', '.join(there)}")
    return codes
