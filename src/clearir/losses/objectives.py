"""Objectives by name: weighted sums of terms.

With bridge query ``q``, passage ``d`` and target query ``t`` of a row, and hard negatives ``d-`` and ``t-``:

| term          |                                                                                          |
|---------------|------------------------------------------------------------------------------------------|
| `forward`     | InfoNCE ``q -> d`` among all ``d`` and ``d-``                                             |
| `reverse`     | InfoNCE ``d -> t`` among all ``t`` and ``t-``                                             |
| `direct`      | InfoNCE ``t -> d`` among all ``d`` and ``d-``                                             |
| `align`       | InfoNCE ``q -> t`` among all ``t``, ``t-`` and other ``q``, and ``t -> q`` among all ``q`` |
|               | and other ``t``: their mean                                                               |
| `kl`          | ``KL(P(t given d) || P(d given q))``, column j against column j (CLEAR, section 3)        |
| `consistency` | ``KL(P(d given q) || P(d given t))``, no gradient through the first: ``t`` follows ``q``  |
| `jsd`         | Jensen-Shannon divergence of ``P(d given q)`` and ``P(d given t)`` (arXiv 2604.05684)     |
| `labse`       | InfoNCE ``q -> t`` among all ``t`` and ``t-``, and ``t -> q`` among all ``q``: their mean; |
|               | the right one's cosine less 0.3 (additive margin, LaBSE, arXiv 2007.01852)                |
| `retain`      | ``1 - cos`` of ``q`` with what the untrained model makes of it, and of ``d``: their mean  |
| `distil`      | ``1 - cos`` of ``q``, and of ``t``, with what the untrained model makes of ``q``: their   |
|               | mean (multilingual distillation, arXiv 2004.09813, there as a squared distance)           |
| `flops`       | of sparse vectors: the squared mean of each dimension over the texts, their sum (FLOPS,   |
|               | arXiv 2004.05665); the mean over ``q``, ``t``, and ``d`` with ``d-``                      |

`clear-plus` is ours: ``0.4 forward + 0.4 direct + 0.2 align + 2 retain``. Both queries find the passage, and each
finds its translation: ``t`` stands in for the target-language passages that are not there. Its candidates hold the
other queries in its own language too (SamToNe, arXiv 2306.02516), so these do not become one heap. What English texts
meant before training, they mean after it. `hybrid-plus` is ours too: ``0.5 forward + 0.5 direct + 10 retain``, without
`align`, for bases that know the languages already (docs/results.md). InfoNCE grows with the scale and `retain` does
not, so at the scale of such a base (about 100) it weighs as much as 2 does at 20.

Objectives of other papers, to compare with: `distil` (2004.09813), `mimo` (`direct` + 2 `distil`, after the second
stage of 2605.31171), `jsd` (`direct` + `jsd`, after 2604.05684) and `labse` (2007.01852). Their weights are ours, since
those of the papers belong to other scales: `distil` has in `mimo` what `retain` has in `clear-plus`.

`hybrid-sparse` is `hybrid` for sparse vectors, which `flops` keeps sparse.

With a vector a token (late interaction) the similarity is mean MaxSim from the query, or from the anchor where both are
queries; `retain` is the mean over the tokens of a text, and `distil` 1 less mean MaxSim, both ways
(`clearir.losses.embeddings`).

A new objective is a line in `OBJECTIVES`, a new term one in `TERMS`; recipes, studies and checks know it from there.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from sentence_transformers.sparse_encoder.losses import FlopsLoss
from torch import Tensor

from clearir.losses.columns import Columns
from clearir.losses.embeddings import apart, join
from clearir.losses.terms import (
    SimilarityFunction,
    at_least_float32,
    drift,
    info_nce,
    other_correct_answers,
    paired_js,
    paired_kl,
    same_answer,
    scaled_scores,
)

Side = Literal["query", "passage", "target_query"]
#: whose texts are the anchors, and whose texts (with their hard negatives) the candidates
Contrast = tuple[Side, Side]

FORWARD: Contrast = ("query", "passage")
REVERSE: Contrast = ("passage", "target_query")
DIRECT: Contrast = ("target_query", "passage")
TO_TARGET: Contrast = ("query", "target_query")
TO_BRIDGE: Contrast = ("target_query", "query")

#: what `retain` keeps where it was: the texts in the bridge language
BRIDGE_TEXTS: tuple[Side, ...] = ("query", "passage")
#: both become what the bridge query was, in `distil`
QUERIES: tuple[Side, ...] = ("query", "target_query")
#: `flops` keeps these sparse
FLOPS_SIDES: tuple[Side, ...] = ("query", "passage", "target_query")
_FLOPS = FlopsLoss(None)  # type: ignore[arg-type]  # it keeps the model and does not use it
#: of the additive margin softmax (LaBSE, section 2.3), a cosine
MARGIN = 0.3


@dataclass(frozen=True)
class Batch:
    """The columns of a batch, and the scores that terms ask for, each matrix computed once.

    Attributes:
        columns: ``(batch, dim)`` each, or token vectors ``(batch, tokens, dim)``; None where no term uses the column.
        ids: ``(batch,)`` int64, equal where the texts are equal; None: no false negative is masked.
        rows: the anchors that are asked for.
        similarity_fct: see `scaled_scores`.
        scale: see `scaled_scores`.
        untrained: what the model made of ``rows`` before training, a side; empty where no term asks.
    """

    columns: Columns[Tensor | None]
    ids: Columns[Tensor | None] | None
    rows: Tensor
    similarity_fct: SimilarityFunction
    scale: float
    untrained: Mapping[Side, Tensor] = field(default_factory=dict)
    _known: dict[Contrast, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def scores(self, contrast: Contrast) -> tuple[Tensor, Tensor | None]:
        """Scaled scores ``(a, c)`` of anchors and candidates, and which are right answers besides the positives."""
        if contrast not in self._known:
            self._known[contrast] = self._scores(*contrast)
        return self._known[contrast]

    def _scores(self, anchor: Side, positive: Side) -> tuple[Tensor, Tensor | None]:
        anchors, answers = column_of(self.columns, anchor)[self.rows], join(candidates_of(self.columns, positive))
        if anchor == "passage":  # the query asks: a similarity may have a direction, as MaxSim has
            scores = scaled_scores(answers, anchors, self.similarity_fct, self.scale).T
        else:
            scores = scaled_scores(anchors, answers, self.similarity_fct, self.scale)
        if self.ids is None:
            return scores, None
        candidates = torch.cat(candidates_of(self.ids, positive))
        return scores, other_correct_answers(
            column_of(self.ids, anchor), column_of(self.ids, positive), candidates, self.rows
        )

    def own_side(self, contrast: Contrast) -> tuple[Tensor, Tensor]:
        """Scaled scores ``(a, batch)`` of anchors with all anchors, and which are no wrong answers.

        These are the anchor itself, anchors of the same text, and those with the same right answer.
        """
        own = column_of(self.columns, contrast[0])
        scores = scaled_scores(own[self.rows], own, self.similarity_fct, self.scale)
        if self.ids is None:
            return scores, self.rows[:, None] == torch.arange(len(own), device=own.device)
        return scores, same_answer(column_of(self.ids, contrast[0]), column_of(self.ids, contrast[1]), self.rows)

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
        untrained: whose embeddings by the untrained model it takes.
        sides: whose embeddings it takes besides.
    """

    contrasts: tuple[Contrast, ...]
    values: Callable[[Batch], Tensor]
    untrained: tuple[Side, ...] = ()
    sides: tuple[Side, ...] = ()


def _contrast(contrast: Contrast) -> Term:
    """InfoNCE."""

    def values(batch: Batch) -> Tensor:
        scores, correct = batch.scores(contrast)
        return info_nce(scores, batch.rows, correct)

    return Term((contrast,), values)


def _align(batch: Batch) -> Tensor:
    return (_apart(batch, TO_TARGET) + _apart(batch, TO_BRIDGE)) / 2


def _apart(batch: Batch, contrast: Contrast) -> Tensor:
    """InfoNCE with the other anchors among the candidates (SamToNe, arXiv 2306.02516)."""
    scores, correct = batch.scores(contrast)
    own, no_wrong = batch.own_side(contrast)
    if correct is None:
        correct = torch.zeros_like(scores, dtype=torch.bool)
    return info_nce(torch.cat([scores, own], dim=1), batch.rows, torch.cat([correct, no_wrong], dim=1))


def _kl(batch: Batch) -> Tensor:
    forward, reverse = batch.scores(FORWARD)[0], batch.scores(REVERSE)[0]
    # With unequal numbers of hard negatives only the in-batch columns have partners.
    width = forward.shape[1] if forward.shape == reverse.shape else len(column_of(batch.columns, "query"))
    return paired_kl(reverse[:, :width], forward[:, :width], batch.both_correct(FORWARD, REVERSE, width))


def _consistency(batch: Batch) -> Tensor:
    bridge, target = batch.scores(FORWARD)[0].detach(), batch.scores(DIRECT)[0]
    return paired_kl(bridge, target, batch.both_correct(FORWARD, DIRECT, bridge.shape[1]))


def _jsd(batch: Batch) -> Tensor:
    bridge, target = batch.scores(FORWARD)[0], batch.scores(DIRECT)[0]
    return paired_js(bridge, target, batch.both_correct(FORWARD, DIRECT, bridge.shape[1]))


def _labse(batch: Batch) -> Tensor:
    return (_with_margin(batch, TO_TARGET) + _with_margin(batch, TO_BRIDGE)) / 2


def _with_margin(batch: Batch, contrast: Contrast) -> Tensor:
    """InfoNCE in which the right answer has to be nearer by `MARGIN`."""
    scores, correct = batch.scores(contrast)
    own = torch.nn.functional.one_hot(batch.rows, scores.shape[1]).to(scores)
    return info_nce(scores - batch.scale * MARGIN * own, batch.rows, correct)


def _retain(batch: Batch) -> Tensor:
    drifts = [drift(column_of(batch.columns, side)[batch.rows], _before(batch, side)) for side in BRIDGE_TEXTS]
    return torch.stack(drifts).mean(dim=0)


def _distil(batch: Batch) -> Tensor:
    drifts = [apart(column_of(batch.columns, side)[batch.rows], _before(batch, "query")) for side in QUERIES]
    return torch.stack(drifts).mean(dim=0)


def _before(batch: Batch, side: Side) -> Tensor:
    """What the untrained model makes of a side.

    Raises:
        ValueError: the batch has embeddings alone.
    """
    if side not in batch.untrained:
        raise ValueError(
            "retain and distil compare with the untrained model, which needs texts; embeddings alone have none"
        )
    return batch.untrained[side]


def _flops(batch: Batch) -> Tensor:
    """The same number for every anchor: it is of all texts of the batch, each side by itself, as languages differ."""
    sides = [join([one for one in candidates_of(batch.columns, side) if one is not None]) for side in FLOPS_SIDES]
    values = torch.stack([_FLOPS.compute_loss_from_embeddings(at_least_float32(one)) for one in sides])
    return values.mean().expand(len(batch.rows))


TERMS: dict[str, Term] = {
    "forward": _contrast(FORWARD),
    "reverse": _contrast(REVERSE),
    "direct": _contrast(DIRECT),
    "align": Term((TO_TARGET, TO_BRIDGE), _align),
    "kl": Term((FORWARD, REVERSE), _kl),
    "consistency": Term((FORWARD, DIRECT), _consistency),
    "jsd": Term((FORWARD, DIRECT), _jsd),
    "labse": Term((TO_TARGET, TO_BRIDGE), _labse),
    "retain": Term((), _retain, BRIDGE_TEXTS),
    "distil": Term((), _distil, ("query",), QUERIES),
    "flops": Term((), _flops, sides=FLOPS_SIDES),
}

#: name -> weight of each term
OBJECTIVES: dict[str, dict[str, float]] = {
    "clear": {"forward": 0.4, "reverse": 0.4, "kl": 0.2},
    "clear-no-kl": {"forward": 0.6, "reverse": 0.4},
    "infonce": {"direct": 1.0},
    "infonce-bridge": {"forward": 1.0},
    "hybrid": {"forward": 0.5, "direct": 0.5},
    "symmetric": {"direct": 0.5, "reverse": 0.5},
    "clear-plus": {"forward": 0.4, "direct": 0.4, "align": 0.2, "retain": 2.0},
    "hybrid-plus": {"forward": 0.5, "direct": 0.5, "retain": 10.0},
    "distil": {"distil": 1.0},
    "mimo": {"direct": 1.0, "distil": 2.0},
    "jsd": {"direct": 1.0, "jsd": 1.0},
    "labse": {"labse": 1.0},
    "hybrid-sparse": {"forward": 0.5, "direct": 0.5, "flops": 1e-3},
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
            used |= {column_of(positions, anchor), *candidates_of(positions, positive)}
        used |= {column_of(positions, side) for side in TERMS[name].sides}
    return sorted(used | set(untrained_columns(weights, positions).values()))


def untrained_sides(weights: Mapping[str, float]) -> list[Side]:
    """The sides of which a term takes what the untrained model makes of them."""
    return list(dict.fromkeys(side for name in weights for side in TERMS[name].untrained))


def untrained_columns(weights: Mapping[str, float], positions: Columns[int]) -> dict[Side, int]:
    """Which columns the untrained model embeds too, by side."""
    return {side: column_of(positions, side) for side in untrained_sides(weights)}


def column_of(columns: Columns[Any], side: Side) -> Any:
    """The column of a side. Columns that no term uses are None, and no term asks for them."""
    return getattr(columns, side)


def candidates_of(columns: Columns[Any], side: Side) -> tuple[Any, ...]:
    """The column of a side and its hard negatives."""
    hard = {"query": (), "passage": columns.negatives, "target_query": columns.target_negatives}
    return (column_of(columns, side), *hard[side])
