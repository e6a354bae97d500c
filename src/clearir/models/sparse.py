"""Sparse models (SPLADE): a text is weights of words, most of them 0, and a score is the dot product.

```python
model = load_sparse("intfloat/multilingual-e5-small")          # an encoder: its head is random
learn_own_words(model, texts, seed=0)                          # now a text fires its own words
strongest_words(model, encode_sparse(model, ["kuinka tallennan tiedoston"]), top=10)
```

A base that was trained to fill in masked words has a head that gives each word a weight. Other encoders get a head of
the same form. Random words would say nothing to a reader, and no inverted index could be kept small, so the head first
learns to name the words that a text has (`learn_own_words`). What other words a text should fire, those of the English
passage above all, is left to the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models.encode import in_batches, token_counts
from clearir.models.kind import fills_masks
from clearir.models.load import LoadOptions, drawn_with, find_model, how_to_load, no_note_of_new_head, read_as_asked
from clearir.models.one_way import refuse_two_ways
from clearir.settings import SPARSE
from clearir.support.errors import InputError
from clearir.support.progress import task

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SparseEncoder
    from torch import nn
    from typing_extensions import TypeIs, Unpack

#: of `learn_own_words`: steps, tokens per step, and the learning rate, which falls to 0
STEPS, TOKENS, RATE = 200, 256, 3e-3
#: words that fire for each token after `learn_own_words`: a word that fires for none would get no gradient
FIRING = 50
#: of `hashed`
HASHED = 4096


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """The sparse vectors of some texts.

    Attributes:
        matrix: sparse CSR of shape (texts, words), float32, on the CPU.
    """

    matrix: torch.Tensor

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def __getitem__(self, rows: slice | Sequence[int]) -> SparseVectors:
        import torch

        numbers = list(range(len(self)))[rows] if isinstance(rows, slice) else list(rows)
        begin = self.matrix.crow_indices()
        lengths = begin.diff()[numbers]
        starts = begin[:-1][numbers]
        within = torch.arange(int(lengths.sum())) - torch.repeat_interleave(lengths.cumsum(0) - lengths, lengths)
        places = torch.repeat_interleave(starts, lengths) + within
        crow = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        columns, values = self.matrix.col_indices()[places], self.matrix.values()[places]
        return SparseVectors(
            torch.sparse_csr_tensor(crow, columns, values, (len(numbers), self.matrix.shape[1]), check_invariants=False)
        )

    @classmethod
    def join(cls, parts: Sequence[SparseVectors]) -> SparseVectors:
        """The texts of all parts, one after the other."""
        import torch

        return cls(torch.cat([part.matrix.to_sparse_coo() for part in parts]).to_sparse_csr())

    def scores(self, passages: SparseVectors, device: str | torch.device = "cpu") -> torch.Tensor:
        """Dot products of these texts with others, shape (n, m), on ``device``."""
        queries = self.matrix.to_dense().to(device)
        found: torch.Tensor = (passages.matrix.to(device) @ queries.T).T
        return found

    def words_per_text(self) -> float:
        """Words of weight above 0, mean over the texts."""
        return float(self.matrix.crow_indices().diff().float().mean())

    def hashed(self) -> NDArray[np.float32]:
        """One unit vector for each text, its words added up in fewer dimensions (feature hashing, arXiv 0902.2206).

        Enough to find candidates with. Shape (n, `HASHED`).
        """
        import torch

        generator = torch.Generator().manual_seed(0)
        words = int(self.matrix.shape[1])
        place = torch.randint(HASHED, (words,), generator=generator)
        sign = torch.randint(2, (words,), generator=generator) * 2.0 - 1
        rows = torch.repeat_interleave(torch.arange(len(self)), self.matrix.crow_indices().diff())
        columns = self.matrix.col_indices()
        dense = torch.zeros(len(self), HASHED)
        dense.index_put_((rows, place[columns]), self.matrix.values() * sign[columns], accumulate=True)
        found: NDArray[np.float32] = torch.nn.functional.normalize(dense, dim=1).numpy()
        return found


def load_sparse(name_or_path: str | Path, *, seed: int = 0, **options: Unpack[LoadOptions]) -> SparseEncoder:
    """Load a sparse model, or an encoder as one.

    It is one that sentence-transformers saved, or any other transformer, which is read with a head that gives each
    word a weight: its own, if it was trained to fill in masked words, else a random one (`learn_own_words`).

    Args:
        name_or_path: see `clearir.models.load.load_model`.
        seed: of a new head.
        options: see `load_model`.

    Raises:
        InputError: see `load_model`, or the model has no head for masked words and none can be added.
        MissingExtraError: see `load_model`.
    """
    from sentence_transformers import SparseEncoder

    found = find_model(name_or_path)
    with drawn_with(seed), no_note_of_new_head():
        if found.kind == SPARSE:
            model: SparseEncoder = found.load(SparseEncoder, **how_to_load(options))
        else:
            model = found.load(_with_word_weights, **how_to_load(options))
    refuse_two_ways(model, str(name_or_path))
    read_as_asked(model, name_or_path, options)
    return model


def _with_word_weights(
    name: str,
    *,
    device: str | None,
    trust_remote_code: bool,
    model_kwargs: dict[str, Any],
    local_files_only: bool,
) -> SparseEncoder:
    """An encoder with a head for masked words (SPLADE, arXiv 2109.10086).

    It has no prompts: their words would fire for every text.
    """
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": local_files_only}
    transformer = Transformer(
        name,
        transformer_task="fill-mask",
        model_kwargs={**options, **model_kwargs},
        processor_kwargs=dict(options),
        config_kwargs=dict(options),
    )
    model = SparseEncoder(modules=[transformer, SpladePooling()], device=device)
    model.model_card_data.set_base_model(name)
    return model


def has_word_weights(name_or_path: str | Path) -> bool:
    """Whether a model gives words a weight already: a sparse one, or one trained to fill in masked words."""
    found = find_model(name_or_path)
    return found.kind == SPARSE or fills_masks(found.name, local_files_only=not found.reachable)


def learn_own_words(model: SparseEncoder, texts: Sequence[str], *, seed: int = 0) -> None:
    """Teach a new head to name the words of a text: cross-entropy of each token's own word among those of all texts.

    The encoder and its table of words stay as they are. Then one threshold for all words is chosen, so that for a token
    about `FIRING` words get a weight above 0, its own the largest. `flops` makes them fewer.

    Args:
        model: changed in place.
        texts: of all languages, with their prompts.
        seed: of the draw of texts.

    Raises:
        InputError: the network has no head that can be trained apart from its table of words.
    """
    import torch
    from torch import nn
    from transformers import get_linear_schedule_with_warmup

    network: Any = model.transformers_model
    table = network.get_output_embeddings()
    body = {id(one) for one in network.base_model.parameters()} | {id(one) for one in table.parameters()}
    head = [one for one in network.parameters() if id(one) not in body and one.ndim]
    if network.base_model is network or not head:
        raise InputError(f"{type(network).__name__}: it has no head for masked words that could be trained by itself")
    special = torch.tensor(model.tokenizer.all_special_ids)
    inputs = _Inputs(model, texts, seed)
    words = inputs.words[~torch.isin(inputs.words, special)]
    trained = {id(one) for one in head}
    frozen = [one for one in network.parameters() if one.requires_grad and id(one) not in trained]

    def counted(features: dict[str, torch.Tensor]) -> torch.Tensor:
        """Which tokens are words."""
        ids = features["input_ids"]
        return features["attention_mask"].bool() & ~torch.isin(ids, special.to(ids.device))

    was_training = model.training
    model.eval()
    try:
        for one in frozen:
            one.requires_grad_(False)
        network.set_output_embeddings(_some_words(table, words))
        optimizer = torch.optim.Adam(head, lr=RATE)
        schedule: Any = get_linear_schedule_with_warmup(optimizer, 0, STEPS)  # type: ignore[no-untyped-call]
        with task("Learning own words", STEPS) as advance:
            for _ in range(STEPS):
                features = inputs.draw()
                counts, ids = counted(features), features["input_ids"]
                logits = network(**features).logits[counts]
                answers = torch.searchsorted(words.to(ids.device), ids[counts])
                loss = nn.functional.cross_entropy(logits, answers)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                advance(1)
        network.set_output_embeddings(table)
        with torch.no_grad():
            table.bias.zero_()
            features = inputs.draw()
            logits = network(**features).logits[counted(features)]
            table.bias.fill_(-float(logits.topk(min(FIRING + 1, logits.shape[1]), dim=1).values[:, -1].median()))
    finally:
        network.set_output_embeddings(table)
        for one in frozen:
            one.requires_grad_(True)
        model.train(was_training)


def _some_words(table: nn.Linear, words: torch.Tensor) -> nn.Linear:
    """The rows of a table of words for some of them, frozen, without thresholds."""
    from torch import nn

    some = nn.Linear(table.in_features, len(words)).to(table.weight)
    some.weight.data, some.bias.data = table.weight.detach()[words.to(table.weight.device)], some.bias.data.zero_()
    return some.requires_grad_(False)


class _Inputs:
    """Texts as token ids, drawn some at a time.

    Attributes:
        words: ids of all tokens that occur, sorted.
    """

    def __init__(self, model: SparseEncoder, texts: Sequence[str], seed: int) -> None:
        import torch

        self._model = model
        self._ids = model.tokenizer(list(dict.fromkeys(texts)), truncation=True, max_length=model.max_seq_length)[
            "input_ids"
        ]
        self.words = torch.tensor(sorted({one for ids in self._ids for one in ids}))
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self) -> dict[str, torch.Tensor]:
        """About `TOKENS` tokens of texts, padded."""
        import torch

        drawn: list[list[int]] = []
        while sum(map(len, drawn)) < TOKENS:
            drawn.append(self._ids[int(torch.randint(len(self._ids), (1,), generator=self._generator))])
        padded = self._model.tokenizer.pad({"input_ids": drawn}, return_tensors="pt")
        return {key: padded[key].to(self._model.device) for key in ("input_ids", "attention_mask")}


def encode_sparse(
    model: SparseEncoder,
    texts: Sequence[str],
    *,
    prompt: str = "",
    description: str | None = "Encoding",
) -> SparseVectors:
    """Encode texts in the order given, each distinct one once.

    Args:
        model: what encodes; its training mode is left as it was.
        texts: queries or passages.
        prompt: put before every text.
        description: what the progress is called; None: none is shown.

    Raises:
        InputError: the model gives weights that are not finite.
    """
    import torch
    from sentence_transformers.util import batch_to_device

    def read(batch: list[str]) -> list[torch.Tensor]:
        features = batch_to_device(model.preprocess(batch, prompt=prompt or None), model.device)
        vectors = model(features)["sentence_embedding"].float().cpu()
        return [one.to_sparse() for one in vectors]

    vectors: dict[str, torch.Tensor] = {}
    distinct = list(dict.fromkeys(texts))
    for found in in_batches(model, distinct, token_counts(model, distinct, prompt), read, description=description):
        vectors.update(found)
    broken = next((text for text, vector in vectors.items() if not vector.values().isfinite().all()), None)
    if broken is not None:
        raise InputError(
            f"the model's weights of words are not all finite numbers, first those of {broken[:100]!r}; the model is "
            "broken, or overflows in half precision"
        )
    return SparseVectors(torch.stack([vectors[text] for text in texts]).to_sparse_csr())


def gives_word_weights(model: Any) -> TypeIs[SparseEncoder]:
    """Whether a model gives weights of words, and no vector."""
    from sentence_transformers import SparseEncoder

    return isinstance(model, SparseEncoder)


def strongest_words(model: SparseEncoder, vectors: SparseVectors, *, top: int) -> list[list[tuple[str, float]]]:
    """The words that fire most for each text, with their weights, the strongest first.

    Args:
        model: that encoded the texts.
        vectors: of n texts.
        top: words per text at most. Pieces without a letter, such as a full stop, are left out, and of two that
            differ in capitals alone the weaker one.
    """
    pieces = model.tokenizer.convert_ids_to_tokens(list(range(vectors.matrix.shape[1])))
    special = set(model.tokenizer.all_special_tokens)
    named = ["" if piece in special else _plain(str(piece)) for piece in pieces]
    begin, numbers, weights = vectors.matrix.crow_indices(), vectors.matrix.col_indices(), vectors.matrix.values()
    found = []
    for start, end in zip(begin[:-1].tolist(), begin[1:].tolist(), strict=True):
        own = sorted(zip(weights[start:end].tolist(), numbers[start:end].tolist(), strict=True), reverse=True)
        words: dict[str, tuple[str, float]] = {}
        for weight, number in own:
            if _is_word(named[number]):
                words.setdefault(named[number].casefold(), (named[number], round(weight, 2)))
        found.append(list(words.values())[:top])
    return found


def words_of(model: SparseEncoder, text: str) -> set[str]:
    """The words of a text as the model's vocabulary has them, in small letters."""
    # not verbose: a text may be longer than what the model reads
    pieces = model.tokenizer(text, add_special_tokens=False, verbose=False).tokens()
    return {_plain(piece).casefold() for piece in pieces}


def _plain(word: str) -> str:
    """A piece of a tokenizer's vocabulary as people write it."""
    return word.replace("▁", "").replace("Ġ", "").removeprefix("##")


def _is_word(piece: str) -> bool:
    return any(character.isalpha() for character in piece)
