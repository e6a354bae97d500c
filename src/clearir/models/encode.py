"""Texts to unit vectors: each distinct text once, longest first, cached on disk.

```python
model = load_model("BAAI/bge-m3")
prompts = prompts_of(model)
queries = encode(model, texts, prompt=prompts.query, cache=Path("cache"))   # float32, (n, dim), unit length
```

Batches hold texts of about the same length up to a budget of tokens, so that little is spent on padding; the longest
come first, so that a model too large for the memory fails at once and the time left is never underestimated. Where
padding would change a vector (absolute positions behind padding on the left, convolutions), a batch holds texts of one
length: a vector is always that of its text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clearir.models.load import model_fingerprint
from clearir.models.one_way import routes_of
from clearir.models.vector_cache import open_cache, read, vector_key, write
from clearir.support.errors import InputError
from clearir.support.progress import silent, task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base import BaseModel

    from clearir.models.ready_vectors import ReadyVectors

T = TypeVar("T")
V = TypeVar("V")

# Measured with MiniLM on 2 cores, queries and passages: 1,024 to 2,048 padded tokens a batch are fastest, 16,384 take
# up to twice the time (the activations leave the processor's cache). An accelerator wants large batches.
CPU_BATCH_TOKENS = 2048
ACCELERATOR_BATCH_TOKENS = 32768


def encode(
    model: SentenceTransformer,
    texts: Sequence[str],
    *,
    prompt: str = "",
    language: str | None = None,
    cache: Path | None = None,
    ready: ReadyVectors | None = None,
    batch_tokens: int | None = None,
    description: str = "Encoding",
) -> NDArray[np.float32]:
    """Encode ``texts`` as float32 vectors of unit length, in the order given.

    Args:
        model: what encodes; its training mode is left as it was.
        texts: n texts; each distinct one is encoded once.
        prompt: put before every text. A default prompt of the model is not used: see `prompts_of`.
        language: of all texts; it matters only to a model with a route for it (`clearir.models.shift`).
        cache: folder of vectors already computed, one file a model. A vector out of it is bit-equal to the one first
            computed. Files are safe to share between processes and to delete.
        ready: vectors that ``clearir encode`` made with this model; only what is not there is encoded.
        batch_tokens: tokens of a batch, padding included; by default 2,048 on a processor, 32,768 elsewhere.
        description: what the progress is called.

    Returns:
        Shape (n, dim).

    Raises:
        InputError: the cache holds a file that is no cache, or the model gives vectors that are not finite.
    """
    import numpy as np

    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.zeros((0, model.get_embedding_dimension() or 0), dtype=np.float32)
    [route] = routes_of(model, [language])
    read_vectors = partial(_read, model, prompt, route)
    limit = model.max_seq_length
    keys = {text: vector_key(text, prompt, limit, route) for text in distinct} if cache or ready else {}
    vectors: dict[str, NDArray[np.float32]] = ready.find(keys) if ready else {}
    missing = [text for text in distinct if text not in vectors]

    def batches(texts: list[str]) -> Iterator[dict[str, NDArray[np.float32]]]:
        return in_batches(model, texts, token_counts(model, texts, prompt), read_vectors, batch_tokens, description)

    if cache is None:
        for batch in batches(missing):
            vectors.update(batch)
    elif missing:
        with open_cache(cache, model_fingerprint(model)) as database:
            vectors.update(read(database, {text: keys[text] for text in missing}))
            missing = [text for text in distinct if text not in vectors]
            for batch in batches(missing):
                write(database, batch, keys)
                vectors.update(batch)
    result = np.stack([vectors[text] for text in texts])
    broken = ~np.isfinite(result).all(axis=1)
    if broken.any():
        first = texts[int(broken.argmax())]
        raise InputError(
            f"the model's vectors are not all finite numbers, first that of {first[:100]!r}; its weights are "
            "broken, or overflow in half precision"
        )
    return result


def encode_by_language(
    model: SentenceTransformer, texts: Sequence[str], languages: Sequence[str | None], **options: Any
) -> NDArray[np.float32]:
    """`encode` for texts of several languages: those for which the model has a route are encoded with it.

    Args:
        model: what encodes.
        texts: n passages.
        languages: of each, as `clearir.support.languages.normalise` spells it; None where it is not known.
        options: of `encode`.

    Returns:
        Shape (n, dim), in the order given.
    """
    import numpy as np

    places: dict[str | None, list[int]] = {}
    for place, route in enumerate(routes_of(model, languages)):
        places.setdefault(route, []).append(place)
    parts = [encode(model, [texts[i] for i in own], language=route, **options) for route, own in places.items()]
    if len(parts) < 2:
        return parts[0] if parts else encode(model, texts, **options)
    result = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    for own, part in zip(places.values(), parts, strict=True):
        result[own] = part
    return result


def _read(model: SentenceTransformer, prompt: str, route: str | None, batch: list[str]) -> NDArray[np.float32]:
    import torch
    from sentence_transformers.util import batch_to_device

    routed = {} if route is None else {"task": route}
    features = batch_to_device(model.preprocess(batch, prompt=prompt or None, **routed), model.device)
    vectors = model(features, **routed)["sentence_embedding"][:, : model.truncate_dim].float()
    found: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
    return found


def in_batches(
    model: BaseModel,
    items: Sequence[T],
    lengths: Sequence[int],
    read: Callable[[list[T]], Iterable[V]],
    batch_tokens: int | None = None,
    description: str | None = "Encoding",
) -> Iterator[dict[T, V]]:
    """What a model makes of different texts or pairs of texts, some at a time, the longest first.

    Args:
        model: what reads them; its training mode is left as it was.
        items: all different.
        lengths: tokens of each, what stands before it included.
        read: items -> what becomes of each.
        batch_tokens: see `encode`.
        description: what the progress is called; None: none is shown.
    """
    import torch

    if not items:
        return
    on_cpu = model.device.type == "cpu"
    budget = batch_tokens or (CPU_BATCH_TOKENS if on_cpu else ACCELERATOR_BATCH_TOKENS)
    was_training = model.training
    model.eval()
    try:
        with silent("", None) if description is None else task(description, total=sum(lengths)) as advance:
            for indices in _batches(lengths, budget, _padding_counts(model)):
                batch = [items[i] for i in indices]
                with torch.inference_mode():
                    found = read(batch)
                yield dict(zip(batch, found, strict=True))
                advance(sum(lengths[i] for i in indices))
    finally:
        model.train(was_training)


def token_counts(
    model: BaseModel,
    texts: Sequence[str],
    prompt: str,
    seconds: Sequence[str] | None = None,
) -> list[int]:
    """Tokens of each text with its prompt, after cutting; characters where the tokenizer cannot be asked.

    Args:
        model: whose tokenizer.
        texts: n texts.
        prompt: put before each.
        seconds: of each text the other one that is read together with it.
    """
    from transformers import PreTrainedTokenizerBase

    tokenizer = getattr(model, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return [max(1, len(one) + len(two)) for one, two in zip(texts, seconds or [""] * len(texts), strict=True)]
    limit = model.max_seq_length
    lengths: list[int] = []
    for start in range(0, len(texts), 4096):
        chunk = [prompt + text for text in texts[start : start + 4096]]
        beside = None if seconds is None else list(seconds[start : start + 4096])
        ids = tokenizer(chunk, beside, truncation=limit is not None, max_length=limit, padding=False)["input_ids"]
        lengths += [max(1, len(row)) for row in ids]
    return lengths


def _padding_counts(model: BaseModel) -> bool:
    """Whether a text would get another vector beside a longer one."""
    from clearir.losses.padding import LEFT, RIGHT, sides_that_count

    sides = sides_that_count(model)
    return RIGHT in sides or (LEFT in sides and _pads_left(model))


def _pads_left(model: BaseModel) -> bool:
    """Whether padding goes before a text, as the tokenizer says, or the model when it asks it."""
    asked = getattr(model[0], "processing_kwargs", {}).get("text", {})
    side = asked.get("padding_side") or getattr(getattr(model, "tokenizer", None), "padding_side", "right")
    return bool(side == "left")


def _batches(lengths: Sequence[int], budget: int, equal: bool = False) -> Iterator[list[int]]:
    """Indices, longest first, in batches of at most ``budget`` tokens with padding (or of one text).

    Args:
        lengths: tokens of each text.
        budget: tokens.
        equal: texts of one length only.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        batch = order[start : start + max(1, budget // longest)]
        if equal:
            batch = [i for i in batch if lengths[i] == longest]
        yield batch
        start += len(batch)
