"""What padding does to the embedding of a text: in most models nothing, as the attention mask hides it."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel

LEFT, RIGHT = "left", "right"


def sides_that_count(model: nn.Module) -> frozenset[str]:
    """Sides on which padding changes what a model makes of a text, so that it has to stay as it is.

    Padding on the left moves a text along absolute positions. Rotary positions are relative, and in a model that has
    them beside one table, that of its words, nothing else tells where a text begins; any other model is taken to
    count. A convolution reads beyond the mask, on both sides.
    """
    if any(isinstance(module, nn.Conv1d) for module in model.modules()):
        return frozenset({LEFT, RIGHT})
    networks = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    if networks and all(map(_is_rotary, networks)):
        return frozenset()
    return frozenset({LEFT})


def _is_rotary(network: nn.Module) -> bool:
    modules = list(network.modules())
    tables = sum(isinstance(module, nn.Embedding) for module in modules)
    return tables <= 1 and any("Rotary" in type(module).__name__ for module in modules)


def is_left_padded(mask: Tensor) -> bool:
    """Whether a text of an attention mask, ``(texts, tokens)``, has padding before it."""
    return bool(((mask[:, 0] == 0) & (mask[:, -1] == 1)).any())
