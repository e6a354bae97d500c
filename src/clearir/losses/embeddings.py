"""What a model makes of texts, as the terms take it: one row a text.

A row is a vector, or as many vectors as the text has tokens (late interaction). Token vectors stand in one tensor
``(texts, tokens, dim)``: those of a text first, then zeros. A vector of zeros is no token, so no mask goes beside them,
and packing, caching and gathering handle both kinds alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder, SparseEncoder
from sentence_transformers.util import cos_sim, dot_score
from sentence_transformers.util.similarity import maxsim, maxsim_pairwise
from torch import Tensor

from clearir.losses.packing import Features
from clearir.losses.terms import SimilarityFunction, at_least_float32, drift, is_token

# Numbers that MaxSim computes at a time: 2^24 floats are 64 MiB.
BLOCK = 2**24


def embed(model: Any, features: Features) -> Tensor:
    """The embeddings of some texts.

    Args:
        model: a SentenceTransformer, a MultiVectorEncoder, or a CrossEncoder, whose texts are pairs and whose vectors
            are the score alone.
        features: what the collator made of the texts. A ``task`` ("query" or "document") among them decides which
            tokens a MultiVectorEncoder counts.

    Returns:
        ``(texts, dim)``, or token vectors ``(texts, tokens, dim)``.
    """
    task = features.get("task")
    output = model(features) if task is None else model(features, task=task)
    for kind in ("scores", "sentence_embedding"):  # a reranker may make its score of a vector, and has both
        if kind in output:
            found: Tensor = output[kind]
            return found
    return _tokens_first(output["token_embeddings"], output["attention_mask"].bool())


def _tokens_first(vectors: Tensor, counts: Tensor) -> Tensor:
    """Token vectors in their order without those that do not count, whatever the side of the padding."""
    order = counts.int().argsort(dim=1, descending=True, stable=True)
    vectors = vectors.masked_fill(~counts.unsqueeze(-1), 0)
    return vectors.gather(1, order.unsqueeze(-1).expand_as(vectors))


def join(parts: Sequence[Tensor]) -> Tensor:
    """The texts of all parts, one after the other; shorter token vectors are filled up with zeros."""
    if parts[0].ndim == 3:
        width = max(part.shape[1] for part in parts)
        parts = [_widened(part, width) for part in parts]
    return torch.cat(list(parts))


def as_wide_everywhere(embeddings: Tensor) -> Tensor:
    """Embeddings as they are; token vectors as wide as those of the process with the longest text."""
    if embeddings.ndim == 2:
        return embeddings
    width = torch.tensor(embeddings.shape[1], device=embeddings.device)
    torch.distributed.all_reduce(width, op=torch.distributed.ReduceOp.MAX)
    return _widened(embeddings, int(width))


def _widened(embeddings: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(embeddings, (0, 0, 0, width - embeddings.shape[1]))


def default_similarity(model: Any) -> SimilarityFunction:
    """How the texts of a model are compared where nothing else is said."""
    if isinstance(model, SparseEncoder):
        return dot_score
    return mean_maxsim if isinstance(model, MultiVectorEncoder) else cos_sim


def mean_maxsim(asking: Tensor, answering: Tensor) -> Tensor:
    """How well texts answer others: for each token that asks, the largest cosine with a token that answers; their mean.

    That is MaxSim (ColBERT, arXiv 2004.12832) divided by the number of tokens that ask. It ranks in the same way, and
    lies between -1 and 1 like a cosine, so a scale or a margin means the same for short and for long queries, and for
    both kinds of model. (ColBERT trains with the sum over 32 tokens at scale 1: that is the mean at scale 32.)
    Computed in blocks of `BLOCK` numbers.

    Args:
        asking: token vectors ``(a, tokens, dim)``.
        answering: token vectors ``(c, tokens, dim)``.

    Returns:
        ``(a, c)`` float32.
    """
    return maxsim(asking, answering, is_token(asking), is_token(answering), chunk_elements=BLOCK, length_normalize=True)


def apart(embeddings: Tensor, others: Tensor) -> Tensor:
    """``1 - similarity`` of each embedding with that of another text.

    Tokens of two texts have no order in common, so token vectors are compared by mean MaxSim: the mean of both ways,
    as one alone would be content with a part of the text that answers.

    Args:
        embeddings: ``(a, dim)``, or token vectors ``(a, tokens, dim)``.
        others: one for each of them.

    Returns:
        ``(a,)``, 0 to 2.
    """
    if embeddings.ndim == 2:
        return drift(embeddings, others)
    now, then = at_least_float32(embeddings), at_least_float32(others)
    with torch.autocast(device_type=embeddings.device.type, enabled=False):
        return 1 - (_mean_maxsim_of_pairs(now, then) + _mean_maxsim_of_pairs(then, now)) / 2


def _mean_maxsim_of_pairs(asking: Tensor, answering: Tensor) -> Tensor:
    return maxsim_pairwise(
        asking, answering, is_token(asking), is_token(answering), chunk_elements=BLOCK, length_normalize=True
    )
