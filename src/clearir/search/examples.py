"""Queries that a page offers, and how many of those whose right passage is known find it first.

```python
examples = read_examples(Path("runs/demo/searches.json"))
count_first(examples, searcher, base)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearir.data.prepared import read_part
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError
from clearir.evaluation.searches import held_out
from clearir.search.query import Searcher, is_right
from clearir.settings import SearchExample
from clearir.support import languages
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError


@dataclass(frozen=True)
class First:
    """Of the queries of a language, how many have their right passage in the first place.

    Attributes:
        language: of the queries.
        queries: whose right passage is known.
        tuned: with it first, of the index.
        base: with it first, of the index of the base model; None where there is none.
    """

    language: str
    queries: int
    tuned: int
    base: int | None


def read_examples(path: Path) -> list[SearchExample]:
    """Queries out of a file of records (``{"language": "fi", "query": "..."}``, perhaps with meaning and right).

    Of the rows of a run (``runs/demo/rows``) all target queries that were held out.

    Raises:
        InputError: the file cannot be read, or a record has no language or query; the message names the place.
    """
    if (path / MANIFEST).is_file():
        rows = read_part(path, "test")
        return held_out(rows, len(rows))
    found: list[SearchExample] = []
    for file in files.find(path):
        for place, record in files.records(file):
            if isinstance(record, BadRowError):
                raise record
            language, query = record.get("language"), record.get("query")
            if not isinstance(language, str) or not isinstance(query, str) or not query.strip():
                raise InputError(f'{place}: an example is {{"language": "fi", "query": "..."}}')
            known = {name: value for name in ("meaning", "right") if isinstance(value := record.get(name), str)}
            found.append(SearchExample(language=languages.normalise(language), query=query.strip(), **known))
    return found


def count_first(examples: Sequence[SearchExample], tuned: Searcher, base: Searcher | None = None) -> list[First]:
    """How often the right passage stands first, a line a language, in the order of the examples.

    Raises:
        InputError: of no example the right passage is known.
    """
    known = [example for example in examples if example.right is not None]
    if not known:
        raise InputError('no example says which passage is right; add it: {"query": "...", "right": "the passage"}')
    queries = [example.query for example in known]

    def firsts(searcher: Searcher) -> list[bool]:
        found = searcher.search_many(queries, 1)
        return [bool(hits) and is_right(hits[0], one.right) for one, hits in zip(known, found, strict=True)]

    after = firsts(tuned)
    before = None if base is None else firsts(base)
    lines = []
    for language in dict.fromkeys(example.language for example in known):
        places = [i for i, example in enumerate(known) if example.language == language]
        counts = [None if side is None else sum(side[i] for i in places) for side in (after, before)]
        lines.append(First(language, len(places), counts[0] or 0, counts[1]))
    return lines
