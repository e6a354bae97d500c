"""Train the words in use: of a table of 250,000 words a training touches some 10,000.

```python
keep_words_in_use(model, lambda: words_of(dataset, collator))   # before the loss and the optimizer are made
...                                                             # train
put_back(model)                                                 # the whole table, with the trained words in it
```

Gradients, both moments of Adam and checkpoints are then as large as the words in use, and a step does not pay for the
others. They never had a gradient; without weight decay they would not have moved, and with it they are not decayed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from clearir.models.word_table import input_embeddings, some_rows
from clearir.support.progress import task
from clearir.training.batches import features_of

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers.base import BaseModel

logger = logging.getLogger(__name__)

#: of the table, in use: from here on the frozen table beside weights, gradients and moments of the words in use takes
#: more than the whole one, trained (1 + 4 x 0.75 = 4)
MOST = 0.75


class WordsInUse(nn.Module):
    """A table of words of which some are trained. The others are looked up where they stand: any text can be embedded.

    The whole table is no parameter, buffer or module of the model, so that no optimizer, wrapper or checkpoint sees
    it, and copies of the model share it.

    Args:
        table: the whole one.
        words: token ids of the words that are trained, each once.
    """

    def __init__(self, table: nn.Embedding, words: list[int]) -> None:
        super().__init__()
        self._frozen = _Frozen(table, words)
        self.words, self.whole_size = words, table.num_embeddings
        self.used: nn.Embedding = some_rows(table, words)

    @property
    def weight(self) -> Tensor:
        """What is trained, ``(words in use, dim)``: models ask it for its type and device."""
        return self.used.weight

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of ``ids``, ``(..., dim)``."""
        table, places = self._frozen.on(ids.device)
        places = places[ids]
        with torch.no_grad():
            others = table(ids)
        used = self.used(places.clamp(min=0))
        return torch.where((places >= 0).unsqueeze(-1), used, others.to(used.dtype))

    def put_together(self) -> nn.Embedding:
        """The whole table, with what was trained in it."""
        return self._frozen.with_rows(self.used.weight)


class _Frozen:
    """The whole table, and the place of each word among those that are trained (-1: it is not)."""

    def __init__(self, table: nn.Embedding, words: list[int]) -> None:
        self._table, self._words = table, torch.tensor(words)
        places = torch.full((table.num_embeddings,), -1)
        places[self._words] = torch.arange(len(words))
        self._on = {table.weight.device: (table, places.to(table.weight.device))}

    def __deepcopy__(self, memo: dict[int, Any]) -> _Frozen:
        return self

    def on(self, device: torch.device) -> tuple[nn.Embedding, Tensor]:
        if device not in self._on:  # in nearly all cases the model was loaded where it is trained
            with torch.inference_mode(False):
                table, places = next(iter(self._on.values()))
                self._on[device] = (deepcopy(table).to(device), places.to(device))
        return self._on[device]

    def with_rows(self, rows: Tensor) -> nn.Embedding:
        table = self._table.to(rows)  # of this type, on this device
        with torch.no_grad():
            table.weight[self._words.to(rows.device)] = rows
        return table


def keep_words_in_use(network: BaseModel, words: Callable[[], list[int] | None]) -> list[int] | None:
    """Train the words in use alone, where the model has a table of words that is trained and nothing else shares.

    Args:
        network: changed in place.
        words: gives the token ids of all texts that are trained on; None where they cannot be told.

    Returns:
        these token ids; None: the model is as it was.
    """
    model = network.transformers_model
    table = _table_of(model)
    if model is None or table is None:
        return None
    ids = words()
    if ids is None or len(ids) > MOST * table.num_embeddings:
        return None
    model.set_input_embeddings(WordsInUse(table, ids))
    if any(parameter is table.weight for parameter in network.parameters()):  # tied: trained elsewhere too
        model.set_input_embeddings(table)
        return None
    logger.info("training %s of %s words: those in use", f"{len(ids):,}", f"{table.num_embeddings:,}")
    return ids


def put_back(network: BaseModel) -> None:
    """The whole table again, with the trained words in it, where `keep_words_in_use` has changed the model."""
    model = network.transformers_model
    if model is not None and isinstance(part := input_embeddings(model), WordsInUse):
        model.set_input_embeddings(part.put_together())


def words_of(dataset: Dataset, collator: Callable[[list[dict[str, str]]], dict[str, Any]]) -> list[int] | None:
    """The token ids that a training on ``dataset`` sees, sorted; None where they cannot be told.

    Args:
        dataset: columns of texts.
        collator: rows -> batch, with ``{column}_input_ids``.
    """
    distinct = {column: list(dict.fromkeys(dataset[column])) for column in dataset.column_names}
    found: set[int] = set()
    with task("Finding the words in use", sum(map(len, distinct.values()))) as advance:
        for column, texts in distinct.items():
            for some, features in features_of(column, texts, collator):
                ids = features.get("input_ids")
                if ids is None:
                    return None
                found.update(np.unique(ids.numpy()).tolist())
                advance(len(some))
    return sorted(found)


def _table_of(model: Any) -> nn.Embedding | None:
    table = input_embeddings(model)
    return table if isinstance(table, nn.Embedding) and table.weight.requires_grad else None
