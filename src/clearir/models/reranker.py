"""Rerankers: models that give a score for a query with a passage, and put in order what another model has found.

Most read the two together (CrossEncoder). A model of late interaction (ColBERT) does as well: its score is MaxSim.

```python
reranker = load_reranker("BAAI/bge-reranker-v2-m3")
scores = score_pairs(reranker, [("how do I save a file", "Press Ctrl and S ...")])     # float32, (pairs,)
```

Slower than comparing vectors by far, since nothing of a passage can be computed before the query is known (or with a
vector for each token too much to keep); so a model that gives vectors finds some passages first, and a reranker puts
these in order:

```python
reranking = Reranking.load("BAAI/bge-reranker-v2-m3", top=50)
evaluate(model, suite, rerank=reranking)            # clearir.evaluation.matrix
Searcher.open("index", rerank=reranking)            # clearir.search
```
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from clearir.models.encode import in_batches, token_counts
from clearir.models.kind import CLASSIFIER
from clearir.models.lengths import limit_length
from clearir.models.load import find_model, load_late_interaction, load_model, model_fingerprint, saved_as
from clearir.models.new_reranker import with_new_head
from clearir.models.prompts import prompts_of
from clearir.models.token_vectors import encode_tokens, makes_token_vectors
from clearir.settings import DENSE, LATE_INTERACTION, RERANKER, SPARSE, TOP
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import CrossEncoder, MultiVectorEncoder

_REMEMBERED = 10_000  # pairs


def load_reranker(
    name: str | Path,
    *,
    max_seq_length: int | None = None,
    device: str | None = None,
    attention: str | None = None,
    trust_remote_code: bool = False,
    new_head: bool = False,
    seed: int = 0,
) -> CrossEncoder:
    """Load a reranker; weights from safetensors only.

    Args:
        name: a folder, a name on the Hub, or ``python:PACKAGE/folder``; see `clearir.models.load.load_model`.
        max_seq_length: tokens of a pair after which it is cut, the longer text of the two first; by default the
            model's own limit.
        device: as torch names it; by default the best there is.
        attention: implementation of attention in transformers ("sdpa", "eager", "flash_attention_2").
        trust_remote_code: run code that comes with the model.
        new_head: to train one: also take an encoder (a dense model, or a network of transformers), which gets a head
            at random (`clearir.models.new_reranker`). A reranker keeps its own head.
        seed: of the new head.

    Raises:
        InputError: see `clearir.models.load.load_model`; or it is no reranker, or gives more than one score for a
            pair.
        MissingExtraError: see `clearir.models.load.load_model`.
    """
    from sentence_transformers import CrossEncoder

    found = find_model(name)
    if found.kind in (LATE_INTERACTION, SPARSE) or (found.kind == DENSE and not new_head):
        raise InputError(_no_reranker(str(name), found.kind))
    if found.kind in (RERANKER, CLASSIFIER) or not new_head:
        model: CrossEncoder = found.load(CrossEncoder, device, attention, trust_remote_code)
        if found.kind is None and not _had_head(model):  # it could not be told before
            raise InputError(_no_reranker(str(name), DENSE))
    else:
        encoder = load_model(name, device=device, attention=attention, trust_remote_code=trust_remote_code)
        model = with_new_head(encoder, str(name), seed=seed)
    if model.num_labels != 1:
        raise InputError(
            f"{name}: it gives {model.num_labels} scores for a pair (labels), and a reranker gives one; name a model "
            "with num_labels 1"
        )
    limit_length(model, str(name), max_seq_length)
    return model


@dataclass(frozen=True, eq=False)
class Reranking:
    """A reranker, and how many passages it puts in order.

    Attributes:
        model: the reranker, or a model of late interaction.
        name: as the user named it.
        top: how many of the first passages for a query it scores; those behind them keep their order.
        first_weight: what the score of the model that found a passage counts beside the reranker's. The order is that
            of ``score + first_weight * first score``; with 0 the reranker decides alone.
    """

    model: CrossEncoder | MultiVectorEncoder
    name: str
    top: int = TOP
    first_weight: float = 0.0
    _known: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def load(
        cls, name: str, *, top: int = TOP, first_weight: float = 0.0, trust_remote_code: bool = False
    ) -> Reranking:
        """Load the reranker, or a model that was saved as one of late interaction.

        Args:
            name: see `load_reranker`.
            top: see `Reranking`.
            first_weight: see `Reranking`.
            trust_remote_code: run code that comes with the model.

        Raises:
            InputError: see `load_reranker`, or ``top`` is below 1, or ``first_weight`` below 0.
            MissingExtraError: see `load_reranker`.
        """
        if top < 1:
            raise InputError(f"top is {top}; give the number of passages to rerank per query, at least 1")
        if not 0 <= first_weight < float("inf"):
            raise InputError(f"first_weight is {first_weight:g}; give a number from 0, for example 100 for E5")
        load = load_late_interaction if saved_as(name) == LATE_INTERACTION else load_reranker
        return cls(load(name, trust_remote_code=trust_remote_code), name, top, first_weight)

    @cached_property
    def model_hash(self) -> str:
        """What the reranker computes; see `clearir.models.load.model_fingerprint`."""
        return model_fingerprint(self.model)

    def hash_with(self, model_hash: str) -> str:
        """A fingerprint of a model together with this reranking of what it finds."""
        weight = [self.first_weight] if self.first_weight else []
        return fingerprint([model_hash, self.model_hash, self.top, *weight])

    @property
    def in_words(self) -> str:
        """How many passages are put in order, and what the first score counts."""
        return f"top {self.top}" + (f", first weight {self.first_weight:g}" if self.first_weight else "")

    def read(self, pairs: Sequence[tuple[str, str]], *, description: str | None = "Reranking") -> NDArray[np.float32]:
        """`score_pairs`; raw scores, where those of the first model count too.

        Args:
            pairs: of a query and a passage.
            description: see `score_pairs`.

        Raises:
            InputError: see `score_pairs`.
        """
        return score_pairs(self.model, pairs, raw=self.first_weight > 0, description=description)

    def order(self, scores: Sequence[float], first: Sequence[float]) -> list[int]:
        """The places of passages of one query, best first; equal ones stay in the order that they have.

        Args:
            scores: of the reranker, as `read` gives them.
            first: of the model that found them.
        """
        both = [one + self.first_weight * other for one, other in zip(scores, first, strict=True)]
        return sorted(range(len(both)), key=lambda place: -both[place])

    def scores(self, pairs: Sequence[tuple[str, str]], *, description: str | None = None) -> list[float]:
        """`read` for a search: from several threads, one at a time. The last pairs are remembered.

        Args:
            pairs: of a query and a passage.
            description: see `score_pairs`.

        Raises:
            InputError: see `score_pairs`.
        """
        with self._lock:
            new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
            found = dict(zip(new, self.read(new, description=description).tolist(), strict=True))
            found.update({pair: self._known[pair] for pair in pairs if pair in self._known})
            self._known.update(found)
            for pair in found:
                self._known.move_to_end(pair)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return [found[pair] for pair in pairs]


def score_pairs(
    model: CrossEncoder | MultiVectorEncoder,
    pairs: Sequence[tuple[str, str]],
    *,
    raw: bool = False,
    description: str | None = "Reranking",
) -> NDArray[np.float32]:
    """What a reranker gives for pairs of a query and a passage: the more, the better the passage answers.

    The scores are those of ``model.predict``: with the activation that the model was saved with (for most a sigmoid,
    so that they lie between 0 and 1), not the logits. Texts are read as they are; if the model has a default prompt
    of its own, that is put before them. Of a model of late interaction the scores are mean MaxSim, and its own prompts
    are put before queries and passages.

    Args:
        model: its training mode is left as it was.
        pairs: n pairs; each distinct one is scored once, those of about the same length together.
        raw: give the network's scores (logits), without the activation. They have no bounds, so they can be added to
            others.
        description: what the progress is called; None: none is shown.

    Returns:
        Shape (n,), in the order given.

    Raises:
        InputError: the model gives scores that are not finite.
    """
    import numpy as np
    import torch

    if makes_token_vectors(model):
        return _mean_maxsim_of(model, pairs, description)
    distinct = list(dict.fromkeys((query, passage) for query, passage in pairs))
    lengths = token_counts(model, [query for query, _ in distinct], "", [passage for _, passage in distinct])

    def read(batch: list[tuple[str, str]]) -> list[float]:
        found: NDArray[np.float32] = model.predict(
            batch, batch_size=len(batch), activation_fn=torch.nn.Identity() if raw else None, show_progress_bar=False
        )
        scores: list[float] = found.tolist()
        return scores

    scores: dict[tuple[str, str], float] = {}
    for found in in_batches(model, distinct, lengths, read, description=description):
        scores.update(found)
    broken = next((pair for pair, score in scores.items() if not np.isfinite(score)), None)
    if broken is not None:
        raise InputError(
            f"the reranker's scores are not all finite numbers, first that of {broken[0][:100]!r} with "
            f"{broken[1][:100]!r}; its weights are broken, or overflow in half precision"
        )
    return np.array([scores[query, passage] for query, passage in pairs], dtype=np.float32)


def _mean_maxsim_of(
    model: MultiVectorEncoder, pairs: Sequence[tuple[str, str]], description: str | None
) -> NDArray[np.float32]:
    """Mean MaxSim of each pair. Each distinct text is encoded once; a query is compared with its own passages alone."""
    import numpy as np

    prompts = prompts_of(model)
    passages_of: dict[str, list[str]] = {}
    for query, passage in dict.fromkeys(pairs):
        passages_of.setdefault(query, []).append(passage)
    texts = list(dict.fromkeys(passage for own in passages_of.values() for passage in own))
    asking = encode_tokens(model, list(passages_of), "query", prompt=prompts.query, description=description)
    answering = encode_tokens(model, texts, "passage", prompt=prompts.passage, description=description)
    row_of = {text: row for row, text in enumerate(texts)}
    found: dict[tuple[str, str], float] = {}
    for number, (query, own) in enumerate(passages_of.items()):
        scores = asking[[number]].scores(answering[[row_of[passage] for passage in own]], model.device)[0]
        found.update(zip([(query, passage) for passage in own], scores.tolist(), strict=True))
    return np.array([found[pair] for pair in pairs], dtype=np.float32)


def _no_reranker(name: str, kind: str) -> str:
    what = {
        LATE_INTERACTION: "a model of late interaction, with a vector for each token",
        SPARSE: "a sparse model, with a weight for each word",
    }.get(kind, "a model that gives a vector for each text")
    return (
        f"{name}: {what}, not a reranker, which scores a query together with a passage; give a CrossEncoder such as "
        "BAAI/bge-reranker-v2-m3, or one that you have trained (docs/reranking.md)"
    )


def _had_head(model: CrossEncoder) -> bool:
    """Whether the network was saved with a head, as its configuration says."""
    architectures = getattr(model.config, "architectures", None) or []
    return any(one.endswith("ForSequenceClassification") for one in architectures)
