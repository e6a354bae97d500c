"""Hold rows out by passage, and keep evaluation texts out of training.

```python
parts = split(rows, test={"de": 800, "uk": 500, "fi": 150}, seed=1)
parts.train, parts.dev, parts.test
rows, dropped = decontaminate(parts.train, evaluation_texts)
```

Rows of one passage are answers to each other's questions, so they never stand on two sides. Neither do rows of
passages that are nearly the same, or that are sections of one page.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from clearir.data.rows import Row
from clearir.support import languages as codes
from clearir.support.errors import InputError
from clearir.support.progress import task, track
from clearir.support.texts import text_key, words

if TYPE_CHECKING:
    from scipy.cluster.hierarchy import DisjointSet

Size = float | int | Mapping[str, int | float]

NEAR = 0.7  # share of three-word runs in common (Jaccard) from which on two passages are near-duplicates
RUN = 13  # words in a row that no two texts share by chance; GPT-3's measure of contamination (2005.14165, app. C)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of rows, each in the order of the input.

    Attributes:
        train: what is left.
        dev: to watch training with.
        test: to score with.
        groups: number of groups of rows that had to stay together.
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    groups: int


def split(rows: Sequence[Row], *, test: Size = 0.1, dev: Size = 0.0, seed: int = 0) -> Split:
    """Hold rows out, by groups of rows whose passages are the same or nearly so.

    Which side a row is on depends on the seed and on the rows, not on their order.

    Args:
        rows: of any languages. Rows without a target language count as rows of their bridge language.
        test: share of each language's rows (a float up to 1), number of rows of each language, or either by
            language; of a language that is not named, those rows are held out that share a passage with others.
        dev: likewise.
        seed: of the draw.

    Raises:
        InputError: more is asked for than there is, or an unknown language.
    """
    groups = _members(rows, seed)
    counts = Counter(_language(row) for row in rows)
    wanted = {"test": _wanted(test, counts, "test"), "dev": _wanted(dev, counts, "dev")}
    for language, count in counts.items():
        asked = sum(budget.get(language, 0) for budget in wanted.values())
        if asked and asked >= count:
            raise InputError(
                f"test and dev together ask for {asked} of the {count} rows of {language!r}, which leaves none"
                " for training; ask for less"
            )
    side = ["train"] * len(rows)
    for name, budget in wanted.items():
        for number in _draw(groups, rows, side, budget, name):
            side[number] = name
    parts = {name: tuple(row for row, at in zip(rows, side, strict=True) if at == name) for name in (*wanted, "train")}
    return Split(parts["train"], parts["dev"], parts["test"], len(groups))


def group(rows: Sequence[Row]) -> list[int]:
    """A number for each row; rows with the same number have to stay together.

    They do if their passages (or their target passages) are equal after normalisation, if they share a
    ``passage_id`` or a ``page_id``, or if their passages are near-duplicates: at least `NEAR` of their three-word runs
    in common, as estimated by MinHash. What hangs together over a third row does too.
    """
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet(range(len(rows)))
    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        keys = [
            ("passage", text_key(row.passage)),
            ("id", row.passage_id),
            ("page", row.page_id),
            ("target", row.target_passage),
        ]
        for kind, key in keys:
            if key is not None:
                key = text_key(key) if kind == "target" else key
                sets.merge(number, first.setdefault((kind, key), number))
    _merge_near([(key, number) for (kind, key), number in first.items() if kind == "passage"], sets)
    return [sets[number] for number in range(len(rows))]


def decontaminate(rows: Sequence[Row], texts: Iterable[str]) -> tuple[tuple[Row, ...], dict[str, int]]:
    """Drop training rows whose query or passage, in either language, stands in evaluation texts.

    It does if it equals one after normalisation, or shares a run of `RUN` words with one.

    Args:
        rows: to train on.
        texts: queries and passages of the evaluation sets.

    Returns:
        the rows that are left, and the number dropped by reason.
    """
    keys = {text_key(text) for text in texts}
    runs = {run for key in keys for run in _runs(key, RUN)}
    seen: dict[str, str | None] = {}

    def reason(text: str) -> str | None:
        if text not in seen:
            key = text_key(text)
            shared = any(run in runs for run in _runs(key, RUN))
            seen[text] = "equals" if key in keys else f"shares {RUN} words with" if shared else None
        return seen[text]

    left: list[Row] = []
    dropped: Counter[str] = Counter()
    for row in track(rows, "Comparing with evaluation texts"):
        columns = {"query": (row.query, row.target_query), "passage": (row.passage, row.target_passage)}
        found = [
            f"{column} {why} an evaluation text"
            for column, both in columns.items()
            for text in both
            if text is not None and (why := reason(text)) is not None
        ]
        if found:
            dropped[found[0]] += 1
        else:
            left.append(row)
    return tuple(left), dict(dropped)


def _language(row: Row) -> str:
    return row.language or row.bridge


def _members(rows: Sequence[Row], seed: int) -> list[list[int]]:
    """The rows of each group; the groups in an order that only the seed and the passages decide."""
    import xxhash

    members: dict[int, list[int]] = defaultdict(list)
    for number, name in enumerate(group(rows)):
        members[name].append(number)
    lots = [xxhash.xxh64_intdigest(text_key(row.passage).encode(), seed % 2**64) for row in rows]
    return sorted(members.values(), key=lambda numbers: min(lots[number] for number in numbers))


def _wanted(size: Size, counts: Mapping[str, int], name: str) -> dict[str, int]:
    """How many rows of each language to hold out."""
    if not isinstance(size, Mapping):
        return {language: _number(size, count, name) for language, count in counts.items()}
    sizes: dict[str, int] = {}
    for code, of_language in size.items():
        language = codes.normalise(code)
        if language not in counts:
            raise InputError(f"{name}: no rows in {language!r}; there are rows in {', '.join(sorted(counts))}")
        if language in sizes:
            raise InputError(f"{name}: {language!r} is given twice, also as {code!r}; give it once")
        sizes[language] = _number(of_language, counts[language], name)
    return sizes


def _number(size: Any, count: int, name: str) -> int:
    if isinstance(size, bool) or not isinstance(size, float | int) or not 0 <= size < inf:
        raise InputError(f"{name} is {size!r}; write a share such as 0.1, or a number of rows")
    return round(size * count) if isinstance(size, float) and size <= 1 else int(size)


def _draw(
    groups: Sequence[Sequence[int]], rows: Sequence[Row], side: Sequence[str], budget: Mapping[str, int], name: str
) -> Iterator[int]:
    """Rows of groups that fit into what is wanted of every language, the rarest language first.

    Were common languages first, they would be full before the few groups that have a rare one come up.
    """
    left = dict(budget)
    by_language: dict[str, list[tuple[Sequence[int], Counter[str]]]] = defaultdict(list)
    for numbers in groups:
        if side[numbers[0]] == "train":
            inside = Counter(_language(rows[number]) for number in numbers)
            for language in inside.keys() & left.keys():
                by_language[language].append((numbers, inside))
    taken: set[int] = set()
    for language in sorted(by_language, key=lambda code: (len(by_language[code]), code)):
        for numbers, inside in by_language[language]:
            fits = all(n <= left.get(code, inf) for code, n in inside.items())
            if left[language] and fits and numbers[0] not in taken:
                taken.update(numbers)
                left = {code: n - inside[code] for code, n in left.items()}
    yield from taken
    _tell(budget, left, name)


def _tell(budget: Mapping[str, int], left: Mapping[str, int], name: str) -> None:
    """Say where fewer rows were found than wanted."""
    for language, wanted in budget.items():
        if wanted and left[language] == wanted:
            raise InputError(
                f"{name}: none of the {wanted} rows wanted in {language!r} can be held out, because its passages are"
                " tied into larger groups or to other languages; ask for more rows, or name no other language"
            )
        if left[language]:
            logger.warning("%s has %d rows of %r; %d were wanted", name, wanted - left[language], language, wanted)


def _merge_near(passages: Sequence[tuple[str, int]], sets: DisjointSet) -> None:
    """Merge the rows of near-duplicate passages, given as pairs of normalised text and row."""
    import xxhash
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    # The index is asked for a little less than NEAR, since it misses some at the border, and each answer is checked.
    index = MinHashLSH(threshold=NEAR - 0.1, num_perm=128)
    signatures: dict[int, Any] = {}
    remaining = iter(passages)
    with task("Looking for near-duplicate passages", total=len(passages)) as advance:
        while chunk := list(islice(remaining, 1000)):
            shingles = [{run.encode() for run in _runs(key, 3)} or {key.encode()} for key, _ in chunk]
            hashed = MinHash.bulk(shingles, num_perm=128, hashfunc=xxhash.xxh32_intdigest)
            for (_, number), signature in zip(chunk, hashed, strict=True):
                for other in index.query(signature):
                    if not sets.connected(number, other) and signature.jaccard(signatures[other]) >= NEAR:
                        sets.merge(number, other)
                index.insert(number, signature)
                signatures[number] = signature
                advance()


def _runs(text: str, length: int) -> Iterator[str]:
    """All runs of ``length`` words."""
    every = words(text)
    return (" ".join(every[start : start + length]) for start in range(len(every) - length + 1))
