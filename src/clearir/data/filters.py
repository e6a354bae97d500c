"""Checks of rows: each says keep or gives a reason; the reasons are counted, with examples.

```python
done = filter_rows(rows, FilterSettings(), translated=True)
done.rows, done.dropped["length ratio"].count, done.dropped["length ratio"].examples
```

The defaults were measured on human translations of questions (MLQA dev and AfriQA, 14 languages, 7,000 rows): what a
check drops there it drops wrongly. See docs/data.md.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import regex
from pydantic import Field

from clearir.data.identify import identifier, is_installed
from clearir.data.numbers import missing
from clearir.data.rows import Row
from clearir.data.scripts import share_in_script
from clearir.settings import Settings, Share
from clearir.support.languages import normalise
from clearir.support.progress import track
from clearir.support.texts import is_blank, text_key

Check = Callable[[Row], "str | None"]
Ratio = Annotated[float, Field(gt=0)]

EXAMPLES = 3
# An identifier is surer of a short text being still in the bridge language than of any other mistake.
_UNTRANSLATED = 0.5
# Spanish that is said to be Swahili may as well be Galician or Portuguese, but Swahili it is not.
_UNLIKELY = 0.001

logger = logging.getLogger(__name__)


class FilterSettings(Settings):
    """What a row has to pass.

    Attributes:
        length_ratio: least and most of target query / query in columns of text, a Chinese character being two wide,
            10 added to both so that short texts are not judged by a word. 2 of 7,000 human translations fall outside.
        copied: largest share of the target query's words (of three or more) that may stand in the query. Names and
            loan words make up to 0.6 in human translations.
        script: smallest share of its letters in the target language's own script. Chinese questions full of Latin
            names have 0.22.
        language: identify the language of the target query (extra ``langid``). A text counts as wrong where the
            target language is all but excluded, where the identifier is surer than ``language_confidence`` of
            another, or where it thinks that the text is still in the bridge language. Languages that it does not know
            are tested for the bridge alone. None: if py3langid is installed.
        language_confidence: see ``language``.
        numbers: numbers of two or more digits have to stand in the target query, as digits or as Roman numerals.
            None: only where a machine translated. People write numbers out: 56 of 65 in AfriQA's Twi.
        placeholders: ``{name}``, ``%s``, ``<b>`` and addresses have to stand in the target query as they are.
        ambiguous: drop target queries that stand with several passages and different questions.
    """

    length_ratio: tuple[Ratio, Ratio] = (0.3, 3.0)
    copied: Share = 0.8
    script: Share = 0.2
    language: bool | None = None
    language_confidence: Share = 0.9
    numbers: bool | None = None
    placeholders: bool = True
    ambiguous: bool = True

    @property
    def identifies(self) -> bool:
        """Whether languages are identified, as far as that is known here."""
        return is_installed() if self.language is None else self.language


@dataclass(frozen=True)
class Dropped:
    """Rows dropped for one reason: how many, the first `EXAMPLES` of them, and how many of each language."""

    count: int
    examples: tuple[Row, ...]
    languages: Mapping[str | None, int]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Dropped:
        """What to tell of rows."""
        return cls(len(rows), tuple(rows[:EXAMPLES]), Counter(row.language for row in rows))


@dataclass(frozen=True)
class Filtered:
    """Rows that passed, in order, and those that did not by reason (the most frequent first)."""

    rows: tuple[Row, ...]
    dropped: Mapping[str, Dropped]

    def table(self) -> list[dict[str, Any]]:
        """The reasons as JSON values."""
        return [
            {
                "reason": reason,
                "rows": dropped.count,
                "examples": [
                    {"query": row.query, "target_query": row.target_query, "language": row.language}
                    for row in dropped.examples
                ],
            }
            for reason, dropped in self.dropped.items()
        ]


def filter_rows(rows: Sequence[Row], settings: FilterSettings | None = None, *, translated: bool = False) -> Filtered:
    """Drop the rows that fail a check; a row counts under the first that it fails.

    Whether a target query has several passages is asked last, of the rows that are left.

    Args:
        rows: with or without target queries (those without are checked for empty cells and duplicates only).
        settings: thresholds.
        translated: the target queries are a machine's.

    Raises:
        MissingExtraError: languages are to be identified and the extra ``langid`` is not installed.
    """
    settings = settings or FilterSettings()
    if settings.language is None and not settings.identifies and any(row.language for row in rows):
        logger.warning(
            "the languages of the target queries are not checked; to check them, run: "
            'pip install "clearir[langid]"; filter.language=false turns this warning off'
        )
    dropped: dict[str, list[Row]] = defaultdict(list)
    kept = _kept(track(rows, "Filtering"), list(_checks(settings, translated)), dropped)
    if settings.ambiguous:
        kept = _kept(kept, [ambiguous_check(kept)], dropped)
    by_count = sorted(dropped.items(), key=lambda item: (-len(item[1]), item[0]))
    return Filtered(tuple(kept), {reason: Dropped.of(found) for reason, found in by_count})


def _kept(rows: Iterable[Row], checks: Sequence[Check], dropped: dict[str, list[Row]]) -> list[Row]:
    """The rows that pass all checks; the others go to ``dropped``, under the first that they fail."""
    kept: list[Row] = []
    for row in rows:
        reason = next((reason for check in checks if (reason := check(row)) is not None), None)
        (kept if reason is None else dropped[reason]).append(row)
    return kept


def _checks(settings: FilterSettings, translated: bool) -> Iterator[Check]:
    yield check_empty
    yield lambda row: check_copied(row, settings.copied)
    yield lambda row: check_length(row, *settings.length_ratio)
    yield lambda row: check_script(row, settings.script)
    if settings.identifies:
        yield language_check(settings.language_confidence)
    if translated if settings.numbers is None else settings.numbers:
        yield check_numbers
    if settings.placeholders:
        yield check_placeholders
    yield duplicate_check()


def check_empty(row: Row) -> str | None:
    """A query, passage or target query with nothing in it."""
    texts = [row.query, row.passage] + ([] if row.target_query is None else [row.target_query])
    return "empty" if any(map(is_blank, texts)) else None


def check_copied(row: Row, most: float) -> str | None:
    """A target query that is the query, or nearly all of whose words stand in it."""
    if row.target_query is None:
        return None
    if text_key(row.target_query) == text_key(row.query):
        return "copied source"
    own, words = set(_words(row.query)), _words(row.target_query)
    copied = sum(word in own for word in words)
    return "copied source" if len(words) >= 3 and copied > most * len(words) else None


def check_length(row: Row, least: float, most: float) -> str | None:
    """A target query much shorter (cut) or much longer (a model that went round in circles) than the query."""
    if row.target_query is None:
        return None
    ratio = (_width(row.target_query) + 10) / (_width(row.query) + 10)
    return None if least <= ratio <= most else "length ratio"


def check_script(row: Row, least: float) -> str | None:
    """A target query in another writing system than the target language's."""
    if row.target_query is None or row.language is None:
        return None
    share = share_in_script(row.target_query, row.language)
    return "wrong script" if share is not None and share < least else None


def check_numbers(row: Row) -> str | None:
    """A number of two or more digits that the target query does not have."""
    if row.target_query is None:
        return None
    return "number lost" if missing(row.query, row.target_query) else None


def check_placeholders(row: Row) -> str | None:
    """A placeholder, tag or address that the target query does not have."""
    if row.target_query is None:
        return None
    wanted = Counter(_PLACEHOLDER.findall(_tidy(row.query)))
    there = _tidy(row.target_query)
    return "placeholder lost" if any(there.count(one) < count for one, count in wanted.items()) else None


def language_check(confidence: float) -> Check:
    """A target query that is in another language than its row says.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    told = identifier()

    def check(row: Row) -> str | None:
        if row.target_query is None or row.language is None:
            return None
        target, bridge = (normalise(code).partition("-")[0] for code in (row.language, row.bridge))
        known = told.knows(row.language)
        shares = told.shares(row.target_query)
        likeliest = next(iter(shares), target)
        if likeliest == target:
            return None
        enough = _UNTRANSLATED if known and likeliest == bridge else confidence
        sure = shares[likeliest] >= enough and (known or likeliest == bridge)
        return "wrong language" if sure or (known and shares.get(target, 0.0) < _UNLIKELY) else None

    return check


def duplicate_check() -> Check:
    """A row whose texts are those of one that came before."""
    seen: set[tuple[str | None, ...]] = set()

    def check(row: Row) -> str | None:
        texts = (row.query, row.passage, row.target_query)
        key = (row.bridge, row.language, *(None if text is None else text_key(text) for text in texts))
        if key in seen:
            return "duplicate"
        seen.add(key)
        return None

    return check


def ambiguous_check(rows: Sequence[Row]) -> Check:
    """A target query of several passages: nobody could say which is right.

    One question (by its id, else by its text) with several passages is no such case: all of them are right.
    """
    passages: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    questions: dict[tuple[str | None, str], set[str]] = defaultdict(set)

    def key(row: Row) -> tuple[str | None, str]:
        return row.language, text_key(row.target_query or "")

    for row in rows:
        if row.target_query is not None:
            passages[key(row)].add(text_key(row.passage))
            questions[key(row)].add(row.query_id or text_key(row.query))

    def check(row: Row) -> str | None:
        if row.target_query is None or min(len(passages[key(row)]), len(questions[key(row)])) < 2:
            return None
        return "target query of several passages"

    return check


_BRACES = r"\$?\{\{?\s*[^{}\s]*\s*\}?\}"  # {name} {{ name }} ${name} {0}
# A tag has attributes with values: "a<b and c>d" has none.
_TAG = r"""</?[A-Za-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"']+))*\s*/?>"""
_PLACEHOLDER = re.compile(
    rf"{_BRACES}|{_TAG}"
    r"|(?<!\w)%(?:\(\w+\)|\d+\$)?[-+0,#]*\d*(?:\.\d+)?[sdif@](?!\w)"  # %s %(name)s %1$d %.2f
    r"|https?://[^\s<>]*[^\s<>.,;:!?)\]]"
)


def _tidy(text: str) -> str:
    """The text with its tags and braces in one spelling: ``<br>`` for ``<BR />``, ``{{name}}`` for ``{{ name }}``."""
    text = re.sub(_TAG, lambda found: re.sub(r"\s*/?>$", ">", " ".join(found[0].casefold().split())), text)
    return re.sub(_BRACES, lambda found: "".join(found[0].split()), text)


def _words(text: str) -> list[str]:
    """Runs of letters; without spaces whole clauses, since Cantonese has most characters of Chinese."""
    found: list[str] = regex.findall(r"\w+", text_key(text))
    return found


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
