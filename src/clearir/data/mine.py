"""Hard negatives for both sides of a row: passages for its query, target queries for its passage.

```python
mined = mine(rows, model, negatives=5, target_negatives=5, window=(10, 100))
mined.rows                  # the same rows with negatives and target_negatives filled in
mined.topped_up_passages    # how many rows had too few candidates in the window
```

``sentence_transformers.util.mine_hard_negatives`` mines one column against another. It is not enough here, and
nothing of it can be kept: it cannot rank one text and return another (the English query and its translation), knows
only one corpus for all languages, takes a positive to be the same query's passage and not every passage's query,
drops a row that ends up with too few, samples without a seed, and would encode the texts once for each side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clearir.data.rows import Row
from clearir.data.texts import text_key
from clearir.errors import InputError
from clearir.progress import task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clearir.shards import ReadyVectors

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]

# Scores held at a time: 64 million float32 are 256 MB, whatever the number of texts.
_BLOCK = 1 << 26


@dataclass(frozen=True, eq=False)
class Mined:
    """Rows with negatives.

    Attributes:
        rows: in the order given; negatives that they had before are replaced. The hardest negative comes first.
        topped_up_passages: rows of which at least one negative passage is random, for want of candidates in the window.
        topped_up_queries: the same for target queries.
        scores: cosine similarities, one array each: ``"passage"`` and ``"negative passage"`` against the query,
            ``"query"`` and ``"negative query"`` against the passage.
    """

    rows: tuple[Row, ...]
    topped_up_passages: int
    topped_up_queries: int
    scores: Mapping[str, Vectors]


def mine(
    rows: Sequence[Row],
    model: Any,
    *,
    negatives: int = 5,
    target_negatives: int = 5,
    window: tuple[int, int] = (10, 100),
    margin: float | None = None,
    max_score: float | None = None,
    mine_target: Literal["bridge", "target"] = "bridge",
    seed: int = 0,
    cache: str | Path | None = None,
    ready: ReadyVectors | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Mined:
    """Give every row hard negatives: passages that its query finds, target queries that its passage finds.

    Candidates are the other rows' passages (of the same bridge language) and the other rows' target queries (of the
    same target language). Never a candidate: a passage of any row with the same question, a query of any row with the
    same passage, and whatever is the same text as one of those (`clearir.data.texts.text_key`). Each distinct text is
    encoded once for both sides; scores are computed block by block, so memory grows with the number of texts
    and not with its square.

    Args:
        rows: of one or several languages and bridges. Rows without target query get passages only.
        model: a SentenceTransformer, or a function (texts, "query" or "passage") -> unit vectors, float32 [texts, dim],
            for embeddings made elsewhere.
        negatives: passages a row; 0 leaves this side out.
        target_negatives: target queries a row; 0 leaves this side out.
        window: first and last rank, counted from 1 among the candidates, from which negatives are drawn at random.
            The very first ranks are skipped because unlabelled right answers gather there.
        margin: drop candidates that score above ``positive - margin * |positive|`` (0.05 in NV-Retriever, 2407.15831).
        max_score: drop candidates that score above this cosine.
        mine_target: "bridge" ranks the bridge queries against the passage and takes their translations, so a model
            that cannot read the target language finds hard negatives in it; "target" ranks the target queries.
        seed: of the draw. The same rows, model and seed give the same negatives.
        cache: folder of finished embeddings (see `clearir.encode`).
        ready: vectors of the passages, as ``clearir encode`` made them with this model.
        prompts: what to put before a text, ``{"query": "query: ", "passage": "passage: "}``; a kind that is missing
            gets what the model was saved with.

    Raises:
        InputError: a setting is out of range, or some row has fewer other texts to choose from than it needs.
    """
    low, high = window
    for wanted in (negatives, target_negatives):
        if wanted < 0 or not 1 <= low <= high or high - low + 1 < wanted:
            raise InputError(
                f"cannot draw {wanted} negatives from ranks {low} to {high}; the first rank is at least 1 and the"
                " window holds at least as many ranks as negatives"
            )
    if mine_target not in ("bridge", "target"):
        raise InputError(f"mine_target is {mine_target!r}; write bridge or target")
    draw = _Draw(low, high, margin, max_score, seed)
    table = _Table(rows)
    embed = model if not hasattr(model, "encode") else _embedder(model, cache, ready, prompts or {})
    passages, queries = embed(table.passages, "passage"), embed(table.queries, "query")
    by_bridge, by_language = table.groups()
    near = _Side("negative passages", "passage", draw, negatives, 0)
    if negatives:
        for name, numbers in by_bridge.items():
            near.search(_passage_group(table, name, numbers, queries, passages))
    targets = _Side("negative target queries", "query", draw, target_negatives, 1)
    if target_negatives and by_language:
        of_target = embed(table.targets, "query") if mine_target == "target" else queries[table.query_of_target]
        for name, numbers in by_language.items():
            targets.search(_target_group(table, name, numbers, passages, of_target))
    return Mined(
        tuple(
            replace(
                row,
                negatives=tuple(table.passages[c] for c in near.found.get(i, ())),
                target_negatives=tuple(table.targets[c] for c in targets.found.get(i, ())),
            )
            for i, row in enumerate(rows)
        ),
        near.topped_up,
        targets.topped_up,
        near.scores() | targets.scores(),
    )


def _embedder(
    model: Any, cache: str | Path | None, ready: ReadyVectors | None, prompts: Mapping[str, str]
) -> Callable[[list[str], str], Vectors]:
    from clearir.encode import encode, prompts_of

    chosen = prompts_of(model, prompts.get("query"), prompts.get("passage"))
    if ready is not None:
        ready.check(model, chosen.passage)
    folder = None if cache is None else Path(cache)

    def embed(texts: list[str], kind: str) -> Vectors:
        if kind == "query":
            return encode(model, texts, prompt=chosen.query, cache=folder, description="Encoding queries")
        return encode(model, texts, prompt=chosen.passage, cache=folder, ready=ready, description="Encoding passages")

    return embed


class _Numbering:
    """Distinct texts, numbered; texts with the same key are one and keep their first spelling."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, text: str, *place: str) -> int:
        number = self._numbers.setdefault((*place, text_key(text)), len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


class _Table:
    """The rows as numbers, and which texts answer one another."""

    def __init__(self, rows: Sequence[Row]) -> None:
        import numpy as np

        self.rows = rows
        passages, queries, targets = _Numbering(), _Numbering(), _Numbering()
        self.p = [passages.number(row.passage, row.bridge) for row in rows]
        self.q = [queries.number(row.query, row.bridge) for row in rows]
        self.t = [
            targets.number(row.target_query, row.bridge, row.language)
            if row.target_query is not None and row.language is not None
            else None
            for row in rows
        ]
        self.passages, self.queries, self.targets = passages.texts, queries.texts, targets.texts
        first: dict[int, int] = {}
        self.targets_of_query: dict[int, set[int]] = defaultdict(set)
        for q, t in zip(self.q, self.t, strict=True):
            if t is not None:
                first.setdefault(t, q)
                self.targets_of_query[q].add(t)
        self.query_of_target = np.array([first[t] for t in range(len(self.targets))], dtype=np.int64)
        # A question is known by its text, its id or its translation; a passage by its text or its id.
        questions = [[q, ("id", row.query_id), ("t", t)] for q, t, row in zip(self.q, self.t, rows, strict=True)]
        answers = [[p, ("id", row.passage_id)] for p, row in zip(self.p, rows, strict=True)]
        self.passages_of_question = _partners(questions, self.p)
        self.questions_of_passage = _partners(answers, self.q)
        self.question_names, self.passage_names = questions, answers

    def groups(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Row numbers by bridge, and by bridge and target language (rows without target query left out)."""
        by_bridge: dict[str, list[int]] = defaultdict(list)
        by_language: dict[str, list[int]] = defaultdict(list)
        for i, row in enumerate(self.rows):
            by_bridge[row.bridge].append(i)
            if self.t[i] is not None:
                by_language[f"{row.language} over {row.bridge}"].append(i)
        return by_bridge, by_language


def _partners(names: Iterable[Iterable[Hashable]], partners: Iterable[int]) -> dict[Hashable, set[int]]:
    found: dict[Hashable, set[int]] = defaultdict(set)
    for row_names, partner in zip(names, partners, strict=True):
        for name in row_names:
            if not (isinstance(name, tuple) and name[1] is None):  # no id, no translation
                found[name].add(partner)
    return found


@dataclass(frozen=True)
class _Group:
    """One ranking problem. Anchors and candidates are numbered from 0; ``rows[a]`` are the rows of anchor a."""

    name: str
    anchors: Vectors
    candidates: Vectors
    numbers: list[int]  # candidate -> number of its text
    rows: list[list[int]]
    banned: list[list[int]]  # anchor -> candidates that are right answers
    positives: dict[int, int]  # row -> candidate that is its own right answer


def _passage_group(table: _Table, name: str, rows: list[int], queries: Vectors, passages: Vectors) -> _Group:
    def answers(row: int) -> set[int]:
        names = table.question_names[row]
        return set().union(*(table.passages_of_question.get(name, ()) for name in names))

    return _group(name, rows, table.q, table.p, queries, passages, answers)


def _target_group(table: _Table, name: str, rows: list[int], passages: Vectors, targets: Vectors) -> _Group:
    def answers(row: int) -> set[int]:
        names = table.passage_names[row]
        questions: set[int] = set().union(*(table.questions_of_passage.get(name, ()) for name in names))
        return set().union(*(table.targets_of_query[q] for q in questions))

    return _group(name, rows, table.p, [-1 if t is None else t for t in table.t], passages, targets, answers)


def _group(
    name: str,
    rows: list[int],
    anchor_of: list[int],
    candidate_of: list[int],
    anchors: Vectors,
    candidates: Vectors,
    answers: Callable[[int], set[int]],
) -> _Group:
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        rows_of[anchor_of[row]].append(row)
    numbers = list(dict.fromkeys(candidate_of[row] for row in rows))
    place = {number: column for column, number in enumerate(numbers)}
    banned = [sorted({place[n] for row in own for n in answers(row) if n in place}) for own in rows_of.values()]
    positives = {row: place[candidate_of[row]] for row in rows}
    return _Group(
        name,
        _take(anchors, list(rows_of)),
        _take(candidates, numbers),
        numbers,
        list(rows_of.values()),
        banned,
        positives,
    )


def _take(vectors: Vectors, numbers: list[int]) -> Vectors:
    """``vectors[numbers]`` without a copy where that is all of them."""
    return vectors if numbers == list(range(len(vectors))) else vectors[numbers]


@dataclass(frozen=True)
class _Draw:
    """How negatives are taken from a ranking."""

    low: int
    high: int
    margin: float | None
    max_score: float | None
    seed: int

    def allowed(self, scores: Vectors, positive: float) -> NDArray[np.bool_]:
        import numpy as np

        limit = np.inf if self.margin is None else positive - abs(positive) * self.margin
        allowed: NDArray[np.bool_] = scores <= min(limit, np.inf if self.max_score is None else self.max_score)
        return allowed


class _Side:
    """Negatives of one kind, gathered over groups."""

    def __init__(self, what: str, kind: str, draw: _Draw, wanted: int, number: int) -> None:
        self.what, self.kind, self.draw, self.wanted, self.number = what, kind, draw, wanted, number
        self.found: dict[int, list[int]] = {}
        self.topped_up = 0
        self._positive_scores: list[float] = []
        self._negative_scores: list[Vectors] = []

    def scores(self) -> dict[str, Vectors]:
        import numpy as np

        negative = np.concatenate(self._negative_scores) if self._negative_scores else np.empty(0, np.float32)
        return {self.kind: np.array(self._positive_scores, dtype=np.float32), f"negative {self.kind}": negative}

    def search(self, group: _Group) -> None:
        """Fill in the rows of one group."""
        self._check(group)
        with task(f"Mining {self.what} ({group.name})", len(group.rows)) as advance:
            for anchor, columns, scores in _ranked(group, self.draw.high):
                for row in group.rows[anchor]:
                    self._choose(group, anchor, row, columns, scores)
                advance(1)

    def _check(self, group: _Group) -> None:
        for anchor, banned in enumerate(group.banned):
            free = len(group.numbers) - len(banned)
            if free < self.wanted:
                raise InputError(
                    f"row {group.rows[anchor][0] + 1} ({group.name}): only {free} other texts to take {self.wanted}"
                    f" {self.what} from; give more rows or ask for at most {free}"
                )

    def _choose(self, group: _Group, anchor: int, row: int, columns: Ids, scores: Vectors) -> None:
        import numpy as np

        generator = np.random.default_rng((self.draw.seed, self.number, row))
        positive = float(group.anchors[anchor] @ group.candidates[group.positives[row]])
        low = self.draw.low - 1
        columns, scores = columns[low:], scores[low:]
        places = np.flatnonzero(self.draw.allowed(scores, positive))
        if len(places) > self.wanted:
            places = np.sort(generator.choice(places, self.wanted, replace=False))
        chosen, near = columns[places].tolist(), scores[places]
        if len(chosen) < self.wanted:
            extra = _others(len(group.numbers), {*group.banned[anchor], *chosen}, self.wanted - len(chosen), generator)
            chosen += extra
            near = np.concatenate([near, group.candidates[extra] @ group.anchors[anchor]])
            self.topped_up += 1
        self.found[row] = [group.numbers[column] for column in chosen]
        self._positive_scores.append(positive)
        self._negative_scores.append(near)


def _others(count: int, taken: set[int], wanted: int, generator: np.random.Generator) -> list[int]:
    """``wanted`` different numbers below ``count`` that are not ``taken``, at random."""
    if count < 4 * (len(taken) + wanted):
        free = [number for number in range(count) if number not in taken]
        return [int(number) for number in generator.choice(free, wanted, replace=False)]
    found: dict[int, None] = {}  # in a large pool a blind draw is nearly always free
    while len(found) < wanted:
        number = int(generator.integers(count))
        if number not in taken:
            found[number] = None
    return list(found)


def _ranked(group: _Group, depth: int) -> Iterator[tuple[int, Ids, Vectors]]:
    """For each anchor the best candidates that are not banned, at most ``depth``, best first, with their scores."""
    import numpy as np
    import torch

    candidates = torch.from_numpy(np.ascontiguousarray(group.candidates))
    count = len(candidates)
    step = max(1, _BLOCK // count)
    for start in range(0, len(group.anchors), step):
        block = torch.from_numpy(np.ascontiguousarray(group.anchors[start : start + step]))
        scores = block @ candidates.T
        banned = group.banned[start : start + step]
        lines = torch.tensor([line for line, columns in enumerate(banned) for _ in columns], dtype=torch.long)
        scores[lines, torch.tensor([c for columns in banned for c in columns], dtype=torch.long)] = -torch.inf
        best, columns = torch.topk(scores, min(depth, count), dim=1)
        for line, (values, places) in enumerate(zip(best.numpy(), columns.numpy(), strict=True)):
            free = values > -np.inf
            yield start + line, places[free], values[free]
