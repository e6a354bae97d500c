"""What is scored: queries and passages a language, and which passages answer which query.

```python
suite = Suite.from_rows(rows, "held-out")      # rows that a reader or a split gave
suite = suite.restrict(["en", "de"])
bitext = Suite.from_translations([{"en": "a dog", "de": "ein Hund"}, ...], "my-bitext")
```

Published suites and folders of one's own are loaded by `clearir.evaluation.registry.load_suite`.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, combinations, count
from typing import Any

from clearir.data.rows import Row
from clearir.evaluation.metrics import BITEXT, RETRIEVAL
from clearir.support import languages as codes
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError
from clearir.support.texts import is_blank, text_key

logger = logging.getLogger(__name__)

Texts = dict[str, dict[str, str]]  # language -> id -> text
Qrels = dict[str, dict[str, int]]  # query id -> passage id -> relevance


@dataclass(frozen=True)
class Suite:
    """Texts and relevance.

    The id of a query is the same question in every language. The relevance of a query names its passages in all
    languages; in a corpus those count that are in it. Passages of different languages may share an id, but then
    every query that the one answers must be answered by the other: where one English paragraph answers two questions
    whose German counterparts stand in two paragraphs (MLQA), they may not.

    Attributes:
        name: what the scores call it.
        queries: language -> query id -> text.
        passages: language -> passage id -> text.
        qrels: query id -> passage id -> relevance; above 0 is relevant.
        bridge: the language in the middle.
        licence: of the texts.
        revision: which version of the data, as its publisher names it.
        lost: ids of relevant passages that are in no corpus. They cannot be found, which counts against every model
            alike, as BEIR and MTEB have it.
        task: one of `clearir.evaluation.metrics.TASKS`. In bitext queries and passages are the same sentences under
            the same ids, and an id is of one language.

    Raises:
        InputError: no query has a relevant passage, a relevance names an id that is not there, or a text is empty.
    """

    name: str
    queries: Texts
    passages: Texts
    qrels: Qrels
    bridge: str = "en"
    licence: str | None = None
    revision: str | None = None
    lost: frozenset[str] = frozenset()
    task: str = RETRIEVAL

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def from_rows(cls, rows: Iterable[Row], name: str, **facts: Any) -> Suite:
        """The suite of some rows: their queries, their passages, and that each row's passage answers its query.

        Ids are the rows' own, or fingerprints of the bridge-language text. Passages in a target language have ids of
        their own, ``de/ID``. The same passage in several rows is one; of texts that are the same
        (`clearir.support.texts.text_key`) the first stands for all. Several phrasings of a question in a target
        language all count: the first has the question's id, the others ``ID/2``, ``ID/3`` and so on, with the same
        answers.

        Args:
            rows: at least one.
            name: of the suite.
            facts: ``licence``, ``revision``.

        Raises:
            InputError: no rows, or one id with two texts in the bridge language.
        """
        rows = list(rows)
        if not rows:
            raise InputError(f"{name}: no rows to score; check the path and the languages asked for")
        queries, passages = _Queries(name, rows), _Passages(name)
        answers: Qrels = defaultdict(dict)
        for row in rows:
            answers[queries.place(row)] |= dict.fromkeys(passages.place(row), 1)
        qrels = {query: dict(answers[question]) for query, question in queries.questions.items()}
        bridge = Counter(row.bridge for row in rows).most_common(1)[0][0]
        return cls(name, dict(queries.texts), dict(passages.texts), qrels, bridge, **facts)

    @classmethod
    def from_translations(cls, groups: Iterable[Mapping[str, str]], name: str, **facts: Any) -> Suite:
        """A suite that asks for the translation of each sentence, between all languages of its group.

        The same sentence (`clearir.support.texts.text_key`) in several groups is one: it is asked once, and its
        translations in all these groups are right. Where that matters it is logged. Ids are ``de/17``, where 17 is
        the first group that has the sentence.

        Args:
            groups: sentences that say the same, by language.
            name: of the suite.
            facts: ``licence``, ``revision``.

        Raises:
            InputError: no group has two languages.
        """
        texts: Texts = defaultdict(dict)
        ids: dict[tuple[str, str], str] = {}  # language, key -> id
        right: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)  # id, language of the translation -> ids
        pairs = 0
        for number, group in enumerate(groups, start=1):
            own = {code: ids.setdefault((code, text_key(text)), f"{code}/{number}") for code, text in group.items()}
            for code, sentence in own.items():
                texts[code].setdefault(sentence, group[code])
            for one, other in combinations(own, 2):
                right[own[one], other][own[other]] = right[own[other], one][own[one]] = 1
                pairs += 1
        if not pairs:
            raise InputError(f"{name}: no sentence has a translation beside it; check the path and the languages")
        twice = pairs - sum(map(len, right.values())) // 2
        if several := sum(len(found) > 1 for found in right.values()):
            logger.warning("%s: %d times a sentence has several translations; each of them is right", name, several)
        if twice:
            logger.warning("%s: %d of %d pairs are there already, and are dropped", name, twice, pairs)
        qrels: Qrels = defaultdict(dict)
        for (sentence, _), found in right.items():
            qrels[sentence] |= found
        bridge = "en" if "en" in texts else next(iter(texts))
        return cls(name, dict(texts), dict(texts), dict(qrels), bridge, task=BITEXT, **facts)

    @property
    def languages(self) -> list[str]:
        """All languages of queries or passages, the bridge first."""
        found = {*self.queries, *self.passages}
        return sorted(found, key=lambda language: (language != self.bridge, language))

    def texts(self) -> set[str]:
        """Every query and passage, in all languages."""
        return {text for side in (self.queries, self.passages) for texts in side.values() for text in texts.values()}

    @cached_property
    def hash(self) -> str:
        """Fingerprint of all texts and the relevance."""
        return fingerprint([self.queries, self.passages, self.qrels])

    def restrict(self, languages: Collection[str] | None) -> Suite:
        """The suite with these languages alone; None for all.

        Raises:
            InputError: the suite lacks one of them; the message lists those it has.
        """
        if languages is None:
            return self
        wanted = {codes.normalise(language) for language in languages}
        unknown = sorted(wanted - set(self.languages))
        if unknown:
            raise InputError(f"{self.name} has no language {unknown[0]!r}; it has {', '.join(self.languages)}")
        queries = {language: texts for language, texts in self.queries.items() if language in wanted}
        passages = {language: texts for language, texts in self.passages.items() if language in wanted}
        if not queries or not passages:
            kind, there = ("queries", self.queries) if not queries else ("passages", self.passages)
            raise InputError(
                f"{self.name} has no {kind} in {', '.join(sorted(wanted))}; add one of {', '.join(sorted(there))}"
            )
        asked = {query for texts in queries.values() for query in texts}
        known = {passage for texts in passages.values() for passage in texts} | self.lost
        qrels = {
            query: {passage: value for passage, value in row.items() if passage in known}
            for query, row in self.qrels.items()
            if query in asked
        }
        return replace(self, queries=queries, passages=passages, qrels=qrels)

    @cached_property
    def clusters(self) -> dict[str, str]:
        """Query id -> the passage that ties it to other queries: its first relevant one, of the bridge if there is."""
        bridge = self.passages.get(self.bridge, {})
        return {
            query: min((p not in bridge, p) for p, value in row.items() if value > 0)[1]
            for query, row in self.qrels.items()
            if any(value > 0 for value in row.values())
        }

    @cached_property
    def repeated(self) -> frozenset[str]:
        """Queries that stand in a corpus themselves, under their own id (ArguAna, Quora), and do not answer themselves.

        Each is to be left out of its own ranking, as BEIR and MTEB do it. An id that a query and some other passage
        share by chance, as numbers do, is no matter: the text has to be the same, but for a title before it.
        """
        return frozenset(
            query
            for language, texts in self.queries.items()
            for query, text in texts.items()
            if (passage := self.passages.get(language, {}).get(query)) is not None
            and self.qrels.get(query, {}).get(query, 0) <= 0
            and f" {text_key(passage)}".endswith(f" {text_key(text)}")
        )

    def relevant(self, query_language: str, passage_language: str) -> Qrels:
        """The relevance above 0 of that direction, by id, lost passages last.

        Queries without a relevant passage there are left out.
        """
        corpus = self.passages.get(passage_language)
        known: Set[str] = corpus.keys() | self.lost if corpus else frozenset()
        found = {
            query: {
                p: value
                for p, value in sorted(self.qrels.get(query, {}).items(), key=lambda one: (one[0] in self.lost, one[0]))
                if value > 0 and p in known
            }
            for query in self.queries.get(query_language, {})
        }
        return {query: row for query, row in found.items() if row}


class _Ids:
    """Ids of texts that come with one or without; the same text gets the same."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}  # language, key -> id

    def of(self, identity: str | None, language: str, text: str) -> str:
        return identity or self._first.setdefault((language, text_key(text)), fingerprint(text))


class _Queries:
    """The distinct queries of some rows, and the ids they get."""

    def __init__(self, suite: str, rows: Iterable[Row]) -> None:
        self.texts: Texts = defaultdict(dict)
        self.questions: dict[str, str] = {}  # id of a query -> id of the question that it is a phrasing of
        self._suite = suite
        self._ids = _Ids()
        self._taken = {self._question(row) for row in rows}
        self._in_bridge: dict[tuple[str, str], str] = {}  # bridge, question -> text
        self._known: set[tuple[str, str, str]] = set()  # language, question, key

    def place(self, row: Row) -> str:
        """Id of the row's question."""
        question = self._question(row)
        first = self._in_bridge.setdefault((row.bridge, question), row.query)
        if text_key(first) != text_key(row.query):
            raise InputError(
                f"{self._suite}: query id {question!r} has two texts in {row.bridge}, {first[:60]!r} and "
                f"{row.query[:60]!r}; give each question its own query_id"
            )
        self._phrase(question, row.bridge, row.query)
        if row.language is not None and row.target_query is not None:
            self._phrase(question, row.language, row.target_query)
        return question

    def _question(self, row: Row) -> str:
        return self._ids.of(row.query_id, row.bridge, row.query)

    def _phrase(self, question: str, language: str, text: str) -> None:
        phrasing = language, question, text_key(text)
        if phrasing not in self._known:
            self._known.add(phrasing)
            query = self._free(language, question)
            self.texts[language][query] = text
            self.questions[query] = question

    def _free(self, language: str, question: str) -> str:
        others = (name for number in count(2) if (name := f"{question}/{number}") not in self._taken)
        return next(name for name in chain([question], others) if name not in self.texts[language])


class _Passages:
    """The distinct passages of some rows, and the ids they get."""

    def __init__(self, suite: str) -> None:
        self.texts: Texts = defaultdict(dict)
        self._suite = suite
        self._ids = _Ids()
        self._in_target: dict[tuple[str, str], str] = {}  # language, key -> id

    def place(self, row: Row) -> list[str]:
        """Ids of the row's passage in the languages it is in."""
        base = self._ids.of(row.passage_id, row.bridge, row.passage)
        first = self.texts[row.bridge].setdefault(base, row.passage)
        if text_key(first) != text_key(row.passage):
            raise InputError(
                f"{self._suite}: passage id {base!r} has two texts in {row.bridge}, {first[:60]!r} and "
                f"{row.passage[:60]!r}; give each passage its own passage_id"
            )
        if row.language is None or row.target_passage is None:
            return [base]
        key = row.language, text_key(row.target_passage)
        if key not in self._in_target:
            self._in_target[key] = self._free(row.language, base)
            self.texts[row.language][self._in_target[key]] = row.target_passage
        return [base, self._in_target[key]]

    def _free(self, language: str, base: str) -> str:
        names = (f"{language}/{base}" if number == 1 else f"{language}/{base}/{number}" for number in count(1))
        return next(name for name in names if name not in self.texts[language])


def _check(suite: Suite) -> None:
    queries = {query for texts in suite.queries.values() for query in texts}
    passages = {passage for texts in suite.passages.values() for passage in texts} | suite.lost
    for query, row in suite.qrels.items():
        if query not in queries:
            raise InputError(
                f"{suite.name}: the relevance names query {query!r}, which has no text in any language; add it, or "
                "take it out of the relevance"
            )
        for passage in row:
            if passage not in passages:
                raise InputError(
                    f"{suite.name}: the relevance of query {query!r} names passage {passage!r}, "
                    "which has no text in any language; add it, or take it out of the relevance"
                )
    if not any(value > 0 for row in suite.qrels.values() for value in row.values()):
        raise InputError(
            f"{suite.name}: no query has a relevant passage in {', '.join(suite.languages)}; "
            "check the relevance (qrels), or add languages"
        )
    for kind, side in (("query", suite.queries), ("passage", suite.passages)):
        for language, texts in side.items():
            for identifier, text in texts.items():
                wrong = _wrong(text)
                if wrong is not None:
                    raise InputError(
                        f"{suite.name}: {kind} {identifier!r} in {language} is {wrong}; correct or remove it"
                    )


def _wrong(text: object) -> str | None:
    if not isinstance(text, str):
        return "no text"
    if is_blank(text):
        return "empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half a surrogate pair, which is not a character"
    return None
