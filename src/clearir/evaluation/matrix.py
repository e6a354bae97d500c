"""Encode the texts of a suite once, then score every direction and pool; perhaps with a reranker behind the model.

```python
scores = evaluate(load_model("BAAI/bge-m3"), load_suite("mlqa", "data/mlqa"), pools=("pair", "all"))
scores.mean("de->en", "ndcg@10")
reranked = evaluate(model, suite, rerank=Reranking.load("BAAI/bge-reranker-v2-m3", top=50))
```
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.evaluation import metrics as measure
from clearir.evaluation.ranking import rank
from clearir.evaluation.scores import ALL, Direction, Scores
from clearir.evaluation.suites import Qrels, Suite
from clearir.models.any_kind import concatenate, encode_any
from clearir.models.load import model_fingerprint
from clearir.models.prompts import Prompts, prompts_of
from clearir.models.reranker import Reranking
from clearir.models.token_vectors import TextKind
from clearir.support.errors import InputError
from clearir.support.progress import track

if TYPE_CHECKING:
    import torch

    from clearir.models.any_kind import AnyModel, Vectors

PAIR = "pair"
POOLS = (PAIR, ALL)
TOP = 3  # passages a query that are kept for people to read
DIGITS = 6  # of a value; enough for any mean, and half the file
PACKAGES = ("clearir", "sentence-transformers", "transformers", "torch", "pytrec-eval-terrier")


def evaluate(
    model: AnyModel,
    suite: Suite,
    *,
    name: str | None = None,
    languages: Collection[str] | None = None,
    pools: Collection[str] = (),
    prompts: Prompts | None = None,
    cache: Path | None = None,
    metrics: Sequence[str] | None = None,
    rerank: Reranking | None = None,
    first_stage: Callable[[Scores], None] = lambda scores: None,
) -> Scores:
    """Score a model in every direction of a suite.

    Each query and passage is encoded once, however many directions it takes part in; a passage with the route of its
    language, where the model has one (`clearir.models.shift`). In a direction ``a->b`` those queries in a take part
    that have a relevant passage in b; all passages of the suite in b are ranked, but for the query itself where it is
    one of them (`Suite.repeated`).

    Args:
        model: what encodes queries and passages; one of late interaction ranks by exact MaxSim over all passages.
        suite: what is scored.
        name: of the model in the scores; by default the name it was loaded under.
        languages: those of the suite to score; all by default.
        pools: ``"pair"`` also ranks the bridge's and one target language's passages together, for the queries of both
            that have a relevant passage in both; ``"all"`` those of all languages.
        prompts: put before queries and passages; by default those the model was saved with. In bitext, where both
            sides are alike, all texts are read as queries.
        cache: folder of vectors, see `clearir.models.any_kind.encode_any`.
        metrics: see `clearir.evaluation.metrics.per_query`; by default those of the suite's task. On pools also
            ``max@r``, ``complete@10`` and, for queries that are not in the bridge language, ``bridge@10``.
        rerank: puts the first passages that the model finds for each query in order, in each direction and pool; of
            equal scores the passage that the model ranks higher comes first. Each distinct pair of texts is scored
            once. The scores returned are then those of both together.
        first_stage: with ``rerank``, gets the scores of the model alone before anything is reranked.

    Raises:
        InputError: an unknown metric, pool or language, or no query has a relevant passage in the languages.
    """
    metrics = measure.METRICS[suite.task] if metrics is None else metrics
    depth = max(measure.depth(metrics), measure.POOL_CUT if pools else TOP, rerank.top if rerank else 0)
    unknown = sorted(set(pools) - set(POOLS))
    if unknown:
        raise InputError(f"unknown pool {unknown[0]!r}; there are {' and '.join(POOLS)}")
    if suite.task == measure.BITEXT and PAIR in pools:
        raise InputError("pool 'pair': in bitext no query has a right answer in its own language; use the pool 'all'")
    suite = suite.restrict(languages)
    prompts = prompts_of(model) if prompts is None else prompts
    if suite.task == measure.BITEXT:
        prompts = replace(prompts, passage=prompts.query)
    start = time.perf_counter()
    queries = _encode_side(model, suite.queries, "query", prompts.query, cache)
    passages = queries  # of bitext, where they are the same texts under the same ids
    if suite.task != measure.BITEXT:
        passages = _encode_side(model, suite.passages, "passage", prompts.passage, cache)
    encoded = time.perf_counter()
    rankings: list[_Ranking] = []
    found: list[Direction] = []
    jobs = list(_jobs(suite, passages, pools))
    for job in track(jobs, "Scoring directions"):
        ranking = _rank(job, queries[job.query_language], suite, depth, model.device)
        found.append(_direction(ranking, suite, metrics))
        if rerank is not None:
            rankings.append(ranking)
    scored = time.perf_counter()
    directions, in_pools = _by_name(jobs, found)
    scores = Scores(
        suite=suite.name,
        suite_hash=suite.hash,
        model=name or _name(model),
        model_hash=model_fingerprint(model),
        bridge=suite.bridge,
        directions=directions,
        pools=in_pools,
        clusters=suite.clusters,
        environment=_environment(model) | {"seconds": {"encoding": encoded - start, "scoring": scored - encoded}},
        settings={
            "prompts": asdict(prompts),
            "max_seq_length": model.max_seq_length,
            "languages": suite.languages,
            "pools": [pool for pool in POOLS if pool in pools],
            "metrics": list(metrics),
            "licence": suite.licence,
            "revision": suite.revision,
        },
        task=suite.task,
    )
    if rerank is None:
        return scores
    first_stage(scores)
    start = time.perf_counter()
    reordered = [_direction(one, suite, metrics) for one in _reranked(rankings, rerank)]
    directions, in_pools = _by_name(jobs, reordered)
    seconds = scores.environment["seconds"] | {"reranking": time.perf_counter() - start}
    return replace(
        scores,
        model=f"{scores.model} + {rerank.name} ({rerank.in_words})",
        model_hash=rerank.hash_with(scores.model_hash),
        directions=directions,
        pools=in_pools,
        environment=_environment(model) | {"seconds": seconds},
        settings=scores.settings
        | {
            "rerank": {
                "model": scores.model,
                "model_hash": scores.model_hash,
                "reranker": rerank.name,
                "reranker_hash": rerank.model_hash,
                "reranker_max_seq_length": rerank.model.max_seq_length,
                "top": rerank.top,
                "first_weight": rerank.first_weight,
            }
        },
    )


@dataclass(frozen=True)
class _Side:
    """The queries or passages of one language."""

    ids: list[str]
    texts: list[str]
    vectors: Vectors


@dataclass(frozen=True)
class _Corpus:
    """What is ranked. Passages are in falling order of their ids, which is how trec_eval breaks ties."""

    name: str
    ids: list[str]
    texts: list[str]
    languages: list[str]  # of each passage
    parts: list[Vectors]
    pooled: bool

    @classmethod
    def of(cls, language: str, side: _Side) -> _Corpus:
        return cls(language, side.ids, side.texts, [language] * len(side.ids), [side.vectors], pooled=False)

    @classmethod
    def pool(cls, name: str, passages: dict[str, _Side]) -> _Corpus:
        order = sorted(passages, reverse=True)
        return cls(
            name,
            [_pooled(language, identifier) for language in order for identifier in passages[language].ids],
            [text for language in order for text in passages[language].texts],
            [language for language in order for _ in passages[language].ids],
            [passages[language].vectors for language in order],
            pooled=True,
        )

    def ids_of(self, identifier: str) -> list[str]:
        """What the passages with an id of the suite are called here: in a pool, one in each language."""
        return [_pooled(p, identifier) for p in dict.fromkeys(self.languages)] if self.pooled else [identifier]

    @property
    def vectors(self) -> Vectors:
        """All vectors. Put together anew each time, so that only one pool is held twice."""
        return self.parts[0] if len(self.parts) == 1 else concatenate(self.parts)


@dataclass(frozen=True)
class _Job:
    """The queries of one language on one corpus."""

    query_language: str
    corpus: _Corpus
    relevant: Qrels  # ids of the corpus; in a pool those in the query's language first, and lost passages last


@dataclass(frozen=True)
class _Ranking:
    """What was found for each query of a job, in their order.

    Attributes:
        job: of which queries on which corpus.
        texts: of the queries.
        best: rows of the corpus, best first; without the query itself.
        scores: of these.
        ranks: from 1, of the relevant passages that are in the corpus, over all of it.
    """

    job: _Job
    texts: list[str]
    best: list[list[int]]
    scores: list[list[float]]
    ranks: list[list[int]]


def _pooled(language: str, identifier: str) -> str:
    return f"{language}:{identifier}"


def _encode_side(
    model: AnyModel,
    texts: dict[str, dict[str, str]],
    kind: TextKind,
    prompt: str,
    cache: Path | None,
) -> dict[str, _Side]:
    """All languages in one call: a text that stands in several is encoded once, and batches mix languages.

    Queries have no language of their own here, as nobody says it with a query that is searched for.
    """
    ids = {language: sorted(side, reverse=True) for language, side in texts.items()}
    every = [texts[language][identifier] for language in texts for identifier in ids[language]]
    languages = [language if kind == "passage" else None for language in texts for _ in ids[language]]
    description = "Encoding queries" if kind == "query" else "Encoding passages"
    vectors = encode_any(model, every, kind, languages=languages, prompt=prompt, cache=cache, description=description)
    sides = {}
    for language, own in ids.items():
        here = [texts[language][identifier] for identifier in own]
        sides[language], vectors = _Side(own, here, vectors[: len(own)]), vectors[len(own) :]
    return sides


def _jobs(suite: Suite, passages: dict[str, _Side], pools: Collection[str]) -> Iterator[_Job]:
    relevant = {(q, p): suite.relevant(q, p) for q in suite.queries for p in passages}
    corpora = {language: _Corpus.of(language, side) for language, side in passages.items() if side.ids}
    for (q, p), gold in relevant.items():
        if gold:
            yield _Job(q, corpora[p], gold)
    bridge = suite.bridge
    for target in sorted(corpora.keys() - {bridge}) if PAIR in pools and bridge in corpora else ():
        pair = _Corpus.pool(f"{bridge}+{target}", {p: passages[p] for p in (bridge, target)})
        for q in (bridge, target):
            both = relevant.get((q, bridge), {}).keys() & relevant.get((q, target), {}).keys()
            if gold := _gold_in_pool(relevant, q, (bridge, target), both, suite.lost):
                yield _Job(q, pair, gold)
    if ALL in pools and len(corpora) > 1:
        whole = _Corpus.pool(ALL, passages)
        for q in suite.queries:
            if gold := _gold_in_pool(relevant, q, corpora, suite.queries[q], suite.lost):
                yield _Job(q, whole, gold)


def _gold_in_pool(
    relevant: dict[tuple[str, str], Qrels],
    query_language: str,
    languages: Collection[str],
    queries: Collection[str],
    lost: Collection[str],
) -> Qrels:
    """The relevant passages of each query in all languages of a pool, those in its own language first.

    A lost passage, which is in no language, is one and not one in each.
    """
    order = sorted(languages, key=lambda language: (language != query_language, language))
    gold = {
        query: {
            _pooled(order[0] if i in lost else p, i): value
            for p in order
            for i, value in relevant.get((query_language, p), {}).get(query, {}).items()
        }
        for query in sorted(queries)
    }
    return {query: row for query, row in gold.items() if row}


def _by_name(jobs: Sequence[_Job], scored: Sequence[Direction]) -> tuple[dict[str, Direction], dict[str, Direction]]:
    """Directions and pools."""
    both = list(zip(jobs, scored, strict=True))
    return (
        {one.name: one for job, one in both if not job.corpus.pooled},
        {one.name: one for job, one in both if job.corpus.pooled},
    )


def _rank(job: _Job, queries: _Side, suite: Suite, depth: int, device: torch.device) -> _Ranking:
    corpus = job.corpus
    place = {identifier: n for n, identifier in enumerate(corpus.ids)}
    query_place = {identifier: n for n, identifier in enumerate(queries.ids)}
    ids = list(job.relevant)
    itself = [
        [place[passage] for passage in corpus.ids_of(query) if passage in place] if query in suite.repeated else []
        for query in ids
    ]
    rows = [query_place[query] for query in ids]
    found = rank(
        queries.vectors[rows],
        corpus.vectors,
        [[place[passage] for passage in gold if passage in place] for gold in job.relevant.values()],
        depth,
        left_out=itself,
        device=device,
    )
    best, scores = [], []
    for places, values, own in zip(found.best.tolist(), found.scores.tolist(), itself, strict=True):
        kept = [(n, value) for n, value in zip(places, values, strict=True) if n not in own]
        best.append([n for n, _ in kept])
        scores.append([value for _, value in kept])
    return _Ranking(job, [queries.texts[row] for row in rows], best, scores, found.ranks)


def _reranked(rankings: Sequence[_Ranking], rerank: Reranking) -> list[_Ranking]:
    """The same with the first passages of each query in the reranker's order."""

    def pairs(ranking: _Ranking) -> list[list[tuple[str, str]]]:
        texts = ranking.job.corpus.texts
        both = zip(ranking.texts, ranking.best, strict=True)
        return [[(query, texts[n]) for n in row[: rerank.top]] for query, row in both]

    distinct = list(dict.fromkeys(pair for ranking in rankings for row in pairs(ranking) for pair in row))
    scores = dict(zip(distinct, rerank.read(distinct).tolist(), strict=True))
    reordered = []
    for ranking in rankings:
        best, ranks = [], []
        for row, first, own, scored in zip(ranking.best, ranking.scores, ranking.ranks, pairs(ranking), strict=True):
            places = rerank.order([scores[pair] for pair in scored], first[: rerank.top])
            rank_of = {place + 1: new for new, place in enumerate(places, start=1)}
            best.append([row[place] for place in places] + row[rerank.top :])
            ranks.append([rank_of.get(one, one) for one in own])
        reordered.append(replace(ranking, best=best, ranks=ranks))
    return reordered


def _direction(ranking: _Ranking, suite: Suite, metrics: Sequence[str]) -> Direction:
    job, corpus = ranking.job, ranking.job.corpus
    ids = list(job.relevant)
    rankings = {query: [corpus.ids[n] for n in row] for query, row in zip(ids, ranking.best, strict=True)}
    # A lost passage comes after all that are there.
    ranks = [
        row + [len(corpus.ids) + 1] * (len(gold) - len(row))
        for row, gold in zip(ranking.ranks, job.relevant.values(), strict=True)
    ]
    values = measure.per_query(rankings, job.relevant, metrics)
    if corpus.pooled:
        values[measure.MAX_RANK] = [measure.max_rank(row) for row in ranks]
        values[measure.COMPLETE] = [
            measure.complete(row) if len(there) == len(row) else 0.0
            for row, there in zip(ranks, ranking.ranks, strict=True)
        ]
        if job.query_language != suite.bridge:
            values[measure.BRIDGE_SHARE] = [
                measure.language_share([corpus.languages[n] for n in row], suite.bridge) for row in ranking.best
            ]
    return Direction(
        query_language=job.query_language,
        passage_language=corpus.name,
        corpus_size=len(corpus.ids),
        query_ids=ids,
        gold=[next(iter(gold)) for gold in job.relevant.values()],
        values={metric: [round(value, DIGITS) for value in row] for metric, row in values.items()},
        ranks=[min(row) for row in ranks],
        top=[ranking[:TOP] for ranking in rankings.values()],
    )


def _name(model: AnyModel) -> str:
    return str(model.model_card_data.base_model or model.model_card_data.model_name or "model")


def _environment(model: AnyModel) -> dict[str, Any]:
    import torch

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type,
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "versions": {package: version(package) for package in PACKAGES},
    }
