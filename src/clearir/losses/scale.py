"""The scale (1 / temperature) that fits a model. It belongs to the base model, not to the objective.

```python
loss = CLEARLoss(model, scale=best_scale(model, queries, passages))
```

A model learned its similarities at one temperature: with all-MiniLM-L6-v2 a right passage stands well apart from the
others (scale 20), with E5 by a few hundredths (scale 100). At a wrong scale the loss pulls all of these distances
apart or together, and what the model knew is the price. The scale that fits is the one at which the model's own
distribution over the passages makes the right ones likely, before any training.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.util import cos_sim, dot_score
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from clearir.losses.embeddings import mean_maxsim
from clearir.losses.terms import info_nce, mask_correct, other_correct_answers, scaled_scores

logger = logging.getLogger(__name__)
T = TypeVar("T", bound=Hashable)

#: the paper's; what is taken where nothing can be found
DEFAULT = 20.0
#: of scores whose largest is 1
BOUNDS = (1.0, 1000.0)
#: nats of cross-entropy that count as equal. Where nearly every query finds its passage the curve hardly rises behind
#: its minimum, which a few pairs then decide; the smallest scale that is as good is found again with other pairs.
AS_GOOD = 0.01
#: pairs that the scale is found from, and the fewest: below, other pairs may give several times as much
SAMPLE, FEW = 400, 32
#: scales of the curve
SHOWN = (2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0)


@dataclass(frozen=True)
class ScaleFit:
    """The scale that fits a model on some pairs of query and passage.

    `DEFAULT` and `SHOWN` are scales of scores up to 1. Where the largest score is 50, say, they are divided by 50.

    Attributes:
        scale: the one to train with, to three digits; `DEFAULT` where none can be found.
        likeliest: the one of least cross-entropy, likewise.
        curve: (scale, mean cross-entropy in nats) at the scales of `SHOWN` and at ``scale``.
        pairs: how many.
        warning: what makes the scale doubtful, in words; empty where nothing does.
    """

    scale: float
    likeliest: float
    curve: tuple[tuple[float, float], ...]
    pairs: int
    warning: str = ""


def best_scale(
    model: SentenceTransformer | MultiVectorEncoder | SparseEncoder,
    queries: Iterable[str],
    passages: Iterable[str],
    *,
    sample: int = SAMPLE,
    seed: int = 0,
) -> float:
    """The scale that fits a model, for any loss of this package; see `fit_scores`.

    Texts are encoded with the model's own prompts, as `encode_query` and `encode_document` do. What makes the number
    doubtful is logged as a warning.

    Args:
        model: as it is before training.
        queries: one a row, in the language of the passages.
        passages: the right passage of each.
        sample: different pairs that are encoded at most. Their number hardly moves the scale, only how sure it is: two
            standard deviations over draws from MLQA are 15 % with 128 pairs, 9 % with 256, 5 % with 400.
        seed: of the draw.

    Returns:
        the scale, to three digits.

    Raises:
        ValueError: no pairs, not as many passages as queries, or vectors that are not finite.
    """
    pairs = sample_pairs(zip(queries, passages, strict=True), sample, seed)
    was_training = model.training
    try:
        of_queries = _encoded(model, model.encode_query, [query for query, _ in pairs])
        of_passages = _encoded(model, model.encode_document, [passage for _, passage in pairs])
    finally:
        model.train(was_training)
    if isinstance(model, SparseEncoder):
        fit = fit_scores(dot_score(of_queries, of_passages), pairs)
    else:
        fit = fit_scale(of_queries, of_passages, pairs)
    if fit.warning:
        logger.warning("%s", fit.warning)
    return fit.scale


def _encoded(model: Any, encode: Callable[..., Any], texts: list[str]) -> Tensor:
    if isinstance(model, MultiVectorEncoder):
        return pad_sequence(encode(texts), batch_first=True)
    found: Tensor = encode(texts, convert_to_tensor=True)
    return found


def sample_pairs(pairs: Iterable[tuple[T, T]], size: int = SAMPLE, seed: int = 0) -> list[tuple[T, T]]:
    """So many of the different pairs, or all; the same for the same pairs and seed."""
    distinct = list(dict.fromkeys(pairs))
    return distinct if len(distinct) <= size else random.Random(seed).sample(distinct, size)  # noqa: S311


def fit_scale(queries: Tensor, passages: Tensor, pairs: Sequence[tuple[Hashable, Hashable]]) -> ScaleFit:
    """`fit_scores` for the cosines of vectors, or the mean MaxSim of token vectors.

    Args:
        queries: ``(n, dim)``, or token vectors ``(n, tokens, dim)``.
        passages: ``(n, dim)``, or likewise; row i is the right one for query i.
        pairs: see `fit_scores`.

    Raises:
        ValueError: see `fit_scores`.
    """
    alike = mean_maxsim if queries.ndim == 3 else cos_sim
    return fit_scores(scaled_scores(queries.cpu().double(), passages.cpu().double(), alike, 1.0), pairs)


def fit_scores(scores: Tensor, pairs: Sequence[tuple[Hashable, Hashable]]) -> ScaleFit:
    """The smallest scale that makes the right passages as likely as any scale does, to `AS_GOOD` nats.

    The cross-entropy of each query's own passage among all of them, as the term `forward` has it: right answers
    besides it are masked. Its mean is a convex function of the scale. For two models of known temperature the scale
    found is that of their training to 3 %, the minimum lies a tenth above it (benchmarks/temperature.py).

    Args:
        scores: ``(n, n)`` of queries and passages, before any scale; on the diagonal those of the right passages.
        pairs: query and passage of each row: their texts, or whatever is equal where the texts are.

    Raises:
        ValueError: no pairs, or scores that are not finite.
    """
    from scipy.optimize import brentq, minimize_scalar

    if not pairs:
        raise ValueError("no pairs of query and passage to find a scale from; give some hundred")
    similarities = _of_others_masked(scores, pairs)
    unit = max(1.0, float(similarities.max()))  # cosines have no larger one; dot products do
    similarities = similarities / unit
    own = torch.arange(len(pairs))

    def cross_entropy(log_scale: float) -> float:
        return float(info_nce(similarities * math.exp(log_scale), own).mean())

    low, high = map(math.log, BOUNDS)
    least = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    good = float(least.fun) + AS_GOOD
    known = len(pairs) >= FEW and cross_entropy(low) > good
    found = math.exp(brentq(lambda one: cross_entropy(one) - good, low, least.x)) if known else DEFAULT
    scale = _three_digits(found / unit)
    shown = sorted({*(_three_digits(one / unit) for one in SHOWN), scale})
    return ScaleFit(
        scale=scale,
        likeliest=_three_digits(math.exp(least.x) / unit),
        curve=tuple((one, round(cross_entropy(math.log(one * unit)), 4)) for one in shown),
        pairs=len(pairs),
        warning=_doubt(len(pairs), known, bool((similarities.argmax(dim=1) == own).all()), scale),
    )


def _of_others_masked(scores: Tensor, pairs: Sequence[tuple[Hashable, Hashable]]) -> Tensor:
    """The scores in float64, with -inf at right answers that are not the row's own."""
    found = scores.cpu().double()
    if not found.isfinite().all():
        raise ValueError("the model's vectors are not all finite numbers; its weights are broken")
    asked, answers = (_ids(side) for side in zip(*pairs, strict=True))
    return mask_correct(found, other_correct_answers(asked, answers, answers, torch.arange(len(pairs))))


def _ids(texts: Sequence[Hashable]) -> Tensor:
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts])


def _doubt(pairs: int, known: bool, all_found: bool, scale: float) -> str:
    taken = f"{scale:g} is taken" + (", the paper's" if scale == DEFAULT else "")
    if pairs < FEW:
        return f"too few different pairs of query and passage to find a scale ({pairs}, the fewest are {FEW}); {taken}"
    if not known:
        return f"no scale fits: the model does not find the passages of {pairs} queries among each other; {taken}"
    if all_found:
        return (
            f"the scale is a rough guess: each of {pairs} queries finds its passage first, so larger scales fit as well"
        )
    return ""


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
