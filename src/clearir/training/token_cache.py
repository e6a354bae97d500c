"""Tokenise each distinct text once, however many columns, batches and epochs it stands in.

```python
collator = trainer.data_collator
collator.preprocess_fn = TokeniseOnce(collator.preprocess_fn, model.tokenizer)
```

Tokenising takes 0.8 % of a training step of a small model on a CPU (docs/performance.md), so this matters where an
accelerator waits for its batches. Token ids are kept in memory, 4 bytes each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Features = dict[str, Any]
MASK = "attention_mask"


@dataclass
class _Known:
    """Texts that were tokenised in one way (prompt, task, maximal length).

    Attributes:
        rows: of each text the values of ``keys``, ``(keys, tokens)`` int32, without padding.
        keys: names of the tensors beside the mask, one row of tokens a text.
        others: features that are the same for every text (the prompt's length).
    """

    rows: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    others: Features = field(default_factory=dict)


class TokeniseOnce:
    """A ``preprocess_fn`` for the collator of sentence-transformers: the features of ``preprocess``, from memory.

    What is not rows of padded tokens (flattened inputs, images, messages), or is padded otherwise than the tokenizer
    says, is left to ``preprocess`` each time.

    Args:
        preprocess: ``model.preprocess``.
        tokenizer: says what padding looks like and on which side it stands.
    """

    def __init__(self, preprocess: Callable[..., Features], tokenizer: Any) -> None:
        self.preprocess = preprocess
        # a tokenizer that is not one of transformers has no such attributes, and what it makes is not kept
        self._pad = {
            "input_ids": getattr(tokenizer, "pad_token_id", None) or 0,
            "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0),
        }
        self._pads_left = getattr(tokenizer, "padding_side", "right") == "left"
        self._known: dict[tuple[Any, ...], _Known | None] = {}  # None: cannot be kept

    def __call__(self, inputs: Sequence[Any], **how: Any) -> Features:
        """The features of ``inputs``, as ``preprocess(inputs, **how)`` gives them."""
        way = tuple(sorted(how.items(), key=lambda item: item[0]))
        known = self._known.setdefault(way, _Known())
        if known is None or not all(isinstance(text, str) for text in inputs):
            return self.preprocess(inputs, **how)
        new = [text for text in dict.fromkeys(inputs) if text not in known.rows]
        if new:
            features = self.preprocess(new, **how)
            if not _keep(features, new, known) or not _same(self._pad_rows(_rows(new, known), known), features):
                self._known[way] = None
                return self.preprocess(inputs, **how)
        return self._pad_rows(_rows(inputs, known), known)

    def _pad_rows(self, rows: list[NDArray[np.int32]], known: _Known) -> Features:
        import torch

        lengths = np.array([row.shape[1] for row in rows])
        width = int(lengths.max())
        places = np.arange(width)
        real = places >= width - lengths[:, None] if self._pads_left else places < lengths[:, None]
        values = np.concatenate(rows, axis=1)
        features: Features = {}
        for number, key in enumerate(known.keys):
            padded = np.full(real.shape, self._pad.get(key, 0), dtype=np.int64)
            padded[real] = values[number]
            features[key] = torch.from_numpy(padded)
        features[MASK] = torch.from_numpy(real.astype(np.int64))
        return {**features, **known.others}


def _rows(texts: Sequence[str], known: _Known) -> list[NDArray[np.int32]]:
    return [known.rows[text] for text in texts]


def _same(one: Features, other: Features) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        value.dtype == other[key].dtype and torch.equal(value, other[key])
        for key, value in one.items()
        if isinstance(value, torch.Tensor)
    )


def _keep(features: Features, texts: list[str], known: _Known) -> bool:
    """Add the token rows of ``texts`` to ``known``; False where ``features`` are of another kind."""
    import torch

    tensors = {key: value for key, value in features.items() if isinstance(value, torch.Tensor)}
    mask = tensors.pop(MASK, None)
    if mask is None or mask.ndim != 2 or any(value.shape != mask.shape for value in tensors.values()):
        return False
    known.keys = tuple(tensors)
    known.others = {key: value for key, value in features.items() if not isinstance(value, torch.Tensor)}
    real = mask.numpy().astype(bool)
    values = np.stack([tensors[key].numpy() for key in known.keys]).astype(np.int32)
    for row, text in enumerate(texts):
        known.rows[text] = values[:, row, real[row]]
    return True
