"""The names of a table's columns -> our fields: our own names, other people's words, a column for each language.

Our names and those that the authors of CLEAR use are read as they are, in any case. Where a field has none of these,
the usual words for it are: ``question``, ``answer``, ``lang``. A word and a language, ``question_es`` or ``Answer
(Spanish)``, is that text in that language. What may be two columns is none: then it has to be said.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from clearir.data.sources.checks import BadRowError, language_named
from clearir.support import languages
from clearir.support.errors import InputError

# Ours first, then the two sets of names that the authors of CLEAR use.
NAMES: dict[str, tuple[str, ...]] = {
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
_TARGETS = ("target_query", "target_passage")

_LANGUAGE = {"lang", "locale", "language_code", "lang_code", "target_language", "target_lang"}
_QUERY = {"query", "question"}
_PASSAGE = {"passage", "answer", "context", "document", "paragraph", "article"}
_ANY_TEXT = {"text", "body", "content"}  # the passage, unless another word says what it is the text of
_OTHER_LANGUAGE = {"target", "local", "translated", "translation"}
# Ends of names that are codes of languages too (Indonesian, Norwegian, South Ndebele).
_NO_LANGUAGE = {"id", "no", "nr"}


@dataclass(frozen=True)
class Header:
    """Which columns of a table are what.

    Attributes:
        fields: our name -> the columns; several for negatives.
        by_language: language -> ``target_query`` or ``target_passage`` -> the column, where each has its own.
        notes: what was assumed, and what is not read though it may be meant, in words.
    """

    fields: Mapping[str, tuple[str, ...]]
    by_language: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All columns that are read, each once."""
        of_languages = (column for own in self.by_language.values() for column in own.values())
        return list(dict.fromkeys([*(c for columns in self.fields.values() for c in columns), *of_languages]))


#: our name of a column -> the table's, or the names of several that each hold one language
Mapped = Mapping[str, str | Sequence[str]]


def one_each(columns: Mapped) -> dict[str, str]:
    """Our name of a column -> the table's, one each: ``{target_query: [sw, Spanish]}`` names two.

    Raises:
        InputError: a name that is not ours, or a column of several that names no language.
    """
    found: dict[str, str] = {}
    for ours, theirs in columns.items():
        if ours not in NAMES and _numbered_field(ours) is None and _target_of(ours) is None:
            known = ", ".join([*NAMES, "negative_1", "target_negative_1", "target_query_es"])
            raise InputError(f"columns: {ours!r} is not a field of a row; write one of {known}")
        if isinstance(theirs, str):
            found[ours] = theirs
            continue
        several = isinstance(theirs, list | tuple) and all(isinstance(one, str) for one in theirs)
        if not several or ours not in _TARGETS:
            raise InputError(f"columns: {ours} is {theirs!r}, not the name of a column; write it in quotation marks")
        for column in theirs:
            code, _ = _language([word for word in _words(column) if word not in _QUERY | _PASSAGE | _ANY_TEXT])
            if code is None:
                typed = f"{ours}_CODE: {column}"
                raise InputError(f"columns: {ours}: {column!r} does not name a language; write {typed} instead")
            found[f"{ours}_{code}"] = column
    return found


def find(present: Sequence[str], columns: Mapping[str, str], bridge: str, place: str) -> Header:
    """What the columns ``present`` are.

    Args:
        present: the names, as they stand in the table.
        columns: our name -> theirs, for those that are said.
        bridge: language of queries and passages.
        place: of the header, for messages.

    Raises:
        BadRowError: columns that are needed or named are missing, or several may be one field; the message has them
            all, and what to type.
    """
    return _Finder(present, columns, bridge).header(place)


_Target = tuple[str, str]  # target_query or target_passage, language


class _Finder:
    def __init__(self, present: Sequence[str], columns: Mapping[str, str], bridge: str) -> None:
        self._present, self._columns, self._bridge = list(present), columns, bridge
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._meant: dict[str, list[str]] = defaultdict(list)  # field -> columns that are it by their words
        self._of_language: dict[_Target, list[str]] = defaultdict(list)
        self._unsure: dict[str, _Target] = {}
        for column in present:
            self._keys[key_of(column)].append(column)
            self._understand(column)
        self._missing: dict[str, str] = {}  # ours -> theirs
        self._several: dict[str, list[str]] = {}  # ours -> columns

    def header(self, place: str) -> Header:
        known = {name: column for name in NAMES if (column := self._known(name)) is not None}
        assumed = {name: column for name in NAMES if name not in known and (column := self._assumed(name)) is not None}
        fields: dict[str, tuple[str, ...]] = {name: (column,) for name, column in (known | assumed).items()}
        for name, prefixes in _NUMBERED.items():
            if name not in self._columns and (numbered := self._numbered(prefixes)):
                fields[name] = numbered
        by_language: dict[str, dict[str, str]] = defaultdict(dict)
        if not any(name in fields for name in _TARGETS):
            for (name, code), column in self._targets().items():
                by_language[code][name] = column
            if by_language or "language" in assumed:  # it may as well be the language of the query
                fields.pop("language", None)
                assumed.pop("language", None)
        told = {*fields, *self._missing, *self._several}
        self._missing |= {name: name for name in _REQUIRED if name not in told}
        if self._missing or self._several:
            raise self._refusal(place, fields)
        header = Header(fields, dict(by_language))
        return replace(header, notes=tuple(self._notes(header, assumed)))

    def _understand(self, column: str) -> None:
        """What a column may be by its words."""
        if key_of(column) in _LANGUAGE:
            self._meant["language"].append(column)
            return
        what, rest = _kind(_words(column))
        words = [word for word in rest if word not in _OTHER_LANGUAGE]
        if what is not None and not words:
            self._meant[f"target_{what}" if rest else what].append(column)
            return
        code, sure = _language(words)
        if code is None or (what is None and not sure):
            return
        if what is None or not sure:
            self._unsure[column] = (f"target_{what or 'query'}", code)
        elif code == self._bridge:
            self._meant[what].append(column)
        else:
            self._of_language[f"target_{what}", code].append(column)

    def _known(self, name: str) -> str | None:
        """The column that is said, or that has one of our names, in any case."""
        if name in self._columns:
            return self._said(name)
        for known in NAMES[name]:
            if known in self._present:
                return known
        return next((self._one(name, self._keys[known]) for known in NAMES[name] if known in self._keys), None)

    def _assumed(self, name: str) -> str | None:
        if name in self._missing or name in self._several or name not in self._meant:
            return None
        return self._one(name, self._meant[name])

    def _said(self, ours: str) -> str | None:
        theirs = self._columns[ours]
        found = [theirs] if theirs in self._present else self._keys.get(key_of(theirs), [])
        if not found:
            self._missing[ours] = theirs
        return self._one(ours, found) if found else None

    def _one(self, ours: str, found: list[str]) -> str | None:
        if len(found) > 1:
            self._several[ours] = found
            return None
        return found[0]

    def _numbered(self, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        """Columns that hold one negative each, in the order of their numbers."""
        by_number = {
            number: column
            for prefix in reversed(prefixes)
            for column in self._present
            if (number := _ending(key_of(column), prefix)) is not None
        }
        for ours in self._columns:
            if (ending := _ending(ours, prefixes[0])) is not None and (column := self._said(ours)) is not None:
                by_number[ending] = column
        return tuple(by_number[number] for number in sorted(by_number))

    def _targets(self) -> dict[_Target, str]:
        """The columns that hold the texts of one language each."""
        said = {target: self._said(ours) for ours in self._columns if (target := _target_of(ours)) is not None}
        meant = {
            (name, code): self._one(f"{name}_{code}", columns)
            for (name, code), columns in self._of_language.items()
            if (name, code) not in said
        }
        return {target: column for target, column in (meant | said).items() if column is not None}

    def _notes(self, header: Header, assumed: Mapping[str, str]) -> Iterator[str]:
        read = [f"{column!r} as {name}" for name, column in assumed.items()]
        for code, own in header.by_language.items():
            read += [f"{column!r} as {name} in {languages.name(code)} ({code})" for name, column in own.items()]
        if read:
            yield f"read {', '.join(read)}"
        may_be = dict(self._unsure)
        if not header.by_language:
            may_be |= {column: target for target, columns in self._of_language.items() for column in columns}
        for column, (name, code) in may_be.items():
            if column not in header.columns and (header.by_language or not any(n in header.fields for n in _TARGETS)):
                what = f"the {name} in {languages.name(code)}, type {assignment(f'{name}_{code}', column)}"
                yield f"not read: {column!r}; if it is {what}"
        if not header.by_language and "language" not in header.fields:
            for column in self._meant.get("language", ()):
                typed = assignment("language", column)
                yield f"not read: {column!r}; if it is the language to translate into, type {typed}"

    def _refusal(self, place: str, fields: Mapping[str, tuple[str, ...]]) -> BadRowError:
        wrong: list[str] = []
        typed: dict[str, str] = {}
        if self._missing:
            names = " and ".join(repr(theirs) for theirs in self._missing.values())
            wrong.append(f"no column{'s' if len(self._missing) > 1 else ''} {names}")
            taken = {column for columns in fields.values() for column in columns}
            typed |= {ours: self._nearest(ours, theirs, taken) for ours, theirs in self._missing.items()}
        for ours, columns in self._several.items():
            wrong.append(f"{' and '.join(map(repr, columns))} may each be the {ours}")
            typed[ours] = columns[0]
        here, recipe = (" ".join(assignment(*one, prefix=prefix) for one in typed.items()) for prefix in ("", "data."))
        fix = f"the columns are {quoted(self._present)}; say which it is with {here} (behind a recipe: {recipe})"
        return BadRowError(place, ", and ".join(wrong), fix)

    def _nearest(self, ours: str, theirs: str, taken: set[str]) -> str:
        """The column that was most likely meant."""
        words = {"query": _QUERY, "passage": _PASSAGE}.get(ours, set())
        wanted = [theirs, *NAMES.get(ours, (ours,)), *sorted(words)]
        keys = [key for key, columns in self._keys.items() if not taken.intersection(columns)]
        near = [close for name in wanted for close in difflib.get_close_matches(key_of(name), keys, n=1, cutoff=0.75)]
        return self._keys[near[0]][0] if near else "COLUMN"


def assignment(ours: str, theirs: str, prefix: str = "") -> str:
    """What says on the command line that ``theirs`` is ``ours``: ``columns.query=question``."""
    import yaml

    try:
        plain = yaml.safe_load(theirs) == theirs
    except yaml.YAMLError:
        plain = False
    return shlex.quote(f"{prefix}columns.{ours}={theirs if plain else json.dumps(theirs, ensure_ascii=False)}")


# -- words of a name ------------------------------------------------------------------------------------------------


def _words(name: str) -> tuple[str, ...]:
    """``("target", "query")`` of ``targetQuery``, ``Target query``, ``TARGET_QUERY``."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def quoted(names: Sequence[str]) -> str:
    """The names of a table's columns, for a message."""
    return ", ".join(repr(name[:60]) for name in names[:30]) or "none at all"


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """What is the same of a name in any case: ``target_query`` of ``Target Query``."""
    return "_".join(_words(name))


def _kind(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """``query`` or ``passage``, if some word says so, and the other words."""
    rest = [word for word in words if word not in _QUERY | _PASSAGE | _ANY_TEXT]
    query, passage = _QUERY & set(words), _PASSAGE & set(words)
    if query and passage:
        return None, []
    if query:
        return "query", rest
    return ("passage", rest) if passage or _ANY_TEXT & set(words) else (None, rest)


@lru_cache(maxsize=4096)
def code_of(text: str) -> str | None:
    """The one spelling of a language's code; None for what is no code."""
    try:
        return languages.normalise(text)
    except InputError:
        return None


def language_of(column: str) -> tuple[str, bool] | None:
    """The language that a column is named after and nothing else, and whether its name can hardly mean anything else.

    ``es``, ``Spanish`` and ``pt-BR`` are sure, a code of three letters is not; None of ``id``, ``no`` and ``nr``.
    """
    words = _words(column)
    code, sure = _language(words)
    if code is None or (len(words) == 1 and words[0] in _NO_LANGUAGE):
        return None
    return code, sure


def _language(words: Iterable[str]) -> tuple[str | None, bool]:
    """The language that some words name, and whether they can hardly mean anything else.

    Codes of two letters (or of three, with a script) and English names are sure; a code of three letters alone may as
    well be a word (``raw``, ``key``, ``tag``), and so may the name of a language without a code of two letters.
    """
    words = list(words)
    if not words:
        return None, False
    tag = code_of("-".join(words))
    if tag is not None:
        sure = len(words[0]) == 2 if len(words) == 1 else len(words[0]) < 4
        return tag, sure and not (len(words) == 1 and words[0] in _NO_LANGUAGE)
    tag = language_named(" ".join(words)) if len(" ".join(words)) > 3 else None
    return tag, tag is not None and len(tag.partition("-")[0]) == 2


# -- our names with something behind --------------------------------------------------------------------------------


def _numbered_field(ours: str) -> int | None:
    endings = (_ending(ours, prefixes[0]) for prefixes in _NUMBERED.values())
    return next((ending for ending in endings if ending is not None), None)


def _ending(name: str, prefix: str) -> int | None:
    """7 for ``negative_7``."""
    rest = name.removeprefix(prefix)
    whole = rest != name and rest.isascii() and rest.isdigit() and len(rest) < 6
    return int(rest) if whole else None


def _target_of(ours: str) -> tuple[str, str] | None:
    """``("target_query", "es")`` for ``target_query_es``."""
    for name in _TARGETS:
        if ours.startswith(f"{name}_") and (code := code_of(ours.removeprefix(f"{name}_"))) is not None:
            return name, code
    return None
