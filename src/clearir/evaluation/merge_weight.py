"""The mixture of a model and of what was trained from it that keeps the bridge language, chosen on development data.

```python
choice = choose_weight(base, tuned, suite, retention=0.995)
merged = interpolate(base, tuned, choice.weight)      # clearir.models.interpolate
```

Training lifts the target languages and may cost a little English; between the two sets of weights there often is a
model that keeps most of the one and all of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clearir.evaluation.scores import MAIN_METRIC
from clearir.models.interpolate import check_mixture, set_weights
from clearir.support.artifacts import atomic_folder, write_json
from clearir.support.errors import InputError
from clearir.support.progress import track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from clearir.evaluation.suites import Suite
    from clearir.models.prompts import Prompts

MERGE = "merge.json"
#: of the tuned model, those that are tried
WEIGHTS = tuple(tenth / 10 for tenth in range(11))
RETENTION = 0.995


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a model on the way from the base to the tuned one scores; by default, the base.

    Attributes:
        cross: mean over target languages of target query -> bridge passage.
        bridge: bridge query -> bridge passage.
        retention: ``bridge`` as a share of the base model's.
        kept: whether that is the bound or more; the base always is.
    """

    cross: float
    bridge: float
    retention: float = 1.0
    kept: bool = True


OneJudged = TypeVar("OneJudged", bound=Judged)


def judge(one: OneJudged, base: Judged, bound: float) -> OneJudged:
    """The same with ``retention`` and ``kept`` as they are beside the base."""
    retention = one.bridge / base.bridge if base.bridge else 1.0
    return replace(one, retention=retention, kept=retention >= bound)


def best(judged: Sequence[OneJudged]) -> OneJudged:
    """The first of those with the best ``cross`` among those that keep the bound; the base is one of them."""
    return max((one for one in judged if one.kept), key=lambda one: one.cross)


@dataclass(frozen=True)
class Tried(Judged):
    """What one mixture scores.

    Attributes:
        weight: of the tuned model; 0 is the base.
    """

    weight: float


@dataclass(frozen=True)
class Choice:
    """The weight that was chosen, and what it was chosen from.

    Attributes:
        weight: of the tuned model.
        bound: the retention that was asked for.
        suite: what was scored.
        language: the bridge language.
        tried: one a weight.
    """

    weight: float
    bound: float
    suite: str
    language: str
    tried: tuple[Tried, ...]


def choose_weight(
    base: SentenceTransformer,
    tuned: SentenceTransformer,
    suite: Suite,
    *,
    retention: float = RETENTION,
    weights: Sequence[float] = WEIGHTS,
    prompts: Prompts | None = None,
) -> Choice:
    """The mixture with the best mean of target query -> bridge passage that keeps the bridge language.

    Args:
        base: the model before training.
        tuned: the model after it.
        suite: development data; the passages in the bridge language are ranked.
        retention: the least share of the base model's bridge -> bridge score that has to be left.
        weights: of the tuned model, to try; 0, the base itself, is tried in any case.
        prompts: put before queries and passages; by default those that ``tuned`` was saved with.

    Raises:
        InputError: data without target queries or bridge queries, models that do not fit together, or a weight
            outside 0 to 1.
    """
    check_mixture(base, tuned, weights)
    if not retention > 0:
        raise InputError(f"a retention of {retention} keeps nothing; give a share such as {RETENTION}")
    suite = bridge_passages(suite)
    mixture = deepcopy(tuned)
    states = base.state_dict(), tuned.state_dict()
    found: list[Tried] = []
    for weight in track(sorted({0.0, *weights}), "Trying weights"):
        set_weights(mixture, *states, weight)
        cross, within = cross_and_bridge(mixture, suite, prompts)
        one = Tried(weight, cross=cross, bridge=within)
        found.append(judge(one, found[0], retention) if found else one)
    return Choice(best(found).weight, retention, suite.name, suite.bridge, tuple(found))


def save(merged: SentenceTransformer, out: Path, facts: Mapping[str, Any]) -> None:
    """Write a plain sentence-transformers folder, with ``facts`` as `MERGE`; it appears when it is whole."""
    with atomic_folder(out, MERGE) as temporary:
        merged.save_pretrained(str(temporary), create_model_card=False)
        write_json(temporary / MERGE, dict(facts))


def cross_and_bridge(model: SentenceTransformer, suite: Suite, prompts: Prompts | None) -> tuple[float, float]:
    """Mean over target languages of target query -> bridge passage, and bridge query -> bridge passage (nDCG@10).

    Raises:
        InputError: the suite lacks queries in the bridge language, in a target language, or passages.
    """
    from clearir.evaluation.matrix import evaluate

    within, across = f"{suite.bridge}->{suite.bridge}", f"x->{suite.bridge}"
    kinds = evaluate(model, suite, prompts=prompts, metrics=(MAIN_METRIC,)).summary()
    if within not in kinds or across not in kinds:
        raise InputError(
            f"{suite.name} has no {within if within not in kinds else across}; choosing needs queries in "
            f"{suite.bridge} and in a target language, and passages in {suite.bridge}"
        )
    return kinds[across], kinds[within]


def bridge_passages(suite: Suite) -> Suite:
    """The suite with the passages of the bridge language alone: nothing else counts for a choice.

    Raises:
        InputError: it has none.
    """
    if suite.bridge not in suite.passages:
        raise InputError(f"{suite.name} has no passages in {suite.bridge}; choosing needs them")
    kept = suite.passages[suite.bridge]
    qrels = {query: {p: value for p, value in row.items() if p in kept} for query, row in suite.qrels.items()}
    return replace(suite, passages={suite.bridge: kept}, qrels=qrels)
