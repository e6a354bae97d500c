"""Exact search in blocks: scores, the best passages of each query, and the ranks of the relevant ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from clearir.models.any_kind import scorer

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from clearir.models.any_kind import Vectors

# Scores of a block of queries against the whole corpus: 2^25 floats are 128 MiB.
BLOCK = 2**25


class Ranked(NamedTuple):
    """What was found for n queries.

    Attributes:
        best: rows of the best passages, best first, shape (n, depth).
        scores: of these.
        ranks: for each query those of its relevant passages, from 1, over the whole corpus.
    """

    best: NDArray[np.int64]
    scores: NDArray[np.float32]
    ranks: list[list[int]]


def rank(
    queries: Vectors,
    passages: Vectors,
    relevant: Sequence[Sequence[int]],
    depth: int,
    *,
    left_out: Sequence[Sequence[int]] | None = None,
    device: str | torch.device = "cpu",
    block: int = BLOCK,
) -> Ranked:
    """Rank all passages for each query by their scores; of equal scores the earlier passage comes first.

    Args:
        queries: shape (n, dim), or the token vectors of n texts.
        passages: shape (m, dim), m > 0, or likewise.
        relevant: for each query the rows of its relevant passages.
        depth: how many of the best passages to return, where there are as many.
        left_out: for each query the rows of passages that it does not rank, none of them relevant; they come last.
        device: where to multiply.
        block: scores computed at once (at least those of one query); memory is a few times that.
    """
    import torch

    depth = min(depth, len(passages))
    best = [torch.zeros((0, depth), dtype=torch.long)]
    best_scores = [torch.zeros((0, depth))]
    ranks: list[list[int]] = []
    with torch.inference_mode():
        for start, scores in score_blocks(queries, passages, left_out, device=device, block=block):
            columns = top_columns(scores, depth)
            best.append(columns.cpu())
            best_scores.append(scores.gather(1, columns).cpu())
            ranks += _ranks(scores, relevant[start : start + len(scores)])
    return Ranked(torch.cat(best).numpy(), torch.cat(best_scores).numpy(), ranks)


def score_blocks(
    queries: Vectors,
    passages: Vectors,
    left_out: Sequence[Sequence[int]] | None = None,
    *,
    device: str | torch.device = "cpu",
    block: int = BLOCK,
) -> Iterator[tuple[int, torch.Tensor]]:
    """The scores of some queries after the other with all passages: dot products, or of token vectors mean MaxSim.

    Args:
        queries: shape (n, dim), or the token vectors of n texts.
        passages: shape (m, dim), m > 0, or likewise.
        left_out: for each query the rows of passages that get a score of minus infinity.
        device: where to multiply.
        block: scores computed at once (at least those of one query).

    Yields:
        The row of the first query, and the scores of that and the next ones, shape (at most n, m).
    """
    import torch

    score = scorer(passages, device)
    size = max(1, block // len(passages))
    for start in range(0, len(queries), size):
        scores = score(queries[start : start + size])
        if left_out is not None:
            out = left_out[start : start + size]
            rows = torch.tensor([row for row, columns in enumerate(out) for _ in columns], dtype=torch.long)
            scores[rows, torch.tensor([c for columns in out for c in columns], dtype=torch.long)] = -torch.inf
        yield start, scores


def top_columns(scores: torch.Tensor, depth: int) -> torch.Tensor:
    """Columns of the largest scores of each row, equal ones in the order of the columns. `topk` promises no order.

    Args:
        scores: shape (n, m).
        depth: how many, at most m.

    Returns:
        Shape (n, depth), best first.
    """
    import torch

    more = min(depth + 1, scores.shape[1])
    values, columns = scores.topk(more, dim=1)
    columns, order = columns.sort(dim=1)
    order = values.gather(1, order).sort(dim=1, descending=True, stable=True).indices
    best = columns.gather(1, order)[:, :depth]
    if more > depth:
        # The cut runs through equal scores: which of them topk took is chance, so sort these rows in full.
        tied = (values[:, depth - 1] == values[:, depth]).nonzero().squeeze(1)
        if len(tied):
            best[tied] = torch.sort(scores[tied], dim=1, descending=True, stable=True).indices[:, :depth]
    return best


def _ranks(scores: torch.Tensor, relevant: Sequence[Sequence[int]]) -> list[list[int]]:
    """1 + the passages with a larger score + those with the same score that stand before."""
    import torch

    rows = torch.tensor([row for row, gold in enumerate(relevant) for _ in gold], device=scores.device)
    columns = torch.tensor([column for gold in relevant for column in gold], device=scores.device)
    found: list[int] = []
    chunk = len(scores)  # no more scores at once than the block that is already here
    for start in range(0, len(rows), chunk):
        row, column = rows[start : start + chunk], columns[start : start + chunk]
        own = scores[row, column].unsqueeze(1)
        others = scores[row]
        before = torch.arange(scores.shape[1], device=scores.device) < column.unsqueeze(1)
        found += (1 + (others > own).sum(1) + ((others == own) & before).sum(1)).tolist()
    ranks = iter(found)
    return [[next(ranks) for _ in gold] for gold in relevant]
