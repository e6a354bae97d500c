"""Hard negatives for both sides of a row: passages for its query, target queries for its passage.

```python
mined = mine(rows, model, MineSettings(negatives=5, target_negatives=5, window=(10, 100)))
mined.rows                  # the same rows with negatives and target_negatives filled in
mined.topped_up_passages    # how many rows had too few candidates in the window
```

``sentence_transformers.util.mine_hard_negatives`` mines one column against another. It is not enough here, and
nothing of it can be kept: it cannot rank one text and return another (the English query and its translation), knows
only one corpus for all languages, takes a positive to be the same query's passage and not every passage's query,
drops a row that ends up with too few, samples without a seed, and would encode the texts once for each side.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.answers import Answers, Group
from clearir.data.rows import Row
from clearir.evaluation.ranking import BLOCK, score_blocks, top_columns
from clearir.settings import MineSettings
from clearir.support.errors import InputError
from clearir.support.progress import task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clearir.models.ready_vectors import ReadyVectors

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Mined:
    """Rows with negatives.

    Attributes:
        rows: in the order given; negatives that they had before are replaced. The hardest negative comes first.
        topped_up_passages: rows of which at least one negative passage is random, for want of candidates in the window.
        topped_up_queries: the same for target queries.
        above_limit: of both, those for which too few candidates score below ``margin`` and ``max_score``.
        scores: cosine similarities, one array each: ``"passage"`` and ``"negative passage"`` against the query,
            ``"query"`` and ``"negative query"`` against the passage.
    """

    rows: tuple[Row, ...]
    topped_up_passages: int
    topped_up_queries: int
    above_limit: int
    scores: Mapping[str, Vectors]


def mine(
    rows: Sequence[Row],
    model: Any,
    settings: MineSettings,
    *,
    seed: int = 0,
    cache: str | Path | None = None,
    ready: ReadyVectors | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Mined:
    """Give every row hard negatives: passages that its query finds, target queries that its passage finds.

    Candidates are the other rows' passages (of the same bridge language) and the other rows' target queries (of the
    same target language). Never a candidate: a passage of any row with the same question, a query of any row with the
    same passage, and whatever is the same text as one of those (`clearir.support.texts.text_key`). Each distinct text
    is encoded once for both sides; scores are computed block by block, so memory grows with the number of texts and
    not with its square.

    Args:
        rows: of one or several languages and bridges. Rows without target query get passages only.
        model: a SentenceTransformer; a MultiVectorEncoder, of which the mean of a text's token vectors is taken; a
            SparseEncoder, of which words are added up in fewer dimensions; or a
            function (texts, "query" or "passage") -> unit vectors, float32 [texts, dim],
            for embeddings made elsewhere.
        settings: how many, from which ranks, below which scores; see `MineSettings`.
        seed: of the draw. The same rows, model and seed give the same negatives.
        cache: folder of finished embeddings (see `clearir.models.encode`).
        ready: vectors of the passages, as ``clearir encode`` made them with this model.
        prompts: what to put before a text, ``{"query": "query: ", "passage": "passage: "}``; a kind that is missing
            gets what the model was saved with.

    Raises:
        InputError: some row has fewer other texts to choose from than it needs.
    """
    answers = Answers(rows)
    draw = _Draw(*settings.window, settings.margin, settings.max_score, seed)
    near = _Side("negative passages", "passage", draw, settings.negatives, 0, answers.passage_groups)
    targets = _Side("negative target queries", "query", draw, settings.target_negatives, 1, answers.target_groups)
    texts = {"passage": answers.passages, "query": answers.queries, "target": answers.targets}

    @functools.cache
    def vectors(kind: str) -> Vectors:
        embed = model if not hasattr(model, "encode") else _embedder(model, cache, ready, prompts or {})
        return embed(texts[kind], "passage" if kind == "passage" else "query")

    def of_target() -> Vectors:
        return vectors("target") if settings.mine_target == "target" else vectors("query")[answers.query_of_target]

    if near.groups:
        near.search(vectors("query"), vectors("passage"))
    if targets.groups:
        targets.search(vectors("passage"), of_target())
    above = near.above_limit + targets.above_limit
    if above:
        logger.warning(
            "%d rows have negatives that score above margin or max_score, the lowest there are: too few texts score "
            "below; ask for fewer negatives, or raise the limit",
            above,
        )
    return Mined(
        tuple(
            replace(
                row,
                negatives=tuple(answers.passages[c] for c in near.found.get(i, ())),
                target_negatives=tuple(answers.targets[c] for c in targets.found.get(i, ())),
            )
            for i, row in enumerate(rows)
        ),
        near.topped_up,
        targets.topped_up,
        above,
        near.scores() | targets.scores(),
    )


def _embedder(
    model: Any, cache: str | Path | None, ready: ReadyVectors | None, prompts: Mapping[str, str]
) -> Callable[[list[str], str], Vectors]:
    from clearir.models.encode import encode
    from clearir.models.prompts import prompts_of
    from clearir.models.sparse import encode_sparse, gives_word_weights
    from clearir.models.token_vectors import encode_tokens, makes_token_vectors, mean_of_tokens

    chosen = prompts_of(model, prompts.get("query"), prompts.get("passage"))
    if ready is not None:
        ready.check(model, chosen.passage)
    folder = None if cache is None else Path(cache)

    def embed(texts: list[str], kind: Any) -> Vectors:
        prompt, description = getattr(chosen, kind), "Encoding queries" if kind == "query" else "Encoding passages"
        if gives_word_weights(model):
            return encode_sparse(model, texts, prompt=prompt, description=description).hashed()
        if makes_token_vectors(model):
            return mean_of_tokens(encode_tokens(model, texts, kind, prompt=prompt, description=description))
        known = ready if kind == "passage" else None
        return encode(model, texts, prompt=prompt, cache=folder, ready=known, description=description)

    return embed


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

    @property
    def is_limited(self) -> bool:
        return self.margin is not None or self.max_score is not None

    def allowed(self, scores: Vectors, positive: float) -> NDArray[np.bool_]:
        import numpy as np

        limit = np.inf if self.margin is None else positive - abs(positive) * self.margin
        allowed: NDArray[np.bool_] = scores <= min(limit, np.inf if self.max_score is None else self.max_score)
        return allowed

    def others(
        self, scores: Vectors, positive: float, taken: set[int], wanted: int, generator: np.random.Generator
    ) -> tuple[list[int], bool]:
        """``wanted`` candidates that are not ``taken``, at random among those that may be negatives.

        Where these are too few, the lowest of the others are taken too.

        Returns:
            their places, and whether some score above the limits.
        """
        import numpy as np

        free = np.ones(len(scores), dtype=bool)
        free[list(taken)] = False
        allowed = self.allowed(scores, positive) & free
        places = np.flatnonzero(allowed)
        if len(places) >= wanted:
            return generator.choice(places, wanted, replace=False).tolist(), False
        above = np.flatnonzero(free & ~allowed)
        lowest = above[np.argsort(scores[above], kind="stable")[: wanted - len(places)]]
        return [*places.tolist(), *lowest.tolist()], True


class _Side:
    """Negatives of one kind, gathered over groups.

    Raises:
        InputError: some row has fewer other texts to choose from than it needs.
    """

    def __init__(
        self, what: str, kind: str, draw: _Draw, wanted: int, number: int, groups: Callable[[], list[Group]]
    ) -> None:
        self.what, self.kind, self.draw, self.wanted, self.number = what, kind, draw, wanted, number
        self.groups = groups() if wanted else []
        self.found: dict[int, list[int]] = {}
        self.topped_up = self.above_limit = 0
        self._positive_scores: list[float] = []
        self._negative_scores: list[Vectors] = []
        for group in self.groups:
            self._check(group)

    def scores(self) -> dict[str, Vectors]:
        import numpy as np

        negative = np.concatenate(self._negative_scores) if self._negative_scores else np.empty(0, np.float32)
        return {self.kind: np.array(self._positive_scores, dtype=np.float32), f"negative {self.kind}": negative}

    def search(self, anchors: Vectors, candidates: Vectors) -> None:
        """Fill in the rows, from the vectors of all texts."""
        for group in self.groups:
            own, others = _take(anchors, group.anchors), _take(candidates, group.candidates)
            with task(f"Mining {self.what} ({group.name})", len(group.rows)) as advance:
                for number, places, scores in _ranked(own, others, group.banned, self.draw.high):
                    for row in group.rows[number]:
                        self._choose(group, number, row, own[number], others, places, scores)
                    advance(1)

    def _check(self, group: Group) -> None:
        for anchor, banned in enumerate(group.banned):
            free = len(group.candidates) - len(banned)
            if free < self.wanted:
                raise InputError(
                    f"row {group.rows[anchor][0] + 1} ({group.name}): only {free} other texts to take {self.wanted}"
                    f" {self.what} from; give more rows or ask for at most {free}"
                )

    def _choose(
        self, group: Group, number: int, row: int, anchor: Vectors, candidates: Vectors, places: Ids, scores: Vectors
    ) -> None:
        import numpy as np

        generator = np.random.default_rng((self.draw.seed, self.number, row))
        positive = float(anchor @ candidates[group.positives[row]])
        low = self.draw.low - 1
        places, scores = places[low:], scores[low:]
        drawn = np.flatnonzero(self.draw.allowed(scores, positive))
        if len(drawn) > self.wanted:
            drawn = np.sort(generator.choice(drawn, self.wanted, replace=False))
        chosen, near = places[drawn].tolist(), scores[drawn]
        if len(chosen) < self.wanted:
            taken, missing = {*group.banned[number], *chosen}, self.wanted - len(chosen)
            if self.draw.is_limited:
                extra, above = self.draw.others(candidates @ anchor, positive, taken, missing, generator)
                self.above_limit += above
            else:
                extra = _others(len(candidates), taken, missing, generator)
            chosen += extra
            near = np.concatenate([near, candidates[extra] @ anchor])
            self.topped_up += 1
        self.found[row] = [group.candidates[place] for place in chosen]
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


def _ranked(
    anchors: Vectors, candidates: Vectors, banned: Sequence[Sequence[int]], depth: int
) -> Iterator[tuple[int, Ids, Vectors]]:
    """For each anchor the best candidates that are not banned, at most ``depth``, best first, with their scores."""
    import numpy as np

    depth = min(depth, len(candidates))
    for start, scores in score_blocks(anchors, candidates, banned, block=BLOCK):
        columns = top_columns(scores, depth)
        best = scores.gather(1, columns)
        for line, (values, places) in enumerate(zip(best.numpy(), columns.numpy(), strict=True), start=start):
            free = values > -np.inf
            yield line, places[free], values[free]
