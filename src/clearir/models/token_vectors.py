"""Texts to a vector a token (late interaction), and their scores: exact MaxSim, in blocks.

```python
queries = encode_tokens(model, texts, "query", prompt="query: ")
scores = queries.scores(encode_tokens(model, passages, "passage"))     # (queries, passages)
```

A text takes as many vectors as it has tokens, 512 bytes each at 128 dimensions, so they are cached on disk only where
that is asked for: for an index, not for an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from clearir.models.encode import in_batches, token_counts
from clearir.models.load import model_fingerprint
from clearir.models.vector_cache import open_cache, read, vector_key, write
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import MultiVectorEncoder
    from typing_extensions import TypeIs

    TextVectors: TypeAlias = "NDArray[np.float32] | TokenVectors"

TextKind = Literal["query", "passage"]
#: what sentence-transformers calls them
TASKS: dict[TextKind, str] = {"query": "query", "passage": "document"}


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """The token vectors of some texts.

    Attributes:
        texts: one ``(tokens, dim)`` float32 on the CPU for each.
    """

    texts: Sequence[torch.Tensor]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice | Sequence[int]) -> TokenVectors:
        return TokenVectors(self.texts[rows] if isinstance(rows, slice) else [self.texts[row] for row in rows])

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.float32]]) -> TokenVectors:
        """Copies of arrays of shape ``(tokens, dim)``, one for each text."""
        import torch

        return cls([torch.tensor(array) for array in arrays])

    def arrays(self) -> list[NDArray[np.float32]]:
        """One ``(tokens, dim)`` for each text."""
        return [text.numpy() for text in self.texts]

    def padded(self) -> torch.Tensor:
        """As the losses take them: ``(texts, tokens, dim)``, zeros behind the tokens of a text."""
        from torch.nn.utils.rnn import pad_sequence

        return pad_sequence(list(self.texts), batch_first=True)

    def scores(self, passages: TokenVectors, device: str | torch.device = "cpu") -> torch.Tensor:
        """Mean MaxSim of these texts, which ask, with others (`clearir.losses.embeddings.mean_maxsim`).

        Args:
            passages: m texts.
            device: where to multiply, in blocks.

        Returns:
            Shape (n, m), on ``device``.
        """
        from sentence_transformers.util.similarity import maxsim

        from clearir.losses.embeddings import BLOCK

        asking, answering = list(self.texts), list(passages.texts)
        found: torch.Tensor = maxsim(asking, answering, chunk_elements=BLOCK, length_normalize=True, device=device)
        return found.to(device)


def encode_tokens(
    model: MultiVectorEncoder,
    texts: Sequence[str],
    kind: TextKind,
    *,
    prompt: str = "",
    cache: Path | None = None,
    description: str | None = "Encoding",
) -> TokenVectors:
    """Encode texts in the order given, each distinct one once.

    Args:
        model: what encodes; its training mode is left as it was.
        texts: queries or passages.
        kind: which of them; a model may read the two in different ways.
        prompt: put before every text.
        cache: folder of token vectors already computed; see `clearir.models.encode.encode`.
        description: what the progress is called; None: none is shown.

    Raises:
        InputError: the model gives vectors that are not finite, or the cache holds a file that is no cache.
    """
    import torch
    from sentence_transformers.util import batch_to_device

    from clearir.losses.embeddings import embed
    from clearir.losses.terms import is_token

    task = TASKS[kind]

    def vectors_of(batch: list[str]) -> list[torch.Tensor]:
        features = batch_to_device(model.preprocess(batch, prompt=prompt or None, task=task), model.device)
        vectors = embed(model, features | {"task": task}).float()
        return [one[tokens].cpu() for one, tokens in zip(vectors, is_token(vectors), strict=True)]

    def batches(missing: list[str]) -> Iterator[dict[str, torch.Tensor]]:
        return in_batches(model, missing, token_counts(model, missing, prompt), vectors_of, description=description)

    vectors: dict[str, torch.Tensor] = {}
    distinct = list(dict.fromkeys(texts))
    if cache is None:
        for found in batches(distinct):
            vectors.update(found)
    else:
        dim = model.get_embedding_dimension() or 1
        keys = {text: vector_key(text, prompt, model.max_seq_length, task) for text in distinct}
        with open_cache(cache, model_fingerprint(model)) as database:
            for text, flat in read(database, keys):
                vectors[text] = torch.tensor(flat).reshape(-1, dim)
            for found in batches([text for text in distinct if text not in vectors]):
                write(database, {text: vector.numpy() for text, vector in found.items()}, keys)
                vectors.update(found)
    broken = next((text for text, vector in vectors.items() if not vector.isfinite().all()), None)
    if broken is not None:
        raise InputError(
            f"the model's vectors are not all finite numbers, first those of {broken[:100]!r}; its weights are broken, "
            "or overflow in half precision"
        )
    return TokenVectors([vectors[text] for text in texts])


def mean_of_tokens(vectors: TokenVectors) -> NDArray[np.float32]:
    """One unit vector for each text, the mean of its token vectors: enough to find candidates with. Shape (n, dim)."""
    import torch

    means = torch.stack([text.mean(dim=0) for text in vectors.texts])
    found: NDArray[np.float32] = torch.nn.functional.normalize(means, dim=1).numpy()
    return found


def makes_token_vectors(model: Any) -> TypeIs[MultiVectorEncoder]:
    """Whether a model gives a vector a token, and not one a text."""
    from sentence_transformers import MultiVectorEncoder

    return isinstance(model, MultiVectorEncoder)


def similarities(query: NDArray[np.float32], passages: TextVectors) -> NDArray[np.float32]:
    """Cosine of a query, or its mean MaxSim, with each of n passages.

    Args:
        query: vector of shape (dim,), or token vectors of shape (tokens, dim), as the passages are.
        passages: of unit length.

    Returns:
        Shape (n,).
    """
    if isinstance(passages, TokenVectors):
        scores: NDArray[np.float32] = TokenVectors.of([query]).scores(passages)[0].numpy()
        return scores
    return passages @ query
