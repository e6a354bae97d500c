"""The content of the search page. Its layout is in ``templates/`` and ``static/``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

from clearir.data.passages import QUESTION
from clearir.search.index import IndexInfo
from clearir.search.limits import Limits
from clearir.search.query import DEPTH, Compared, Hit, Moved, Searcher, is_right, snippet
from clearir.search.request import Asked
from clearir.settings import SearchExample
from clearir.support.languages import language_name
from clearir.support.templates import html_template
from clearir.support.texts import clean, printable

K_CHOICES = (5, 10, 20, 50)
_FACET_VALUES = 20
_FIELDS_SHOWN = 4


@dataclass(frozen=True)
class Facet:
    """A field with few values, each with its number of passages."""

    name: str
    values: list[tuple[str, str, int]]  # filter, label, passages


@dataclass(frozen=True)
class ShownHit:
    """A hit as it is shown."""

    hit: Hit
    title: str
    snippet: str
    rest: str  # the whole text, where the snippet is a part of it
    fields: list[tuple[str, str]]
    move: str = ""  # up, down, same, new or gone
    words: str = ""  # the same in words
    right: bool = False  # the passage that answers the query


class Page:
    """Renders pages about one index, or about two indexes of the same corpus."""

    def __init__(
        self, searcher: Searcher, base: Searcher | None, examples: Sequence[SearchExample], limits: Limits
    ) -> None:
        self._template = html_template(
            "clearir.search", "page.html.j2", language=language_name, clean=clean, short=short_name
        )
        self._known = {example.query: example for example in examples}
        self._fixed: dict[str, Any] = {
            "info": searcher.info,
            "base": None if base is None else base.info,
            "examples": _by_language(examples),
            "limits": limits,
            "k_choices": [k for k in K_CHOICES if k <= limits.k],
            "facets": _facets(searcher),
            "field": next((one.name for one in searcher.info.fields if one.name != QUESTION), None),
            "depth": DEPTH,
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
                "base": [_moved_row(moved, query, right, tuned=False) for moved in result.base],
                "tuned": [_moved_row(moved, query, right, tuned=True) for moved in result.tuned],
            }
            summary = summarise(result)
        else:
            sides, summary = {"hits": [_row(hit, query, right) for hit in result]}, ""
        return self._render(asked, sides=sides, summary=summary, milliseconds=round(1000 * seconds))

    def problem(self, asked: Asked, reason: str) -> str:
        """The page with an error."""
        return self._render(asked, problem=printable(reason))

    def login(self, reason: str) -> str:
        """The page that asks for the token; it shows nothing of the index."""
        return self._template.render(login=reason)

    def public_info(self, info: IndexInfo) -> dict[str, Any]:
        """The public facts of an index, without paths of this machine."""
        return asdict(info) | {"model": short_name(info.model), "corpus": short_name(info.corpus)}

    def _render(self, asked: Asked, **shown: Any) -> str:
        offered = {text for facet in self._fixed["facets"] for text, _, _ in facet.values}
        known = self._known.get(asked.queries[0].strip()) if asked.queries else None
        form = {
            "query": printable(asked.queries[0]) if asked.queries else "",
            "meaning": None if known is None else known.meaning,
            "k": str(asked.k),
            "hybrid": asked.hybrid,
            "chosen": asked.filters,
            "typed": [one for one in asked.filters if one not in offered],
        }
        nothing = {"sides": None, "summary": "", "milliseconds": 0, "problem": "", "login": ""}
        return self._template.render(**self._fixed, **form, **{**nothing, **shown})


def summarise(compared: Compared) -> str:
    """What changed between the models, in a sentence or two."""
    if not compared.tuned:
        return ""
    if compared.right is not None:
        before, after = map(_place_in_words, compared.right)
        return f"The right passage is {after} with the tuned model and {before} with the base model."
    count = len(compared.tuned)
    if all(moved.other == moved.hit.rank for moved in compared.tuned):
        return f"Both models return the same {count} passages in the same order."
    shown = {moved.hit.id for moved in compared.base}
    new = sum(moved.hit.id not in shown for moved in compared.tuned)
    if new == 0:
        which = f"Both models return the same {count} passages in a different order."
    elif new == count:
        which = f"None of the tuned model’s top {count} are in the base model’s top {count}."
    else:
        which = (
            f"{new} of the tuned model’s top {count} {'is' if new == 1 else 'are'} not in the base model’s top {count}."
        )
    first = compared.tuned[0].other
    if first == 1:
        return f"{which} The best passage is the same."
    return f"{which} The tuned model’s best passage is {_place_in_words(first)} with the base model."


def _by_language(examples: Sequence[SearchExample]) -> list[tuple[str, list[SearchExample]]]:
    found: dict[str, list[SearchExample]] = {}
    for example in examples:
        found.setdefault(example.language, []).append(example)
    return list(found.items())


def _place_in_words(rank: int | None) -> str:
    return f"below rank {DEPTH}" if rank is None else f"at rank {rank}"


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
    shown = snippet(text, query, 260)
    fields = [(name, value) for name, value in hit.fields.items() if name != QUESTION]
    return ShownHit(
        hit=hit,
        title=title_of(hit),
        snippet=shown,
        rest="" if shown == clean(text, len(text) + 1) else text,
        fields=[(clean(name, 40), clean(str(value), 60)) for name, value in fields[:_FIELDS_SHOWN]],
        right=is_right(hit, right),
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


def _facets(searcher: Searcher) -> list[Facet]:
    facets = []
    for name, counts in searcher.values(_FACET_VALUES).items():
        if len(counts) > 1:
            label = language_name if name == "language" else str
            values = [(f"{name}={value}", clean(label(value), 60), count) for value, count in counts.items()]
            facets.append(Facet(name, values))
    return facets
