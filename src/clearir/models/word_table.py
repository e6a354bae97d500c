"""A model's table of words with the tokenizer that splits texts into them, and both of them cut.

```python
table = WordTable.of(network, "intfloat/multilingual-e5-small")
table.keep(network, table.needed(counts))      # the network in place; `table` stays whole
```
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clearir.data.scripts import script_of
from clearir.support.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from torch import nn

    Ids = NDArray[np.int64]
    Kept = NDArray[np.bool_]

T = TypeVar("T", bound="nn.Embedding | nn.EmbeddingBag")

KINDS = ("Unigram", "BPE", "WordPiece")
#: a script with a smaller share of the letters of a corpus is there by accident
_RARE = 0.001
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # how tokenizers write the bytes of characters that they do not know
_PART = "\N{REPLACEMENT CHARACTER}"  # some bytes of a character


@dataclass(frozen=True)
class WordTable:
    """The whole table of words of a model.

    Attributes:
        name: of the model, for messages.
        backend: its tokenizer.
        embedding: its table; more rows than the tokenizer has words are of no use to it.
    """

    name: str
    backend: Tokenizer
    embedding: nn.Embedding | nn.EmbeddingBag

    @classmethod
    def of(cls, network: SentenceTransformer, name: str) -> WordTable:
        """The table of a model.

        Raises:
            InputError: it has none of its own, or a tokenizer of another kind.
        """
        from tokenizers import Tokenizer

        tokenizer = getattr(network, "tokenizer", None)
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not isinstance(backend, Tokenizer):
            raise InputError(f"{name}: its tokenizer has no tokenizer.json, so its words cannot be taken away")
        kind = json.loads(backend.to_str())["model"].get("type")
        if kind not in KINDS:
            raise InputError(f"{name}: its tokenizer is of the kind {kind}; only {', '.join(KINDS)} can be trimmed")
        embedding = _embedding(network)
        if embedding is None or embedding.num_embeddings < backend.get_vocab_size():
            raise InputError(f"{name}: it has no table with a row per word of its tokenizer, so there is none to trim")
        free = Tokenizer.from_str(backend.to_str())  # of what the last call has set
        free.no_padding()
        free.no_truncation()
        return cls(name, free, embedding)

    def needed(self, counts: Ids | None = None, scripts: Iterable[str] = ()) -> Kept:
        """Which words to keep.

        Special words, bytes and parts of characters always; single characters that are no letters, and those of the
        scripts in use; and all that these are made of.

        Args:
            counts: how often each word occurs in a corpus, by id; those that occur are kept.
            scripts: as `clearir.data.scripts.script_of` names them; words in these scripts alone are kept.
        """
        asked = frozenset(scripts)
        found = np.zeros(len(self._words), np.int64) if counts is None else counts
        in_use = asked | self._scripts_in_use(found)
        kept = found > 0
        for number, word in enumerate(self._words):
            if word.always or (word.single and word.scripts <= in_use) or (asked and word.scripts <= asked):
                kept[number] = True
        return self._closed(kept)

    def keep(self, network: SentenceTransformer, kept: Kept) -> None:
        """Let a model have these words alone, in place.

        Raises:
            InputError: another part of the model has the same table.
        """
        from tokenizers import Tokenizer

        backend = Tokenizer.from_str(json.dumps(_cut(json.loads(self.backend.to_str()), kept)))
        old, words = self.backend.get_vocab(), sorted(backend.get_vocab().items(), key=lambda item: item[1])
        ids = [old[piece] for piece, _ in words]
        _set_table(network, some_rows(self.embedding, ids), self.embedding, self.name)
        _set_tokenizer(network, backend)
        new = {before: number for number, before in enumerate(ids)}
        config = getattr(network.transformers_model, "config", None)
        if config is not None:
            _renumber(config.get_text_config(), new)

    @cached_property
    def _words(self) -> list[_Word]:
        state = json.loads(self.backend.to_str())
        added = {one["content"] for one in state["added_tokens"]}
        model, decoder = state["model"], self.backend.decoder
        prefix = model.get("continuing_subword_prefix") or ""
        unknown = model.get("unk_token") if model["type"] != "Unigram" else None
        unknown_id = model.get("unk_id")

        def word(number: int) -> _Word:
            piece = self.backend.id_to_token(number)
            if piece is None or piece in added or piece == unknown or number == unknown_id or _BYTE.fullmatch(piece):
                return _Word(True, False, frozenset())
            text = decoder.decode([piece]) if decoder is not None else piece
            text = text.replace("\N{LOWER ONE EIGHTH BLOCK}", "").strip().removeprefix(prefix)
            scripts = frozenset(script for character in text if (script := script_of(character)))
            single = len(text) <= 1
            return _Word(_PART in text or (single and text.isascii()), single, scripts)

        return [word(number) for number in range(self.backend.get_vocab_size())]

    def _scripts_in_use(self, counts: Ids) -> set[str]:
        letters: Counter[str] = Counter()
        for number in np.flatnonzero(counts):
            for script in self._words[number].scripts:
                letters[script] += int(counts[number])
        return {script for script, number in letters.items() if number >= _RARE * letters.total()}

    def _closed(self, kept: Kept) -> Kept:
        """Of BPE the words that kept ones are merged of, too."""
        model = json.loads(self.backend.to_str())["model"]
        if model["type"] != "BPE":
            return kept
        parts: dict[int, set[int]] = defaultdict(set)
        for merge in model["merges"]:
            *pair, merged = (model["vocab"].get(piece) for piece in _merge(merge, model))
            parts[merged].update(pair)
        waiting = np.flatnonzero(kept).tolist()
        while waiting:
            for part in parts.get(waiting.pop(), ()):
                if not kept[part]:
                    kept[part] = True
                    waiting.append(part)
        return kept


@dataclass(frozen=True, slots=True)
class _Word:
    """Whether it is kept in any case, whether it is one character, and the scripts of its letters."""

    always: bool
    single: bool
    scripts: frozenset[str]


def _merge(merge: Any, model: Mapping[str, Any]) -> tuple[str, str, str]:
    """The two words of a merge, and what they become."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right, left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _cut(state: dict[str, Any], kept: Kept) -> dict[str, Any]:
    """A tokenizer's JSON with some of its words, in the order that they had."""
    model = state["model"]
    if model["type"] == "Unigram":
        unknown = model.get("unk_id")
        model["vocab"] = [pair for number, pair in enumerate(model["vocab"]) if kept[number]]
        if unknown is not None:
            model["unk_id"] = int(kept[:unknown].sum())
        numbers = {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    else:
        order = sorted(model["vocab"].items(), key=lambda item: item[1])
        numbers = {piece: number for number, piece in enumerate(piece for piece, old in order if kept[old])}
        model["vocab"] = numbers
    if model["type"] == "BPE":
        model["merges"] = [one for one in model["merges"] if all(piece in numbers for piece in _merge(one, model))]
    numbers = dict(numbers)
    for one in sorted(state["added_tokens"], key=lambda one: one["id"]):
        one["id"] = numbers.setdefault(one["content"], len(numbers))
    state["post_processor"] = _with_numbers(state["post_processor"], numbers)
    return state


def _with_numbers(processor: Any, numbers: Mapping[str, int]) -> Any:
    """A post-processor, which puts special words around a text, with the new ids of these."""
    if not isinstance(processor, dict):
        return processor
    if processor["type"] == "Sequence":
        return {**processor, "processors": [_with_numbers(one, numbers) for one in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        special = processor["special_tokens"]
        return {
            **processor,
            "special_tokens": {
                name: {**one, "ids": [numbers[word] for word in one["tokens"]]} for name, one in special.items()
            },
        }
    return {  # of BERT and RoBERTa
        name: [one[0], numbers[one[0]]] if name in ("sep", "cls") else one for name, one in processor.items()
    }


def _embedding(network: SentenceTransformer) -> nn.Embedding | nn.EmbeddingBag | None:
    from torch import nn

    static = getattr(network[0], "embedding", None)
    if isinstance(static, nn.EmbeddingBag):
        return static
    found = input_embeddings(network.transformers_model)
    return found if isinstance(found, nn.Embedding) else None


def _set_table(network: SentenceTransformer, new: nn.Module, old: nn.Module, name: str) -> None:
    from torch import nn

    model: Any = network.transformers_model
    if isinstance(new, nn.EmbeddingBag):
        static: Any = network[0]
        static.embedding, static.num_embeddings = new, new.num_embeddings
        return
    model.set_input_embeddings(new)
    if any(parameter is old.weight for parameter in network.parameters()):
        model.set_input_embeddings(old)
        raise InputError(f"{name}: another part of the model shares the table of words, so it cannot be trimmed")


def _set_tokenizer(network: SentenceTransformer, backend: Tokenizer) -> None:
    """As a tokenizer that is read from its tokenizer.json alone: other kinds make a part of theirs anew."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    reader: Any = network[0]
    old = reader.tokenizer
    if isinstance(old, Tokenizer):
        reader.tokenizer = backend
        return
    kept = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces")
    new = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        chat_template=old.chat_template,
        **{name: getattr(old, name) for name in kept if hasattr(old, name)},
        **{name: word for name, word in old.special_tokens_map.items() if isinstance(word, str)},
    )
    if reader.processor is old:
        reader.processor = new
    else:
        reader.processor.tokenizer = new


def _renumber(config: Any, new: Mapping[int, int]) -> None:
    config.vocab_size = len(new)
    for name, value in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(config, name, new.get(value))
        elif name.endswith("_token_id") and isinstance(value, list):
            setattr(config, name, [new[one] for one in value if one in new])


def some_rows(table: T, words: list[int]) -> T:
    """A table like ``table`` of these words alone, in this order."""
    import torch
    from torch import nn

    rows = nn.Parameter(table.weight.detach()[torch.tensor(words, device=table.weight.device)])
    found: T = deepcopy(table, {id(table.weight): rows})
    found.num_embeddings = len(words)
    found.padding_idx = words.index(table.padding_idx) if table.padding_idx in words else None
    return found


def input_embeddings(model: Any) -> nn.Module | None:
    """The module that looks words up in a model of transformers, or None."""
    try:
        found: nn.Module | None = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    return found
