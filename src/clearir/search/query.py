"""Searching an index: by meaning, with words beside it, and with two models against each other.

```python
searcher = Searcher.open("index")
searcher.search("kuinka salaan levyn", k=10, hybrid=True, filters=["language=en"])
```

With a reranker (`clearir.models.reranker`), the first passages that are found are put in its order.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clearir.data.passages import Passage, Value
from clearir.models.any_kind import encode_with_vectors
from clearir.models.token_vectors import TokenVectors, similarities
from clearir.search import filters as conditions
from clearir.search import store
from clearir.search.highlight import sentences
from clearir.search.index import IndexInfo, load_info
from clearir.search.request import check_text
from clearir.support.errors import ClearirError, InputError
from clearir.support.texts import clean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

    from clearir.models.onnx_encoder import OnnxEncoder
    from clearir.models.reranker import Reranking
    from clearir.models.token_vectors import TextKind, TextVectors

T = TypeVar("T")
MAX_K = 1000
#: constant of reciprocal rank fusion (Cormack et al., SIGIR 2009)
RRF_K = 60
#: ranks that are fused, and those in which `compare` looks for a passage of the other model
DEPTH = 100
_REMEMBERED = 1024
_LOOKED_AT = 100  # passages


class IndexGoneError(ClearirError):
    """An index was replaced or removed while it was open."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    Attributes:
        rank: from 1.
        score: cosine of query and passage, or their mean MaxSim where each token has a vector; in any mode.
        id: of the passage.
        title: of the passage, perhaps empty.
        text: of the passage.
        language: of the passage, where it is known.
        fields: its other fields.
        words: its rank by words, in a hybrid search.
        rerank_score: what a reranker gave it, which then decides the rank, alone or with ``score``
            (`clearir.models.reranker.Reranking`); None where it was not reranked.
    """

    rank: int
    score: float
    id: str
    title: str
    text: str
    language: str | None
    fields: Mapping[str, Value]
    words: int | None = None
    rerank_score: float | None = None


@dataclass(frozen=True)
class Moved:
    """A hit of one model, and where the other model has the same passage.

    Attributes:
        hit: of the one model.
        other: its rank with the other one; None where that is beyond `DEPTH`.
    """

    hit: Hit
    other: int | None


@dataclass(frozen=True)
class Compared:
    """The first hits of two models for the same query.

    Attributes:
        base: hits of the base model.
        tuned: hits of the tuned model.
        right: the passage that answers the query, as a hit of the base and of the tuned model, None where it is beyond
            `DEPTH`. The whole is None where no such passage is known.
    """

    base: list[Moved]
    tuned: list[Moved]
    right: tuple[Hit | None, Hit | None] | None = None


class Searcher:
    """An index and the model that made it. Can be used from several threads."""

    def __init__(
        self,
        info: IndexInfo,
        table: Any,
        model: SentenceTransformer | MultiVectorEncoder | OnnxEncoder,
        rerank: Reranking | None = None,
    ) -> None:
        self.info = info
        self.rerank = rerank
        self._table = table
        self._model = model
        self._lock = threading.Lock()  # a tokenizer serves one thread at a time, and two batches at once gain nothing
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._names = {field.column: field.name for field in info.fields}
        self._columns = ["id", "title", "text", "language", *self._names]

    @classmethod
    def open(
        cls,
        location: str | Path,
        *,
        model: str | None = None,
        device: str | None = None,
        trust_remote_code: bool = False,
        light: bool = False,
        rerank: Reranking | None = None,
    ) -> Searcher:
        """Open an index and load its model.

        Args:
            location: folder or URI that `build_index` wrote.
            model: where the model lies now; by default where it lay when the corpus was indexed.
            device: as torch names it.
            trust_remote_code: run code that comes with the model. It is never taken from the index.
            light: where the model is an export (`clearir export`), encode queries with its ONNX file on the CPU: it is
                loaded in a fraction of the time, as torch is not needed.
            rerank: puts the first passages of each query in order, whether these were found by meaning alone or not.

        Raises:
            InputError: no finished index, or another model than the one that made it.
            MissingExtraError: LanceDB is not installed.
        """
        from clearir.models.onnx_encoder import exported_encoder

        info = load_info(location)
        name = model or info.model
        found: SentenceTransformer | MultiVectorEncoder | OnnxEncoder | None = None
        if light:
            found = exported_encoder(name, info.model_hash, info.max_seq_length)
        if found is None:
            found = _load(location, info, name, device, trust_remote_code)
        return cls(info, store.connect(location).open_table(store.PASSAGES), found, rerank)

    def encode(self, queries: Sequence[str]) -> list[NDArray[np.float32]]:
        """Vectors of queries, of unit length; or token vectors, (tokens, dim). The last thousand are remembered."""
        with self._lock:
            new = [query for query in dict.fromkeys(queries) if query not in self._vectors]
            vectors = self._encode(new, "query")
            each = vectors.arrays() if isinstance(vectors, TokenVectors) else vectors
            found: dict[str, NDArray[np.float32]] = dict(zip(new, each, strict=True))
            found.update({query: self._vectors[query] for query in queries if query in self._vectors})
            self._vectors.update(found)
            for query in queries:
                self._vectors.move_to_end(query)
            while len(self._vectors) > _REMEMBERED:
                self._vectors.popitem(last=False)
        return [found[query] for query in queries]

    def warm_up(self) -> None:
        """Answer one query, so that the next does not wait for what is loaded at the first."""
        self.search("warm-up", 1)

    def search(self, query: str, k: int = 10, *, hybrid: bool = False, filters: Sequence[str] = ()) -> list[Hit]:
        """The k best passages for a query.

        Args:
            query: in any language.
            k: how many.
            hybrid: fuse with a search for the query's words, by reciprocal rank.
            filters: conditions on fields; see `clearir.search.filters`.

        Raises:
            InputError: an empty query or one with what is no character, a filter that cannot be used, or ``k`` out of
                range.
            IndexGoneError: the index was replaced or removed since it was opened.
        """
        return self.search_many([query], k, hybrid=hybrid, filters=filters)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, hybrid: bool = False, filters: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """The k best passages for each of several queries, which are encoded together.

        Raises:
            InputError: as `search` does.
            IndexGoneError: the index was replaced or removed since it was opened.
        """
        if not 1 <= k <= MAX_K:
            raise InputError(f"k is {k}; give a number from 1 to {MAX_K}")
        for query in queries:
            check_text(query, "query")
            if not query.strip():
                raise InputError("the query is empty; type what to look for")
        where = conditions.condition(filters, self.info.all_fields)
        cleaned = [query.strip() for query in queries]
        vectors = self.encode(cleaned)
        depth = k if self.rerank is None else max(k, self.rerank.top)
        with _gone():
            found = [
                self._fused(query, vector, depth, where) if hybrid else self._by_meaning(vector, depth, where)
                for query, vector in zip(cleaned, vectors, strict=True)
            ]
        if self.rerank is not None:
            found = _reranked(cleaned, found, self.rerank)
        return [hits[:k] for hits in found]

    def best_sentence(self, query: str, identity: str) -> tuple[str, int, int] | None:
        """The sentence of a passage that is closest to a query, of those that the model read.

        Args:
            query: in any language.
            identity: id of the passage.

        Returns:
            The text of the passage, and where the sentence begins and ends in it; None where there is no such passage,
            or the model read one sentence alone.

        Raises:
            InputError: as `search` does.
            IndexGoneError: the index was replaced or removed since it was opened.
        """
        check_text(query, "query")
        with _gone():
            row = store.row_by_id(self._table, identity, ["title", "text"])
        if row is None:
            return None
        [vector] = self.encode([query.strip()])
        with self._lock:
            spans = self._read(row["title"], row["text"])
            if len(spans) < 2:
                return None
            parts = [row["text"][begin:end] for begin, end in spans]
            scores = similarities(vector, self._encode(parts, "passage"))
        begin, end = spans[int(scores.argmax())]
        return row["text"], begin, end

    def url_fields(self) -> set[str]:
        """The fields that hold addresses of web pages, as far as the first passages tell."""
        texts = {field.column: field.name for field in self.info.fields if field.kind == "text"}
        rows = store.first_rows(self._table, _LOOKED_AT, list(texts)) if texts else []
        values = {name: [row[column] for row in rows if row[column] is not None] for column, name in texts.items()}
        return {name for name, some in values.items() if some and all(map(is_url, some))}

    def _encode(self, texts: Sequence[str], kind: TextKind) -> TextVectors:
        from clearir.models.onnx_encoder import OnnxEncoder

        prompt = self.info.query_prompt if kind == "query" else self.info.passage_prompt
        if isinstance(self._model, OnnxEncoder):
            return self._model(texts, prompt)
        return encode_with_vectors(self._model, texts, kind, prompt=prompt)

    def _read(self, title: str, text: str) -> list[tuple[int, int]]:
        """Begin and end of the sentences that the model reads, at least in part."""
        limit, spans = self.info.max_seq_length, sentences(text)
        if limit is None:
            return spans
        before = accumulate(self._token_counts([title, *(text[begin:end] for begin, end in spans)]))
        return [span for span, tokens in zip(spans, before, strict=False) if tokens < limit]

    def _token_counts(self, texts: list[str]) -> list[int]:
        from clearir.models.onnx_encoder import OnnxEncoder

        if isinstance(self._model, OnnxEncoder):
            return self._model.token_counts(texts)
        from clearir.models.encode import token_counts

        return token_counts(self._model, texts, prompt="")

    def values(self, most: int) -> dict[str, dict[str, int]]:
        """How many passages have which value, of each field with at most ``most`` values; the commonest first."""
        found = {"language": dict(self.info.languages)} if len(self.info.languages) <= most else {}
        for field in self.info.fields:
            if field.kind in ("text", "boolean"):
                counts = store.value_counts(self._table, field.column, most)
                if counts is not None:
                    found[field.name] = counts
        return found

    def _by_meaning(self, vector: NDArray[np.float32], k: int, where: Any) -> list[Hit]:
        rows = store.nearest(self._table, vector, k, self._columns, probes=self.info.probes, where=where)
        return [self._hit(rank, row) for rank, row in enumerate(rows, start=1)]

    def _fused(self, query: str, vector: NDArray[np.float32], k: int, where: Any) -> list[Hit]:
        depth = max(k, DEPTH)
        near = store.nearest_ids(self._table, vector, depth, probes=self.info.probes, where=where)
        matching = store.matching_ids(self._table, query, depth, where=where)
        ranks = {row_id: rank for rank, row_id in enumerate(matching, start=1)}
        best = fuse(near, matching)[:k]
        rows = store.rows_of(self._table, best, self._columns, vector)
        return [
            replace(self._hit(rank, row), words=ranks.get(row_id))
            for rank, (row_id, row) in enumerate(zip(best, rows, strict=True), start=1)
        ]

    def _hit(self, rank: int, row: dict[str, Any]) -> Hit:
        return Hit(
            rank=rank,
            score=row["_score"],
            id=row["id"],
            title=row["title"],
            text=row["text"],
            language=row["language"],
            fields={name: row[column] for column, name in self._names.items() if row[column] is not None},
        )


def _load(
    location: str | Path, info: IndexInfo, name: str, device: str | None, trust_remote_code: bool
) -> SentenceTransformer | MultiVectorEncoder:
    """The model of an index."""
    from clearir.models.any_kind import load_with_vectors
    from clearir.models.load import model_fingerprint

    # A model of late interaction may have a length for passages above its maximal one. Asked for the latter, it would
    # cut them at it, and be another model than the one that made the index.
    for limit in dict.fromkeys((info.max_seq_length, None)):
        network = load_with_vectors(name, device=device, trust_remote_code=trust_remote_code, max_seq_length=limit)
        if (network.max_seq_length, model_fingerprint(network)) == (info.max_seq_length, info.model_hash):
            return network
    raise InputError(
        f"{location}: its passages were encoded by another model than the one in {name}; index the corpus "
        "again, or give the path of the model of this index with --model"
    )


def _reranked(queries: Sequence[str], found: Sequence[list[Hit]], rerank: Reranking) -> list[list[Hit]]:
    """The first hits of each query in the order of the reranker; it reads of a passage what the index's model read."""
    first = [hits[: rerank.top] for hits in found]
    pairs = [
        (query, Passage(hit.id, hit.text, hit.title).content)
        for query, hits in zip(queries, first, strict=True)
        for hit in hits
    ]
    # One query is answered at once; a bar for it would stand between the answers.
    scores = iter(rerank.scores(pairs, description="Reranking" if len(queries) > 1 else None))
    reordered = []
    for hits, head in zip(found, first, strict=True):
        scored = [replace(hit, rerank_score=next(scores)) for hit in head]
        places = rerank.order([hit.rerank_score or 0.0 for hit in scored], [hit.score for hit in scored])
        best = [replace(scored[place], rank=rank) for rank, place in enumerate(places, start=1)]
        reordered.append(best + hits[rerank.top :])
    return reordered


def fuse(*rankings: Sequence[T]) -> list[T]:
    """Reciprocal rank fusion: the score of one is the sum of 1 / (60 + rank) over the rankings that have it."""
    scores: dict[T, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            scores[one] = scores.get(one, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores, key=lambda one: -scores[one])  # stable: the first ranking decides ties


def compare(
    base: Searcher,
    tuned: Searcher,
    query: str,
    k: int = 10,
    *,
    hybrid: bool = False,
    filters: Sequence[str] = (),
    right: str | None = None,
) -> Compared:
    """The first k hits of two models, each with its rank in the other one's first `DEPTH`.

    Each is reranked or not as it was opened; to see what the models differ in, open both with the same reranker.

    ``right`` is the text of the passage that answers the query, where it is known.

    Raises:
        InputError: as `Searcher.search` does.
    """
    if not 1 <= k <= MAX_K:
        raise InputError(f"k is {k}; give a number from 1 to {MAX_K}")
    depth = max(k, DEPTH)
    before = base.search(query, depth, hybrid=hybrid, filters=filters)
    after = tuned.search(query, depth, hybrid=hybrid, filters=filters)
    found = None if right is None else (find_right(right, before), find_right(right, after))
    return Compared(_moved(before, after, k), _moved(after, before, k), found)


def is_url(value: Value) -> bool:
    """Whether a value is the address of a web page, and nothing else."""
    return isinstance(value, str) and re.fullmatch(r"https?://[^\s<>\"]+", value, re.IGNORECASE) is not None


def is_right(hit: Hit, right: str | None) -> bool:
    """Whether a hit is the passage that answers the query."""
    return right is not None and hit.text.strip() == right.strip()


def find_right(right: str, hits: Sequence[Hit]) -> Hit | None:
    """The passage that answers the query; None where it is not among the hits."""
    return next((hit for hit in hits if is_right(hit, right)), None)


def to_json(query: str, result: Sequence[Hit] | Compared) -> dict[str, Any]:
    """What was found, for programs: ``{"query", "hits"}``, or ``{"query", "base", "tuned"}`` where two are compared."""
    if isinstance(result, Compared):
        sides = {"base": result.base, "tuned": result.tuned}
        return {"query": query} | {
            name: [_hit_json(one.hit) | {"other": one.other} for one in side] for name, side in sides.items()
        }
    return {"query": query, "hits": [_hit_json(hit) for hit in result]}


def _hit_json(hit: Hit) -> dict[str, Any]:
    reranked = None if hit.rerank_score is None else float(f"{hit.rerank_score:.4g}")
    return asdict(hit) | {"score": round(hit.score, 4), "rerank_score": reranked}


def snippet(text: str, query: str, limit: int = 220) -> str:
    """The part of a passage to show: from its beginning, or from a little before the first word of the query in it."""
    line = clean(text, len(text) + 1)
    words = [re.escape(word) for word in re.findall(r"\w{4,}", query)]
    match = re.search(rf"\b(?:{'|'.join(words)})", line, re.IGNORECASE) if words else None
    if match is None or match.end() < limit:
        return clean(line, limit)
    start = line.rfind(" ", 0, match.start() - limit // 3) + 1
    return "… " + clean(line[start:], limit - 2)


def check_same_corpus(base: IndexInfo, tuned: IndexInfo) -> None:
    """Refuse to compare indexes of different corpora.

    Raises:
        InputError: their passages are not the same.
    """
    if base.corpus_hash != tuned.corpus_hash:
        raise InputError(
            f"the indexes are not of the same corpus: {base.passages:,} passages of {base.corpus} and "
            f"{tuned.passages:,} of {tuned.corpus}; index the same corpus with both models"
        )


@contextmanager
def _gone() -> Iterator[None]:
    """LanceDB opens files when they are first read: those of an index that was replaced are not there any more."""
    try:
        yield
    except RuntimeError as error:
        if "Not found" not in str(error):
            raise
        raise IndexGoneError(
            "the index was replaced or removed since it was opened; start again to search it"
        ) from error


def _moved(hits: Sequence[Hit], others: Sequence[Hit], k: int) -> list[Moved]:
    ranks = {hit.id: hit.rank for hit in others}
    return [Moved(hit, ranks.get(hit.id)) for hit in hits[:k]]
