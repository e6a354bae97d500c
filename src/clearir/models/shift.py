"""SHIFT (arXiv 2606.18801): subtract from passages what sets their language apart. Nothing is trained.

```python
vectors = language_vectors(model, {"hi": [("an English passage", "its translation into Hindi"), ...]})
shifted(model, vectors).save_pretrained("shifted")
```

A model ranks passages in the language of the query too high where passages of several languages are in one corpus. The
vector of a language is the mean difference between passages in it and the same passages in the bridge language. It is
subtracted from each passage in that language, and what comes out has unit length again. Queries stay as they are, and
so do passages in the bridge language and in languages without a vector. Within one language, all scores of a query
therefore fall by the same amount before the unit length is restored: only that step can change their order.

The shifted model is saved as any other: a Router of sentence-transformers behind its modules has a route per language.
It needs to be told the language of passages: ``model.encode(texts, prompt_name="document", task="hi")``. Without a
task, for a language that it does not know, and in ``encode_query`` and ``encode_document``, vectors are left as they
are. clearir tells it the language of passages wherever it encodes them (`clearir.models.encode.encode_by_language`).

The paper takes vectors as the model gives them; here they have unit length first, as most models for retrieval give
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models.encode import encode
from clearir.models.one_way import languages_of
from clearir.models.prompts import prompts_of
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

_OTHER = "other"  # the route of queries, and of passages that are not shifted


def language_vectors(
    model: SentenceTransformer, pairs: Mapping[str, Sequence[tuple[str, str]]], *, cache: Path | None = None
) -> dict[str, NDArray[np.float32]]:
    """The vector of each language: mean over pairs of (translated passage - bridge-language passage), unit vectors.

    Args:
        model: what encodes them, with its own prompt for passages.
        pairs: language -> (passage in the bridge language, the same passage in this one). A pair counts once. A
            language without pairs gets no vector.
        cache: folder of vectors, see `clearir.models.encode.encode`.

    Returns:
        language -> shape (dim,), where dim is the model's own even if it cuts vectors (``truncate_dim``).
    """
    distinct = {language: list(dict.fromkeys(own)) for language, own in pairs.items() if own}
    texts = list(dict.fromkeys(text for own in distinct.values() for pair in own for text in pair))
    with model.truncate_embeddings(None):
        vectors = encode(
            model, texts, prompt=prompts_of(model).passage, cache=cache, description="Encoding pairs of passages"
        )
    place = {text: number for number, text in enumerate(texts)}
    return {
        language: (vectors[[place[there] for _, there in own]] - vectors[[place[here] for here, _ in own]]).mean(axis=0)
        for language, own in distinct.items()
    }


def shifted(
    model: SentenceTransformer, vectors: Mapping[str, NDArray[np.float32]], *, alpha: float = 1.0
) -> SentenceTransformer:
    """A copy of a model that subtracts ``alpha`` times the vector of their language from passages.

    Args:
        model: stays as it is.
        vectors: language -> shape (dim,); see `language_vectors`.
        alpha: above 0 and at most 1, the paper's. Its best value differs between models (the authors take 0.6 for
            multilingual-e5-large).

    Raises:
        InputError: no vectors, or the model has routes for languages already.
    """
    import torch
    from sentence_transformers.base.modules import Dense, Module, Normalize, Router
    from torch.nn import Identity

    if not vectors:
        raise InputError("no language to shift: give pairs of passages in the bridge language and in another one")
    if there := languages_of(model):
        raise InputError(f"the model has routes for {', '.join(sorted(there))} already; give the one it was made from")

    def minus(vector: NDArray[np.float32]) -> list[Module]:
        dim, bias = len(vector), torch.from_numpy(-alpha * vector)
        return [
            Dense(dim, dim, activation_function=Identity(), init_weight=torch.eye(dim), init_bias=bias),
            Normalize(),
        ]

    # A route cannot have the name of a method of torch's modules, such as to (Tongan): hence the prefix.
    routes: dict[str, list[Module]] = {_OTHER: [Normalize()]}
    routes |= {f"minus_{language}": minus(vector) for language, vector in vectors.items()}
    # Without a mapping for all the others, a task without a route is an error to the Router.
    mappings: dict[Any, str] = {(None, None): _OTHER}
    mappings |= {(language, None): f"minus_{language}" for language in vectors}
    router = Router(routes, default_route=_OTHER, route_mappings=mappings)
    result = deepcopy(model)
    result.append(Normalize())
    result.append(router.to(device=model.device, dtype=model.dtype))
    return result
