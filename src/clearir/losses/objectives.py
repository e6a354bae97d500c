"""Objectives by name: weighted sums of terms.

With bridge query ``q``, passage ``d`` and target query ``t`` of a row, and hard negatives ``d-`` and ``t-``:

| term          |                                                                                          |
|---------------|------------------------------------------------------------------------------------------|
| `forward`     | InfoNCE ``q -> d`` among all ``d`` and ``d-``                                             |
| `reverse`     | InfoNCE ``d -> t`` among all ``t`` and ``t-``                                             |
| `direct`      | InfoNCE ``t -> d`` among all ``d`` and ``d-``                                             |
| `align`       | InfoNCE ``q -> t`` among all ``t`` and ``t-``, and ``t -> q`` among all ``q``: their mean |
| `kl`          | ``KL(P(t given d) || P(d given q))``, column j against column j (CLEAR, section 3)        |
| `consistency` | ``KL(P(d given q) || P(d given t))``, no gradient through the first: ``t`` follows ``q``  |

`clear-plus` is ours: ``0.4 forward + 0.4 direct + 0.2 align``. Both queries find the passage, and each finds its
translation: ``t`` stands in for the target-language passages that are not there (docs/results.md).

A new objective is a line in `OBJECTIVES`, a new term one in `TERMS`; recipes, studies and checks know it from there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from clearir.losses.columns import Columns
from clearir.losses.terms import SimilarityFunction, info_nce, other_correct_answers, paired_kl, scaled_scores

Side = Literal["query", "passage", "target_query"]
#: whose texts are the anchors, and whose texts (with their hard negatives) the candidates
Contrast = tuple[Side, Side]

FORWARD: Contrast = ("query", "passage")
REVERSE: Contrast = ("passage", "target_query")
DIRECT: Contrast = ("target_query", "passage")
TO_TARGET: Contrast = ("query", "target_query")
TO_BRIDGE: Contrast = ("target_query", "query")


@dataclass(frozen=True)
class Batch:
    """The columns of a batch, and the scores that terms ask for, each matrix computed once.

    Attributes:
        columns: ``(batch, dim)`` each; None where no term uses the column.
        ids: ``(batch,)`` int64, equal where the texts are equal; None: no false negative is masked.
        rows: the anchors that are asked for.
        similarity_fct: see `scaled_scores`.
        scale: see `scaled_scores`.
    """

    columns: Columns[Tensor | None]
    ids: Columns[Tensor | None] | None
    rows: Tensor
    similarity_fct: SimilarityFunction
    scale: float
    _known: dict[Contrast, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def scores(self, contrast: Contrast) -> tuple[Tensor, Tensor | None]:
        """Scaled scores ``(a, c)`` of anchors and candidates, and which are right answers besides the positives."""
        if contrast not in self._known:
            self._known[contrast] = self._scores(*contrast)
        return self._known[contrast]

    def _scores(self, anchor: Side, positive: Side) -> tuple[Tensor, Tensor | None]:
        scores = scaled_scores(
            _own(self.columns, anchor)[self.rows],
            torch.cat(_candidates(self.columns, positive)),
            self.similarity_fct,
            self.scale,
        )
        if self.ids is None:
            return scores, None
        candidates = torch.cat(_candidates(self.ids, positive))
        return scores, other_correct_answers(_own(self.ids, anchor), _own(self.ids, positive), candidates, self.rows)

    def both_correct(self, one: Contrast, other: Contrast, width: int) -> Tensor | None:
        """The first ``width`` candidates that are right answers besides the positives in either contrast."""
        first, second = self.scores(one)[1], self.scores(other)[1]
        return None if first is None or second is None else first[:, :width] | second[:, :width]


@dataclass(frozen=True)
class Term:
    """One term of an objective.

    Attributes:
        contrasts: whose scores it takes.
        values: batch -> ``(a,)``, one value an anchor.
    """

    contrasts: tuple[Contrast, ...]
    values: Callable[[Batch], Tensor]


def _contrast(*contrasts: Contrast) -> Term:
    """InfoNCE, the mean over the contrasts."""

    def values(batch: Batch) -> Tensor:
        return torch.stack([_info_nce(batch, one) for one in contrasts]).mean(dim=0)

    return Term(contrasts, values)


def _info_nce(batch: Batch, contrast: Contrast) -> Tensor:
    scores, correct = batch.scores(contrast)
    return info_nce(scores, batch.rows, correct)


def _kl(batch: Batch) -> Tensor:
    forward, reverse = batch.scores(FORWARD)[0], batch.scores(REVERSE)[0]
    # With unequal numbers of hard negatives only the in-batch columns have partners.
    equal = len(batch.columns.negatives) == len(batch.columns.target_negatives)
    width = forward.shape[1] if equal else len(_own(batch.columns, "query"))
    return paired_kl(reverse[:, :width], forward[:, :width], batch.both_correct(FORWARD, REVERSE, width))


def _consistency(batch: Batch) -> Tensor:
    bridge, target = batch.scores(FORWARD)[0].detach(), batch.scores(DIRECT)[0]
    return paired_kl(bridge, target, batch.both_correct(FORWARD, DIRECT, bridge.shape[1]))


TERMS: dict[str, Term] = {
    "forward": _contrast(FORWARD),
    "reverse": _contrast(REVERSE),
    "direct": _contrast(DIRECT),
    "align": _contrast(TO_TARGET, TO_BRIDGE),
    "kl": Term((FORWARD, REVERSE), _kl),
    "consistency": Term((FORWARD, DIRECT), _consistency),
}

#: name -> weight of each term
OBJECTIVES: dict[str, dict[str, float]] = {
    "clear": {"forward": 0.4, "reverse": 0.4, "kl": 0.2},
    "clear-no-kl": {"forward": 0.6, "reverse": 0.4},
    "infonce": {"direct": 1.0},
    "infonce-bridge": {"forward": 1.0},
    "hybrid": {"forward": 0.5, "direct": 0.5},
    "symmetric": {"direct": 0.5, "reverse": 0.5},
    "clear-plus": {"forward": 0.4, "direct": 0.4, "align": 0.2},
}


def weights_of(objective: str | Mapping[str, float]) -> dict[str, float]:
    """The weight of each term of an objective.

    Args:
        objective: a name in `OBJECTIVES`, or weights by the names in `TERMS`. A weight of 0 computes the term for the
            log alone.

    Raises:
        ValueError: an unknown name, a negative weight, or no weight above 0.
    """
    if isinstance(objective, str):
        if objective not in OBJECTIVES:
            raise ValueError(_unknown("objective", objective, list(OBJECTIVES)))
        return dict(OBJECTIVES[objective])
    for name, weight in objective.items():
        if name not in TERMS:
            raise ValueError(_unknown("term", name, list(TERMS)))
        if not 0 <= weight < float("inf"):
            raise ValueError(f"the weight of {name} is {weight}; give 0 or more")
    if not any(weight > 0 for weight in objective.values()):
        raise ValueError("no term has a weight above 0; give at least one, e.g. {forward: 0.5, direct: 0.5}")
    return {name: float(weight) for name, weight in objective.items()}


def _unknown(kind: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown {kind} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}")


def used_columns(weights: Mapping[str, float], positions: Columns[int]) -> list[int]:
    """Which columns the terms take, in order."""
    used: set[int] = set()
    for name in weights:
        for anchor, positive in TERMS[name].contrasts:
            used |= {_own(positions, anchor), *_candidates(positions, positive)}
    return sorted(used)


def _own(columns: Columns[Any], side: Side) -> Any:
    """The column of a side. Columns that no term uses are None, and no term asks for them."""
    return getattr(columns, side)


def _candidates(columns: Columns[Any], side: Side) -> tuple[Any, ...]:
    """The column of a side and its hard negatives."""
    hard = {"query": (), "passage": columns.negatives, "target_query": columns.target_negatives}
    return (_own(columns, side), *hard[side])
