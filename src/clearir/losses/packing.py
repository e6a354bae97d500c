"""Columns of a batch -> distinct texts, longest first, in chunks -> columns again.

A batch of CLEAR has 3 + n + m columns. Padding each by itself computes mostly padding, and a text that stands in
several columns (a passage that is another row's hard negative) is computed again each time. Here all columns become
one list of distinct texts (equal token ids), sorted by length and cut into chunks; each chunk is as wide as its
longest text. Gradients of repeated texts add up by themselves, since all of their places index the same embedding.

Inputs that have no row of padded tokens a text (StaticEmbedding, flattened inputs for flash attention) keep the
column way: one pack a column, nothing sorted. So do those whose padding changes what the model makes of them
(`clearir.losses.padding`).
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xxhash
from sentence_transformers.base.losses.gradcache import _create_minibatch, _get_batch_size, _minibatch_ranges
from torch import Tensor

from clearir.losses.padding import LEFT, RIGHT, is_left_padded

logger = logging.getLogger(__name__)

Features = dict[str, Any]
Range = tuple[int, int]

# Texts with the same token ids may differ in these: ("a", "b") is a pair, "a [SEP] b" is not.
BESIDE_IDS = ("token_type_ids",)
# Where ColBERT models put words behind a query; the attention mask may leave these out, so it tells no length.
EXPANSION = "query_expansion_positions"
# On a CPU larger chunks are slower (their activations leave the cache), and hold more memory (docs/performance.md).
TOKENS_A_CPU_CHUNK = 2048
# Of a chunk's budget: one more chunk costs about what computing this much padding does.
PADDING_SHARE = 1 / 16


@dataclass(frozen=True)
class Pack:
    """Texts that go through the model together, one embedding each.

    Attributes:
        features: what the model takes, one row a text.
        lengths: tokens of each text, descending; None where the rows are as the collator left them.
        left_padded: whether padding stands before the text.
        keeps_width: whether chunks of unsorted rows are as wide as all of them; else padding behind them is cut.
    """

    features: Features
    lengths: list[int] | None = None
    left_padded: bool = False
    keeps_width: bool = False

    def __len__(self) -> int:
        return len(self.lengths) if self.lengths is not None else _get_batch_size(self.features)

    def ranges(self, mini_batch_size: int, mini_batch_num_tokens: int | None) -> list[Range]:
        """Where to cut: ``(begin, end)`` of each chunk.

        Sorted texts are cut by computed tokens (texts x longest), with a budget of ``mini_batch_num_tokens`` or else
        of what ``mini_batch_size`` texts as long as the longest one would take, so that chunks of short texts hold
        more of them and none takes more memory than the first. On a CPU the latter budget is at most
        `TOKENS_A_CPU_CHUNK`. A chunk ends early where it would hold more than `PADDING_SHARE` of the budget in
        padding.
        """
        if self.lengths is None:
            return _minibatch_ranges(self.features, mini_batch_size, mini_batch_num_tokens)
        budget = mini_batch_num_tokens or self._default_budget(mini_batch_size * max(self.lengths[0], 1))
        tokens = np.concatenate(([0], np.cumsum(self.lengths)))  # of the first 0, 1, 2 ... texts
        ranges, begin = [], 0
        while begin < len(self.lengths):
            width = max(self.lengths[begin], 1)
            most = min(begin + max(1, budget // width), len(self.lengths))
            padding = width * np.arange(most - begin + 1) - (tokens[begin : most + 1] - tokens[begin])
            end = begin + max(1, int(np.searchsorted(padding, budget * PADDING_SHARE, side="right")) - 1)
            ranges.append((begin, end))
            begin = end
        return ranges

    def _default_budget(self, tokens: int) -> int:
        on_cpu = self.features["attention_mask"].device.type == "cpu"
        return min(tokens, TOKENS_A_CPU_CHUNK) if on_cpu else tokens

    def chunk(self, begin: int, end: int) -> Features:
        """The texts ``begin:end``, as wide as the longest of them. Always a new dict: modules write into it."""
        if self.lengths is None:
            if begin == 0 and end >= len(self):
                return dict(self.features)
            if self.keeps_width:
                return {
                    key: value[begin:end] if _is_token_matrix(value) else value for key, value in self.features.items()
                }
            return _create_minibatch(self.features, begin, end)
        width = max(self.lengths[begin], 1)
        total = self.features["attention_mask"].shape[1]
        columns = slice(total - width, total) if self.left_padded else slice(0, width)
        return {
            key: value[begin:end, columns].clone() if _is_token_matrix(value) else value
            for key, value in self.features.items()
        }

    def computed_tokens(self, ranges: Iterable[Range]) -> int:
        """Tokens the model computes for these chunks, padding included. Needs sorted texts."""
        if self.lengths is None:
            raise ValueError("the tokens of an unsorted pack are not known")
        return sum((end - begin) * self.lengths[begin] for begin, end in ranges)


@dataclass(frozen=True)
class Plan:
    """How the columns of one batch are computed.

    Attributes:
        packs: what goes through the model.
        places: for each column the number of its pack and the row of each text in it (None: rows in order).
        text_ids: ``(columns, batch)`` int64 on the CPU, equal where the texts are equal.
    """

    packs: list[Pack]
    places: list[tuple[int, Tensor | None]]
    text_ids: Tensor

    def columns(self, embeddings: list[Tensor]) -> list[Tensor]:
        """Embeddings of each pack -> embeddings of each column, ``(batch, dim)``."""
        return [
            embeddings[pack] if rows is None else embeddings[pack].index_select(0, rows) for pack, rows in self.places
        ]

    @cached_property
    def distinct_texts(self) -> int:
        """How many texts go through the model."""
        return sum(len(pack) for pack in self.packs)


def _is_token_matrix(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2


def _is_packable(features: Features) -> bool:
    """Whether every tensor is a matrix of one padded row of tokens a text."""
    mask = features.get("attention_mask")
    return (
        isinstance(mask, Tensor)
        and mask.ndim == 2
        and "cu_seq_lens_q" not in features
        and EXPANSION not in features
        and all(
            value.shape == mask.shape and not value.is_floating_point()
            for key, value in features.items()
            if isinstance(value, Tensor) and key != "prompt_length"
        )
    )


def _prompt_length(features: Features) -> int:
    length = features.get("prompt_length")
    if length is None:
        return 0
    return int(length.flatten()[0]) if isinstance(length, Tensor) else int(length)


def _token_rows(features: Features) -> list[np.ndarray[Any, Any]]:
    """What the model reads of each text, without padding: token ids, and what else it takes for each token."""
    ids = features["input_ids"].cpu().numpy()
    if "offsets" in features:  # StaticEmbedding: all texts in one row, and where each begins
        return np.split(ids, features["offsets"].cpu().numpy()[1:])
    if "cu_seq_lens_q" in features:
        return np.split(ids.reshape(-1), features["cu_seq_lens_q"].cpu().numpy()[1:-1])
    if "attention_mask" not in features:
        return list(ids)
    mask = features["attention_mask"].cpu().numpy().astype(bool)
    others = [features[key].cpu().numpy() for key in BESIDE_IDS if key in features]
    values = np.stack([ids, *others], axis=1)
    return [row[:, kept] for row, kept in zip(values, mask, strict=True)]


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _hash_rows(rows: list[np.ndarray[Any, Any]], seed: int) -> list[int]:
    return [_signed(xxhash.xxh3_64_intdigest(np.ascontiguousarray(row, np.int64).data, seed)) for row in rows]


def text_ids(features: Features) -> Tensor:
    """An int64 for each text of a column, equal where tokens, their types and prompt are, the same in every process.

    Returns:
        ``(batch,)`` int64 on the CPU.
    """
    return torch.tensor(_hash_rows(_token_rows(features), _prompt_length(features)), dtype=torch.int64)


def _same_metadata(one: Features, other: Features) -> bool:
    """Whether two columns can share a forward pass: same keys, and the same values where these are not tokens."""
    if set(one) != set(other) or _prompt_length(one) != _prompt_length(other):
        return False
    plain = [key for key, value in one.items() if not isinstance(value, Tensor) and key != "prompt_length"]
    return all(one[key] == other[key] for key in plain)


def _pack_columns(columns: list[Features], ids: list[Tensor]) -> tuple[Pack, list[Tensor]]:
    """Distinct texts of columns that can share a forward pass, longest first, and the place of every text."""
    lengths = torch.cat([features["attention_mask"].sum(dim=1).cpu() for features in columns])
    distinct, inverse = np.unique(torch.cat(ids).numpy(), return_inverse=True)
    first = np.full(len(distinct), len(inverse), dtype=np.int64)
    np.minimum.at(first, inverse, np.arange(len(inverse)))
    # Longest first; equal lengths in order of appearance, so that nothing depends on the hash values.
    order = np.lexsort((first, -lengths.numpy()[first]))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    chosen = torch.from_numpy(first[order])
    left_padded = any(is_left_padded(features["attention_mask"]) for features in columns)
    width = max(features["attention_mask"].shape[1] for features in columns)
    device = columns[0]["attention_mask"].device
    packed: Features = {}
    for key, value in columns[0].items():
        if key == "prompt_length" or not isinstance(value, Tensor):
            packed[key] = value
            continue
        padded = [
            torch.nn.functional.pad(
                features[key],
                (width - features[key].shape[1], 0) if left_padded else (0, width - features[key].shape[1]),
            )
            for features in columns
        ]
        packed[key] = torch.cat(padded).index_select(0, chosen.to(device))
    batches = [len(one) for one in ids]
    places = torch.from_numpy(rank[inverse]).to(device).split(batches)
    return Pack(packed, lengths[chosen].tolist(), left_padded), list(places)


def plan_batch(
    sentence_features: Iterable[Features], packing: bool = True, sides_that_count: Container[str] = ()
) -> Plan:
    """Decide how the columns of a batch are computed.

    Args:
        sentence_features: what the collator made of each column.
        packing: False keeps the column way.
        sides_that_count: where padding must stay as it is, see `clearir.losses.padding.sides_that_count`.
    """
    columns = list(sentence_features)
    ids = [text_ids(features) for features in columns]
    if packing and (why := _why_not(columns, sides_that_count)):
        _say_once(f"{why}, so every column is embedded by itself")
        packing = False
    if not packing:
        return Plan(
            [Pack(features, keeps_width=RIGHT in sides_that_count and _is_packable(features)) for features in columns],
            [(number, None) for number in range(len(columns))],
            torch.stack(ids),
        )
    packs: list[Pack] = []
    places: list[tuple[int, Tensor | None]] = [(-1, None)] * len(columns)
    left = list(range(len(columns)))
    while left:
        members = [number for number in left if _same_metadata(columns[left[0]], columns[number])]
        pack, rows = _pack_columns([columns[number] for number in members], [ids[number] for number in members])
        for number, row in zip(members, rows, strict=True):
            places[number] = (len(packs), row)
        packs.append(pack)
        left = [number for number in left if number not in members]
    return Plan(packs, places, torch.stack(ids))


def _why_not(columns: list[Features], sides_that_count: Container[str]) -> str:
    """Why columns cannot be packed; empty where they can."""
    if not all(_is_packable(features) for features in columns):
        return "these inputs are not padded rows of tokens"
    if RIGHT in sides_that_count:
        return "this model reads padding"
    if LEFT in sides_that_count and any(is_left_padded(features["attention_mask"]) for features in columns):
        return "padding on the left moves the positions of this model"
    return ""


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.info(message)
