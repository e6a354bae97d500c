"""The content of the search page. Its layout is in ``templates/`` and ``static/``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

from clearir.data.passages import QUESTION
from clearir.search.examples import First
from clearir.search.highlight import sentences, shares_words, with_words
from clearir.search.index import IndexInfo
from clearir.search.limits import Limits
from clearir.search.measured import Measured
from clearir.search.query import DEPTH, Compared, Hit, Moved, Searcher, is_right, is_url, snippet
from clearir.search.request import DEFAULT_K, Asked
from clearir.settings import SearchExample
from clearir.support.languages import language_name
from clearir.support.templates import html_template
from clearir.support.texts import clean, printable

K_CHOICES = (5, 10, 20, 50)
#: suggested queries of a language
SUGGESTED = 5
#: characters of a passage that are shown before it is unfolded
SNIPPET = 260
_FACET_VALUES = 20
_FIELDS_SHOWN = 4


@dataclass(frozen=True)
class Facet:
    """A field with few values, each with its number of passages."""

    name: str
    values: list[tuple[str, str, int]]  # filter, label, passages


@dataclass(frozen=True)
class Suggested:
    """Queries of a language that the page offers, and how often their right answer comes first, where it is known."""

    language: str
    queries: list[SearchExample]
    first: First | None


@dataclass(frozen=True)
class ShownHit:
    """A hit as it is shown. A text is in parts, each with whether it is highlighted."""

    hit: Hit
    title: str
    snippet: list[tuple[str, bool]]
    rest: list[tuple[str, bool]]  # the whole text, where the snippet is a part of it
    links: list[tuple[str, str]]  # address, and how it is shown
    fields: list[tuple[str, str]]
    move: str = ""  # up, down, same, new or gone
    words: str = ""  # the same in words
    right: bool = False  # the passage that answers the query
    beyond: bool = False  # it is further down than what is shown
    seek: bool = False  # which of its sentences is closest to the query is worth asking for


class Page:
    """Renders pages about one index, or about two indexes of the same corpus."""

    def __init__(
        self,
        searcher: Searcher,
        base: Searcher | None,
        examples: Sequence[SearchExample],
        limits: Limits,
        measured: Measured | None = None,
        title: str | None = None,
    ) -> None:
        self._template = html_template(
            "clearir.search", "page.html.j2", language=language_name, clean=clean, short=short_name
        )
        self._known = {example.query: example for example in examples}
        self._measured = measured
        rerank = searcher.rerank
        #: what is said of the reranker: its name, without paths of this machine, how many passages it orders, and what
        #: the first score counts
        self.rerank = None
        if rerank is not None:
            weight = rerank.first_weight
            self.rerank = {"model": short_name(rerank.name), "top": rerank.top, "first_weight": weight}
        urls = searcher.url_fields()
        self._fixed: dict[str, Any] = {
            "info": searcher.info,
            "base": None if base is None else base.info,
            "title": clean(title or "passages", 100),
            "suggested": _suggested(examples, measured),
            "measured": measured,
            "trained": [] if measured is None else sorted(map(language_name, measured.trained)),
            "limits": limits,
            "k_choices": [k for k in K_CHOICES if k <= limits.k],
            "default_k": DEFAULT_K,
            "facets": _facets(searcher, urls),
            "field": next((one.name for one in searcher.info.fields if one.name not in (QUESTION, *urls)), None),
            "depth": DEPTH,
            "rerank": self.rerank,
        }

    def start(self, asked: Asked) -> str:
        """The page without a query."""
        return self._render(asked)

    def results(self, asked: Asked, result: Sequence[Hit] | Compared, seconds: float) -> str:
        """The page with the results, which took so many seconds."""
        query = asked.queries[0]
        known = self._known.get(query.strip())
        right = None if known is None else known.right
        if isinstance(result, Compared):
            sides = {
                "tuned": [_moved_row(moved, query, right, tuned=True) for moved in result.tuned],
                "base": [_moved_row(moved, query, right, tuned=False) for moved in result.base],
            }
            for name, moved in _right_of(result).items():
                if moved is not None and moved.hit.rank > len(sides[name]):
                    row = _moved_row(moved, query, right, tuned=name == "tuned")
                    sides[name].append(replace(row, beyond=True))
        else:
            sides = {"hits": [_row(hit, query, right) for hit in result]}
        return self._render(
            asked,
            sides=sides,
            summary=summarise(result, right),
            told=right is not None,
            doubt="" if right is not None else self._doubt(query, known),
            milliseconds=round(1000 * seconds),
        )

    def problem(self, asked: Asked, reason: str) -> str:
        """The page with an error."""
        return self._render(asked, problem=printable(reason))

    def login(self, reason: str) -> str:
        """The page that asks for the token; it shows nothing of the index."""
        return self._template.render(login=reason)

    def public_info(self, info: IndexInfo) -> dict[str, Any]:
        """The public facts of an index, without paths of this machine."""
        return asdict(info) | {"model": short_name(info.model), "corpus": short_name(info.corpus)}

    def _doubt(self, query: str, known: SearchExample | None) -> str:
        """Why not to rely on the results, where the run has measured that; else nothing.

        The language is that of the suggested query, or follows from the script where that is not the bridge's own.
        """
        if self._measured is None:
            return ""
        languages = self._measured.may_be(query) if known is None else (known.language,)
        if not languages:
            return "Low confidence: the model was not trained on a language in this script."
        first = self._measured.over(languages)
        if self._measured.bridge in languages or 2 * first.tuned >= first.queries:
            return ""
        names = " and ".join(map(language_name, first.language.split("+")))
        return (
            f"Low confidence in {names}: the right answer comes first for {first.tuned:,} of {first.queries:,} "
            "held-out questions."
        )

    def _render(self, asked: Asked, **shown: Any) -> str:
        offered = {text for facet in self._fixed["facets"] for text, _, _ in facet.values}
        known = self._known.get(asked.queries[0].strip()) if asked.queries else None
        form = {
            "query": printable(asked.queries[0]) if asked.queries else "",
            "meaning": None if known is None else known.meaning,
            "k": asked.k,
            "hybrid": asked.hybrid,
            "chosen": asked.filters,
            "typed": [one for one in asked.filters if one not in offered],
        }
        nothing = {"sides": None, "summary": "", "told": False, "doubt": "", "milliseconds": 0}
        return self._template.render(**self._fixed, **form, **{**nothing, "problem": "", "login": "", **shown})


def summarise(result: Sequence[Hit] | Compared, right: str | None = None) -> str:
    """The success of a search in a sentence, where the right passage is known; else what training has changed."""
    if not isinstance(result, Compared):
        if right is None or not result:
            return ""
        found = next((hit for hit in result if is_right(hit, right)), None)
        return f"Right answer: {_place(found, len(result))}."
    if not result.tuned:
        return ""
    if result.right is not None:
        before, after = (_place(hit, DEPTH) for hit in result.right)
        if result.right == (None, None):
            return f"Right answer: {after}, neither after training nor before."
        if after.startswith("place"):
            before = before.removeprefix("place ")
        return f"Right answer: {after} after training, {before} before."
    count = len(result.tuned)
    if all(moved.other == moved.hit.rank for moved in result.tuned):
        return f"The same {count} results as before training, in the same order."
    shown = {moved.hit.id for moved in result.base}
    new = sum(moved.hit.id not in shown for moved in result.tuned)
    which = f"{new} of {count} results {'is' if new == 1 else 'are'} new after training"
    if new == 0:
        which = f"The same {count} results as before training, in another order"
    first = result.tuned[0].other
    best = "is the same" if first == 1 else f"was {_place_of(first, DEPTH)} before"
    return f"{which}. The first result {best}."


def _right_of(result: Compared) -> dict[str, Moved | None]:
    """The passage that answers the query in both lists, and where it is in the other one."""
    before, after = result.right or (None, None)

    def moved(hit: Hit | None, other: Hit | None) -> Moved | None:
        return None if hit is None else Moved(hit, None if other is None else other.rank)

    return {"base": moved(before, after), "tuned": moved(after, before)}


def _suggested(examples: Sequence[SearchExample], measured: Measured | None) -> list[Suggested]:
    found: dict[str, list[SearchExample]] = {}
    for example in examples:
        found.setdefault(example.language, []).append(example)
    counts = {} if measured is None else {line.language: line for line in measured.lines}
    return [Suggested(language, queries[:SUGGESTED], counts.get(language)) for language, queries in found.items()]


def _place(hit: Hit | None, depth: int) -> str:
    return _place_of(None if hit is None else hit.rank, depth)


def _place_of(rank: int | None, depth: int) -> str:
    return f"not in the first {depth}" if rank is None else f"place {rank}"


def short_name(path: str) -> str:
    """The last two parts of a path or name: enough to recognise it."""
    parts = [part for part in PurePath(path.removeprefix("python:")).parts if part not in ("/", ".", "..")]
    return clean("/".join(parts[-2:]) or path, 80)


def title_of(hit: Hit) -> str:
    """The heading of a hit: its title, else a question that it answers, else its id."""
    question = hit.fields.get(QUESTION)
    return clean(hit.title, 200) or (clean(question, 200) if isinstance(question, str) else "") or clean(hit.id, 200)


def _row(hit: Hit, query: str, right: str | None) -> ShownHit:
    text = printable(hit.text)
    shown = snippet(text, query, SNIPPET)
    whole = shown == clean(text, len(text) + 1)
    fields = [(name, value) for name, value in hit.fields.items() if name != QUESTION]
    return ShownHit(
        hit=hit,
        title=title_of(hit),
        snippet=with_words(shown, query),
        rest=[] if whole else with_words(text, query),
        links=[(str(value), _address(str(value))) for _, value in fields if is_url(value)],
        fields=[(clean(name, 40), clean(str(value), 60)) for name, value in fields if not is_url(value)][
            :_FIELDS_SHOWN
        ],
        right=is_right(hit, right),
        seek=len(sentences(text)) > 1 and not shares_words(text, query),
    )


def _moved_row(moved: Moved, query: str, right: str | None, *, tuned: bool) -> ShownHit:
    row = _row(moved.hit, query, right)
    verb = "was" if tuned else "now"
    if moved.other is None:
        move, words = ("new", "new") if tuned else ("gone", "gone")
    elif moved.other == moved.hit.rank:
        move, words = "same", "same"
    else:
        better = (moved.other > moved.hit.rank) == tuned
        move, words = "up" if better else "down", f"{verb} {moved.other}"
    return replace(row, move=move, words=words)


def _address(url: str) -> str:
    """The address of a web page as people write it."""
    return clean(url.split("://", 1)[1].removeprefix("www.").rstrip("/"), 60)


def _facets(searcher: Searcher, urls: set[str]) -> list[Facet]:
    facets = []
    for name, counts in searcher.values(_FACET_VALUES).items():
        if len(counts) > 1 and name not in urls:
            label = language_name if name == "language" else str
            values = [(f"{name}={value}", clean(label(value), 60), count) for value, count in counts.items()]
            facets.append(Facet(name, values))
    return facets
