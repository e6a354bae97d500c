"""Interpolation of the weights of a model and of what was trained from it (WiSE-FT, arXiv 2109.01903).

```python
merged = interpolate(base, tuned, 0.7)
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from clearir.support.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor


def interpolate(base: SentenceTransformer, tuned: SentenceTransformer, weight: float) -> SentenceTransformer:
    """A new model with the weights ``(1 - weight) * base + weight * tuned``, and everything else of ``tuned``.

    Raises:
        InputError: a weight outside 0 to 1, or models of different shape or vocabulary.
    """
    check_mixture(base, tuned, [weight])
    merged = deepcopy(tuned)
    set_weights(merged, base.state_dict(), tuned.state_dict(), weight)
    return merged


def set_weights(
    model: SentenceTransformer, base: Mapping[str, Tensor], tuned: Mapping[str, Tensor], weight: float
) -> None:
    """Give ``model`` the mixture of two sets of weights, in place. Numbers that are no weights (positions) stay."""
    import torch

    with torch.no_grad():
        for name, place in model.state_dict().items():
            if place.is_floating_point():
                one, two = (state[name].to(place.device) for state in (base, tuned))
                if place.dtype != torch.float64:
                    one, two = one.float(), two.float()
                place.copy_((1 - weight) * one + weight * two)


def check_mixture(base: SentenceTransformer, tuned: SentenceTransformer, weights: Sequence[float]) -> None:
    """Refuse models that cannot be mixed.

    Raises:
        InputError: a weight outside 0 to 1, or models of different shape or vocabulary.
    """
    for weight in weights:
        if not 0 <= weight <= 1:
            raise InputError(
                f"a weight of {weight} is not a mixture; give one from 0 (the base) to 1 (the tuned model)"
            )
    shapes = [{name: tuple(one.shape) for name, one in model.state_dict().items()} for model in (base, tuned)]
    for name in {**shapes[0], **shapes[1]}:
        before, after = shapes[0].get(name), shapes[1].get(name)
        if before != after:
            raise InputError(
                f"the two models cannot be mixed: {name} is {before or 'missing'} in the base and "
                f"{after or 'missing'} in the tuned one; give a model and one that was trained from it"
            )
    if _vocabulary(base) != _vocabulary(tuned):
        raise InputError("the two models cannot be mixed: they have different vocabularies")


def _vocabulary(model: SentenceTransformer) -> Any:
    read = getattr(model.tokenizer, "get_vocab", None)
    return read() if read else None
