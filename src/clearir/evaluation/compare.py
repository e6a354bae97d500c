"""Two or more models on the same queries: differences, how sure they are, and what that shows in words.

```python
comparison = compare(Scores.load("base/scores.json"), Scores.load("tuned/scores.json"))
print(comparison.sentences["tuned"])
for row in comparison.rows:
    print(row.name, row.difference, row.low, row.high, row.p_holm, row.verdict)
```

Questions that share a passage rise and fall together, so resampling takes and flips whole passages with all their
questions: the bootstrap (interval) and the sign flips (p) know no smaller unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from clearir.evaluation.metrics import LOWER_IS_BETTER
from clearir.evaluation.scores import Direction, Scores, kind_of_direction, kinds_of_direction
from clearir.support.errors import InputError
from clearir.support.progress import track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS, DIRECTIONS, POOLED = "kinds", "directions", "pools"
BETTER, WORSE, NOT_SHOWN = "better", "worse", "not shown"
LEVEL = 0.05  # of all tests of a model and a part together (Holm), and 1 - coverage of each interval
RESAMPLES = 9999
#: queries of a language below which a difference is seldom shown
FEW = 50
_LANGUAGES_NAMED = 10
_BATCH = 2**22  # resampled values held at once


@dataclass(frozen=True)
class Difference:
    """One model against the baseline, in one direction or pool, or in the mean over a kind of direction.

    Attributes:
        model: the other model.
        part: ``kinds``, ``directions`` or ``pools``; Holm's correction is over the rows of a model and part.
        name: ``x->en`` (a kind), ``de->en``, ``de->en+de``.
        queries: how many; in a kind those of all its directions.
        clusters: how many distinct passages they hang on.
        baseline: mean of the baseline.
        mean: mean of the other model.
        difference: mean minus baseline.
        retention: mean as a share of the baseline's; None where the baseline has nothing.
        low: lower end of the 95 % bootstrap interval of the difference; None with one cluster.
        high: upper end.
        p: two-sided, of the paired sign-flip test.
        p_holm: corrected for the number of rows.
        verdict: ``better``, ``worse`` or ``not shown``.
    """

    model: str
    part: str
    name: str
    queries: int
    clusters: int
    baseline: float
    mean: float
    difference: float
    retention: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """All rows, and a sentence or two a model.

    Attributes:
        suite: that all were scored on.
        metric: that is compared.
        baseline: name of the baseline.
        bridge: the language in the middle.
        rows: of each model its kinds, its directions, its pools.
        sentences: model -> what is and what is not shown, in words.
    """

    suite: str
    metric: str
    baseline: str
    bridge: str
    rows: tuple[Difference, ...]
    sentences: dict[str, str]

    def part(self, model: str, part: str) -> list[Difference]:
        """The rows of a model that are ``kinds``, ``directions`` or ``pools``."""
        return [row for row in self.rows if row.model == model and row.part == part]

    def row(self, model: str, name: str) -> Difference | None:
        """The row of a model with that name, if there is one."""
        return next((row for row in self.rows if row.model == model and row.name == name), None)


def compare(baseline: Scores, *others: Scores, metric: str | None = None, seed: int = 0) -> Comparison:
    """Compare models with a baseline, query by query.

    Args:
        baseline: scores before, or of the model to beat.
        others: at least one, on the same suite, directions and queries.
        metric: one that all have, by default the main one of their task; pools without it are left out.
        seed: of the resampling; the same seed gives the same figures.

    Raises:
        InputError: nothing to compare, scores of other data, or an unknown metric.
    """
    if not others:
        raise InputError("nothing to compare; give the scores of at least two models")
    names = _names(baseline, others)
    metric = metric or baseline.main_metric
    rows: list[Difference] = []
    for name, other in zip(names[1:], others, strict=True):
        check_same(baseline, other)
        jobs = _jobs(baseline, other, metric)
        done = [_compare(name, job, seed) for job in track(jobs, f"Comparing {name}")]
        for _, group in groupby(done, key=lambda row: row["part"]):
            rows += _with_holm(list(group), metric)
    sentences = {name: _sentence(rows, name, names[0], baseline.bridge, metric) for name in names[1:]}
    return Comparison(baseline.suite, metric, names[0], baseline.bridge, tuple(rows), sentences)


@dataclass(frozen=True)
class _Pairs:
    """Paired values of some directions, with weights that make each direction count the same; weights sum to 1."""

    part: str
    name: str
    clusters: list[str]
    weights: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def _names(baseline: Scores, others: Sequence[Scores]) -> list[str]:
    """Names of the models, the same name never twice."""
    names: list[str] = []
    for scores in (baseline, *others):
        name, number = scores.model, 2
        while name in names:
            name, number = f"{scores.model} ({number})", number + 1
        names.append(name)
    return names


def check_same(baseline: Scores, other: Scores) -> None:
    """Refuse to set scores beside each other that are not of the same texts, bridge and queries.

    The suite's name may differ: its texts and relevance decide. A pool that one of them lacks is no difference.

    Raises:
        InputError: they are not.
    """
    if (baseline.suite_hash, baseline.bridge) != (other.suite_hash, other.bridge):
        one, two = (
            f"{scores.model} was scored on {scores.suite} ({scores.suite_hash}, bridge {scores.bridge})"
            for scores in (baseline, other)
        )
        raise InputError(
            f"{one} and {two}: different texts, languages or bridge; evaluate both with the same --suite, --data and "
            "--languages"
        )
    shared_pools = baseline.pools.keys() & other.pools.keys()
    for name in {*baseline.directions, *other.directions, *shared_pools}:
        first, second = (scores.directions.get(name) or scores.pools.get(name) for scores in (baseline, other))
        if first is None or second is None or set(first.query_ids) != set(second.query_ids):
            raise InputError(
                f"{name}: {baseline.model} and {other.model} were scored on different queries; evaluate both again"
            )


def _jobs(baseline: Scores, other: Scores, metric: str) -> list[_Pairs]:
    kinds: dict[str, list[tuple[Direction, Direction]]] = defaultdict(list)
    directions: list[_Pairs] = []
    for name, one in baseline.directions.items():
        pair = (one, other.directions[name])
        kinds[kind_of_direction(one, baseline.bridge)].append(pair)
        directions.append(_pairs(DIRECTIONS, name, [pair], baseline.clusters, metric))
    pools = [
        _pairs(POOLED, name, [(one, other.pools[name])], baseline.clusters, metric)
        for name, one in baseline.pools.items()
        if name in other.pools and metric in one.values and metric in other.pools[name].values
    ]
    order = [kind for kind in kinds_of_direction(baseline.bridge) if kind in kinds]
    return [_pairs(KINDS, kind, kinds[kind], baseline.clusters, metric) for kind in order] + directions + pools


def _pairs(
    part: str, name: str, pairs: list[tuple[Direction, Direction]], clusters: dict[str, str], metric: str
) -> _Pairs:
    import numpy as np

    rows: list[tuple[str, float, float, float]] = []
    for one, two in pairs:
        after = dict(zip(two.query_ids, two.column(metric), strict=True))
        weight = 1 / (len(one.query_ids) * len(pairs))
        rows += [
            (clusters.get(query, gold), weight, value, after[query])
            for query, gold, value in zip(one.query_ids, one.gold, one.column(metric), strict=True)
        ]
    numbers = np.array([row[1:] for row in rows])
    return _Pairs(part, name, [row[0] for row in rows], numbers[:, 0], numbers[:, 1], numbers[:, 2])


def _compare(model: str, pairs: _Pairs, seed: int) -> dict[str, Any]:
    import numpy as np

    labels, places = np.unique(pairs.clusters, return_inverse=True)
    sums = np.bincount(places, pairs.weights * (pairs.after - pairs.before)).astype(np.float64)
    weights = np.bincount(places, pairs.weights).astype(np.float64)
    low, high = _interval(sums, weights, seed)
    before = float((pairs.weights * pairs.before).sum())
    after = float((pairs.weights * pairs.after).sum())
    return {
        "model": model,
        "part": pairs.part,
        "name": pairs.name,
        "queries": len(pairs.clusters),
        "clusters": len(labels),
        "baseline": before,
        "mean": after,
        "difference": after - before,
        "retention": after / before if before else None,
        "low": low,
        "high": high,
        "p": _p(sums, seed),
    }


def _interval(
    sums: NDArray[np.float64], weights: NDArray[np.float64], seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Percentile bootstrap of the weighted mean difference over clusters."""
    import numpy as np
    from scipy.stats import bootstrap

    if len(sums) < 2:
        return None, None

    def mean(s: NDArray[np.float64], w: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(s.sum(axis) / w.sum(axis))

    found = bootstrap(
        (sums, weights),
        mean,
        paired=True,
        vectorized=True,
        confidence_level=1 - LEVEL,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // len(sums)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _p(sums: NDArray[np.float64], seed: int) -> float:
    """Sign flips of clusters: were the two models exchangeable, each cluster's difference might as well be negative."""
    import numpy as np
    from scipy.stats import monte_carlo_test

    generator = np.random.default_rng(seed)

    def flipped(size: tuple[int, int]) -> NDArray[np.float64]:
        return sums * (2 * generator.integers(0, 2, size, dtype=np.int8) - 1)

    def total(s: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        return np.asarray(s.sum(axis))

    found = monte_carlo_test(
        sums, flipped, total, vectorized=True, n_resamples=RESAMPLES, batch=max(1, _BATCH // len(sums))
    )
    return float(found.pvalue)


def _with_holm(rows: list[dict[str, Any]], metric: str) -> list[Difference]:
    """Holm's step-down correction: the k-th smallest p of m times m - k + 1, never falling."""
    corrected: dict[int, float] = {}
    largest = 0.0
    for step, index in enumerate(sorted(range(len(rows)), key=lambda i: float(rows[i]["p"]))):
        largest = max(largest, min(1.0, rows[index]["p"] * (len(rows) - step)))
        corrected[index] = largest
    return [
        Difference(**row, p_holm=corrected[index], verdict=_verdict(row, corrected[index], metric))
        for index, row in enumerate(rows)
    ]


def _verdict(row: dict[str, Any], p_holm: float, metric: str) -> str:
    if p_holm >= LEVEL:
        return NOT_SHOWN
    return BETTER if (row["difference"] > 0) != (metric in LOWER_IS_BETTER) else WORSE


def _sentence(rows: list[Difference], model: str, baseline: str, bridge: str, metric: str) -> str:
    own = [row for row in rows if row.model == model]
    directions = [row for row in own if row.part == DIRECTIONS]
    count = {word: sum(row.verdict == word for row in directions) for word in (BETTER, WORSE, NOT_SHOWN)}
    said = [
        f"{model} compared with {baseline}, {metric}: significantly better in {count[BETTER]} of {len(directions)} "
        f"directions, significantly worse in {count[WORSE]}, no significant difference in {count[NOT_SHOWN]} "
        f"(sign-flip test over passages, Holm-corrected, {LEVEL:.0%} level)."
    ]
    said += [_said(row) for row in own if row.part == KINDS and row.name == f"x->{bridge}"]
    said += [_said(row, kept=True) for row in own if row.part == DIRECTIONS and row.name == f"{bridge}->{bridge}"]
    return " ".join([*said, *_few(directions)])


def _few(directions: Sequence[Difference]) -> list[str]:
    """A warning where languages have too few queries."""
    most: dict[str, int] = {}
    for row in directions:
        language = row.name.partition("->")[0]
        most[language] = max(most.get(language, 0), row.queries)
    few = [f"{language} {queries}" for language, queries in sorted(most.items()) if queries < FEW]
    if not few:
        return []
    more = len(few) - _LANGUAGES_NAMED
    named = ", ".join(few[:_LANGUAGES_NAMED]) + (f" and {more} more" if more > 0 else "")
    return [f"Fewer than {FEW} queries seldom show a significant difference: {named}; score more queries."]


def _said(row: Difference, *, kept: bool = False) -> str:
    interval = "" if row.low is None or row.high is None else f" ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
    verdict = "not significant" if row.verdict == NOT_SHOWN else f"significantly {row.verdict}"
    retained = f", {row.retention:.1%} retained" if kept and row.retention is not None else ""
    return f"{row.name}: {100 * row.difference:+.1f} points{interval}, {verdict}{retained}."
