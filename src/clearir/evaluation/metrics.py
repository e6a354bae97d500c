"""Metrics of rankings, by name: ``ndcg@10``, ``recall@100``, ``mrr@10``, ``map@100``.

trec_eval computes them (through pytrec_eval, as in MTEB). Those of pools are ours: see `max_rank`, `complete`,
`language_share`; and those of bitext: see `accuracy` and `f1`. Nothing here knows models, files or suites.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from clearir.support.errors import InputError

DEFAULT_METRICS = ("ndcg@1", "ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10", "map@100")
ACCURACY = "accuracy"
F1 = "f1"
RETRIEVAL, BITEXT = TASKS = ("retrieval", "bitext")
#: task -> what is computed
METRICS = {RETRIEVAL: DEFAULT_METRICS, BITEXT: (ACCURACY, F1, "mrr@10", "recall@10")}
#: task -> what the terminal shows, first the one that models are compared by
SHOWN = {RETRIEVAL: ("ndcg@10",), BITEXT: (ACCURACY, F1)}
POOL_CUT = 10
MAX_RANK = "max@r"
COMPLETE = f"complete@{POOL_CUT}"
BRIDGE_SHARE = f"bridge@{POOL_CUT}"
LOWER_IS_BETTER = frozenset({MAX_RANK, BRIDGE_SHARE})

_TREC = {"ndcg": "ndcg_cut", "recall": "recall", "map": "map_cut", "mrr": "recip_rank"}
_NAME = re.compile(rf"({'|'.join(_TREC)})@([1-9]\d*)")


def depth(metrics: Sequence[str]) -> int:
    """How many passages a query the metrics look at: their largest cut-off.

    Raises:
        InputError: none is given, or one is unknown.
    """
    if not metrics:
        raise InputError(f"no metric; name at least one, for example {DEFAULT_METRICS[1]}")
    return max(1 if metric in _OF_THE_FIRST else _parse(metric)[1] for metric in metrics)


def per_query(
    rankings: Mapping[str, Sequence[str]],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> dict[str, list[float]]:
    """One value a query and metric.

    Args:
        rankings: query id -> passage ids, best first; at least as many as the metrics look at.
        qrels: query id -> passage id -> relevance; for each query of ``rankings``. Ideal rankings and recall count
            the passages named here, so leave out those that are not in the corpus.
        metrics: ``ndcg@K``, ``recall@K``, ``mrr@K``, ``map@K``, ``accuracy``, ``f1``.

    Returns:
        metric -> values in the order of ``rankings``.

    Raises:
        InputError: an unknown metric.
    """
    import pytrec_eval

    parsed = {metric: _parse(metric) for metric in metrics if metric not in _OF_THE_FIRST}
    if not rankings:
        return {metric: [] for metric in metrics}
    measures = {name if name == "recip_rank" else f"{name}.{cut}" for name, cut in parsed.values()}
    # trec_eval sorts by score and breaks ties by id; ranks as scores keep the order that is given.
    run = {query: {p: float(-rank) for rank, p in enumerate(passages)} for query, passages in rankings.items()}
    relevance = {query: dict(qrels[query]) for query in rankings}
    found = pytrec_eval.RelevanceEvaluator(relevance, measures).evaluate(run)
    values = {metric: [_value(found[query], name, cut) for query in rankings] for metric, (name, cut) in parsed.items()}
    first = [next(iter(passages), "") for passages in rankings.values()]
    relevant = [[p for p, value in relevance[query].items() if value > 0] for query in rankings]
    return {
        metric: _OF_THE_FIRST[metric](first, relevant) if metric in _OF_THE_FIRST else values[metric]
        for metric in metrics
    }


def accuracy(first: Sequence[str], relevant: Sequence[Sequence[str]]) -> list[float]:
    """1 for each query whose first passage is right, else 0; recall@1 where each query has one right passage.

    Args:
        first: id of the first passage of each query.
        relevant: ids of the right passages of each query, at least one.
    """
    return [float(found in right) for found, right in zip(first, relevant, strict=True)]


def f1(first: Sequence[str], relevant: Sequence[Sequence[str]]) -> list[float]:
    """F1 of the passage that each query should have found; the mean over queries is the F1 of MTEB's bitext mining.

    MTEB takes each passage for a class, and the first passage of a query for the class it was put into, and weights
    the F1 of the classes by their queries. So a passage that comes first for many queries counts less for the one
    that it is right for. The class of a query with several right passages is the one that it found, if it found one.

    Args:
        first: id of the first passage of each query.
        relevant: ids of the right passages of each query, at least one.
    """
    classes = [found if found in right else right[0] for found, right in zip(first, relevant, strict=True)]
    right = Counter(own for found, own in zip(first, classes, strict=True) if found == own)
    put, belong = Counter(first), Counter(classes)
    return [2 * right[own] / (put[own] + belong[own]) for own in classes]


def max_rank(ranks: Sequence[int]) -> float:
    """Max@R (arXiv 2604.05684): how far down one has to read to find all relevant passages; lower is better.

    Args:
        ranks: of all relevant passages of a query, from 1.
    """
    return float(max(ranks))


def complete(ranks: Sequence[int], cut: int = POOL_CUT) -> float:
    """Complete@K (arXiv 2604.05684): 1 if all relevant passages are among the first K, else 0."""
    return float(max(ranks) <= cut)


def language_share(languages: Sequence[str], language: str, cut: int = POOL_CUT) -> float:
    """Share of one language among the first K passages.

    Of the bridge language, over queries in another language, it is the language preference rate: a search blind to
    language gives the bridge's share of relevant passages, an English-inclined one much more.
    """
    first = languages[:cut]
    return sum(found == language for found in first) / len(first)


_OF_THE_FIRST = {ACCURACY: accuracy, F1: f1}  # metrics that look at the first passage of every query


def _parse(metric: str) -> tuple[str, int]:
    """trec_eval's name of a metric, and its cut-off."""
    match = _NAME.fullmatch(metric)
    if match is None:
        raise InputError(
            f"unknown metric {metric!r}; write ndcg@K, recall@K, mrr@K or map@K, for example {DEFAULT_METRICS[1]}, or "
            f"{' or '.join(_OF_THE_FIRST)}"
        )
    return _TREC[match[1]], int(match[2])


def _value(found: Mapping[str, float], name: str, cut: int) -> float:
    if name != "recip_rank":
        return found[f"{name}_{cut}"]
    reciprocal = found[name]  # over the whole ranking; beyond the cut-off it counts nothing
    return reciprocal if reciprocal * cut > 1 - 1e-9 else 0.0
