"""The terms of the losses, on score matrices. Tensors only.

Shapes: ``a`` anchors, ``c`` candidates. A *correct* matrix ``(a, c)`` of bool marks candidates that are right answers
for an anchor without being its own positive; they count as nothing in any term.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

SimilarityFunction = Callable[[Tensor, Tensor], Tensor]


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor itself in float32 or float64, else as float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def scaled_scores(anchors: Tensor, candidates: Tensor, similarity_fct: SimilarityFunction, scale: float) -> Tensor:
    """``scale * similarity`` of every anchor with every candidate, never in less than float32.

    A bfloat16 product errs by up to 0.1 in the logit at scale 20, so autocast is switched off here.

    Args:
        anchors: ``(a, dim)``, or token vectors ``(a, tokens, dim)``.
        candidates: ``(c, dim)``, or token vectors.
        similarity_fct: embeddings of texts that ask, and of texts that answer -> matrix of similarities.
        scale: 1 / temperature.

    Returns:
        ``(a, c)``, float32 or float64.
    """
    with torch.autocast(device_type=anchors.device.type, enabled=False):
        return similarity_fct(at_least_float32(anchors), at_least_float32(candidates)) * scale


def mask_correct(scores: Tensor, correct: Tensor | None) -> Tensor:
    """Scores in which the marked candidates have probability 0."""
    return scores if correct is None else scores.masked_fill(correct, -torch.inf)


def info_nce(scores: Tensor, positives: Tensor, correct: Tensor | None = None) -> Tensor:
    """InfoNCE: ``-log softmax(scores)[positive]`` of each anchor.

    Args:
        scores: ``(a, c)``, scaled.
        positives: ``(a,)`` column of each anchor's own positive.
        correct: ``(a, c)`` of bool, or None.

    Returns:
        ``(a,)``.
    """
    return torch.nn.functional.cross_entropy(mask_correct(scores, correct), positives, reduction="none")


def paired_kl(reverse: Tensor, forward: Tensor, correct: Tensor | None = None) -> Tensor:
    """``KL(reverse_i || forward_i)``, column j of one side against column j of the other (CLEAR, consistency term).

    Gradients flow through both sides. A marked column is left out of both distributions.

    Args:
        reverse: ``(a, c)`` scaled scores of the passages with the target queries.
        forward: ``(a, c)`` scaled scores of the bridge queries with the passages.
        correct: ``(a, c)`` of bool, or None.

    Returns:
        ``(a,)``, nats.
    """
    log_p = mask_correct(reverse, correct).log_softmax(dim=1)
    log_q = mask_correct(forward, correct).log_softmax(dim=1)
    difference = log_p - log_q
    if correct is not None:  # -inf minus -inf
        difference = difference.masked_fill(correct, 0.0)
    return (log_p.exp() * difference).sum(dim=1)


def paired_js(one: Tensor, other: Tensor, correct: Tensor | None = None) -> Tensor:
    """Jensen-Shannon divergence of two distributions over the same candidates (2604.05684); gradients through both.

    Args:
        one: ``(a, c)`` scaled scores.
        other: ``(a, c)`` scaled scores.
        correct: ``(a, c)`` of bool, or None; a marked column is left out of both.

    Returns:
        ``(a,)``, nats: 0 to ln 2.
    """
    logs = [mask_correct(scores, correct).log_softmax(dim=1) for scores in (one, other)]
    if correct is not None:  # -inf minus -inf
        logs = [log.masked_fill(correct, 0.0) for log in logs]
    middle = torch.logaddexp(*logs) - math.log(2)
    parts = [log.exp() * (log - middle) for log in logs]
    if correct is not None:
        parts = [part.masked_fill(correct, 0.0) for part in parts]
    return (parts[0] + parts[1]).sum(dim=1) / 2


def is_token(embeddings: Tensor) -> Tensor:
    """Which of the vectors ``(texts, tokens, dim)`` are of a token: those that are not zero; ``(texts, tokens)``."""
    return (embeddings != 0).any(dim=-1)


def drift(embeddings: Tensor, before: Tensor) -> Tensor:
    """``1 - cosine`` of each embedding with what it was; of token vectors the mean over the tokens of the text.

    Args:
        embeddings: ``(a, dim)``, or token vectors ``(a, tokens, dim)``.
        before: of the same texts, with as many dimensions, or more or less: the first that both have count
            (Matryoshka); or token vectors, with as much padding, or more or less.

    Returns:
        ``(a,)``, 0 to 2.
    """
    shared = tuple(slice(min(sizes)) for sizes in zip(embeddings.shape, before.shape, strict=True))
    now, then = at_least_float32(embeddings[shared]), at_least_float32(before[shared])
    with torch.autocast(device_type=embeddings.device.type, enabled=False):
        apart = 1 - torch.nn.functional.cosine_similarity(now, then, dim=-1)
    if apart.ndim == 1:
        return apart
    tokens = is_token(then)
    return apart.where(tokens, 0).sum(dim=1) / tokens.sum(dim=1).clamp(min=1)


def same_answer(anchor_ids: Tensor, positive_ids: Tensor, rows: Tensor) -> Tensor:
    """Which anchors say the same as an anchor: the same text, or a text with the same right answer.

    Args:
        anchor_ids: ``(b,)`` int64, equal where the texts are equal, of the whole batch.
        positive_ids: ``(b,)`` likewise.
        rows: ``(a,)`` the anchors that are asked for.

    Returns:
        ``(a, b)`` of bool; True at the anchor itself.
    """
    return (anchor_ids[rows, None] == anchor_ids) | (positive_ids[rows, None] == positive_ids)


def other_correct_answers(anchor_ids: Tensor, positive_ids: Tensor, candidate_ids: Tensor, rows: Tensor) -> Tensor:
    """Which candidates are right answers for an anchor without being its own positive (false negatives).

    A candidate is a right answer for anchor i if its text is that of i's positive, or that of the positive of any row
    with the same anchor text. In SQuAD-style data several questions share one passage: for the passage as anchor all
    of their translations are right answers.

    Args:
        anchor_ids: ``(b,)`` int64, equal where the texts are equal, of the whole batch.
        positive_ids: ``(b,)`` likewise.
        candidate_ids: ``(c,)`` likewise, the ``b`` positives first.
        rows: ``(a,)`` the anchors that are asked for.

    Returns:
        ``(a, c)`` of bool; False at each anchor's own positive.
    """
    correct = positive_ids[rows, None] == candidate_ids
    same_anchor = anchor_ids[rows, None] == anchor_ids
    shared = same_anchor.sum(dim=1) > 1
    if shared.any():
        same_text = positive_ids[:, None] == candidate_ids
        correct[shared] |= (same_anchor[shared].float() @ same_text.float()) > 0
    correct[torch.arange(len(rows), device=rows.device), rows] = False
    return correct
