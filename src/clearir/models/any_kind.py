"""What every kind of model that finds passages can do: be loaded, encode texts, and score them.

What a text becomes is a vector, a vector for each token (`clearir.models.token_vectors`), or a weight for each word
(`clearir.models.sparse`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from clearir.models.encode import encode_by_language
from clearir.models.load import load_late_interaction, load_model, saved_as
from clearir.models.sparse import SparseVectors, encode_sparse, gives_word_weights, load_sparse
from clearir.models.token_vectors import TextKind, TokenVectors, encode_tokens, makes_token_vectors
from clearir.settings import LATE_INTERACTION, SPARSE

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder

    from clearir.models.kind import Kind
    from clearir.models.token_vectors import TextVectors

    AnyModel: TypeAlias = SentenceTransformer | MultiVectorEncoder | SparseEncoder
    Vectors: TypeAlias = TextVectors | SparseVectors


def load_any(name_or_path: str | Path, **options: Any) -> AnyModel:
    """A model of the kind that it was saved as; ``options``: of `clearir.models.load.load_model`."""
    kind = saved_as(name_or_path)
    if kind == SPARSE:
        return load_sparse(name_or_path, **options)
    return _load_with_vectors(name_or_path, kind, options)


def load_with_vectors(name_or_path: str | Path, **options: Any) -> SentenceTransformer | MultiVectorEncoder:
    """The same, of a model with a vector for each text or token.

    Raises:
        InputError: it is another one, or see `clearir.models.load.load_model`.
    """
    return _load_with_vectors(name_or_path, saved_as(name_or_path), options)


def _load_with_vectors(
    name_or_path: str | Path, kind: Kind | None, options: dict[str, Any]
) -> SentenceTransformer | MultiVectorEncoder:
    if kind == LATE_INTERACTION:
        return load_late_interaction(name_or_path, **options)
    return load_model(name_or_path, **options)


def encode_any(
    model: AnyModel,
    texts: Sequence[str],
    kind: TextKind,
    *,
    languages: Sequence[str | None] | None = None,
    prompt: str = "",
    cache: Path | None = None,
    description: str = "Encoding",
) -> Vectors:
    """Texts as a model encodes them: `encode_tokens`, `encode_sparse`, or `clearir.models.encode.encode_by_language`.

    Args:
        model: what encodes.
        texts: queries or passages.
        kind: which of them.
        languages: of each text, for a model with routes (`clearir.models.shift`); None where it is not known.
        prompt: put before every text.
        cache: folder of vectors already computed; token vectors and weights of words are not kept there.
        description: what the progress is called.
    """
    if gives_word_weights(model):
        return encode_sparse(model, texts, prompt=prompt, description=description)
    return encode_with_vectors(
        model, texts, kind, languages=languages, prompt=prompt, cache=cache, description=description
    )


def encode_with_vectors(
    model: SentenceTransformer | MultiVectorEncoder,
    texts: Sequence[str],
    kind: TextKind,
    *,
    languages: Sequence[str | None] | None = None,
    prompt: str = "",
    cache: Path | None = None,
    description: str = "Encoding",
) -> TextVectors:
    """The same, by a model with a vector for each text or token."""
    if makes_token_vectors(model):
        return encode_tokens(model, texts, kind, prompt=prompt, description=description)
    known = languages or [None] * len(texts)
    return encode_by_language(model, texts, known, prompt=prompt, cache=cache, description=description)


def concatenate(parts: Sequence[Any]) -> Vectors:
    """The texts of all parts, which are of one kind, one after the other."""
    import numpy as np

    if isinstance(parts[0], TokenVectors):
        return TokenVectors([text for part in parts for text in part.texts])
    if isinstance(parts[0], SparseVectors):
        return SparseVectors.join(parts)
    found: NDArray[np.float32] = np.concatenate(parts)
    return found


def scorer(passages: Vectors, device: str | torch.device) -> Callable[[Any], torch.Tensor]:
    """A function from the vectors of some queries to their scores with all passages, ``(queries, passages)``.

    Args:
        passages: what it scores.
        device: where to multiply.
    """
    import numpy as np
    import torch

    if isinstance(passages, TokenVectors | SparseVectors):
        return lambda queries: queries.scores(passages, device)
    corpus = torch.as_tensor(np.ascontiguousarray(passages), device=device)
    return lambda queries: torch.as_tensor(np.ascontiguousarray(queries), device=device) @ corpus.T
