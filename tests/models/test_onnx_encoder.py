from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearir.models.encode import encode, token_counts
from clearir.models.load import load_model, model_fingerprint
from clearir.models.onnx import FULL
from clearir.models.onnx_encoder import exported_encoder, read_encoder
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError

TEXTS = ["a cat", "the quick brown fox", "", "x" * 200]


@pytest.fixture
def folder(exported_path: Path, tmp_path: Path) -> Path:
    """An export that may be changed."""
    return Path(shutil.copytree(exported_path, tmp_path / "export"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


@pytest.mark.parametrize("length", [64, 5])
def test_the_vectors_are_those_of_the_model(exported_path: Path, length: int) -> None:
    encoder = read_encoder(exported_path, length)
    network = load_model(exported_path, device="cpu", max_seq_length=length)
    assert encoder is not None
    found = encoder(TEXTS, "q ")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, encode(network, TEXTS, prompt="q "), atol=1e-5)
    # Or the comparison would show nothing: texts, prompt and length make a difference.
    assert abs(found[0] - found[1]).max() > 0.01
    assert abs(found - encode(network, TEXTS)).max() > 0.01
    assert len(encoder([])) == 0
    assert encoder.token_counts(TEXTS) == token_counts(network, TEXTS, prompt="")


def test_pooling_by_the_first_token(folder: Path) -> None:
    mean = read_encoder(folder, 64)
    change(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    first = read_encoder(folder, 64)
    assert mean is not None
    assert first is not None
    network = load_model(folder, device="cpu")
    np.testing.assert_allclose(first(TEXTS), encode(network, TEXTS), atol=1e-5)
    assert abs(first(TEXTS) - mean(TEXTS)).max() > 0.01


def test_other_pooling_and_other_modules_are_left_to_sentence_transformers(folder: Path) -> None:
    change(folder / "1_Pooling" / "config.json", pooling_mode="max")
    assert read_encoder(folder, 64) is None
    change(folder / "1_Pooling" / "config.json", pooling_mode="mean")
    change(folder / "tokenizer_config.json", truncation_side="left")
    assert read_encoder(folder, 64) is None
    change(folder / "tokenizer_config.json", truncation_side="right")
    assert read_encoder(folder, 64) is not None
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert read_encoder(folder, 64) is None


def test_an_export_is_used_for_the_model_that_it_was_made_of(folder: Path, tiny_model_path: Path) -> None:
    same = model_fingerprint(load_model(tiny_model_path, device="cpu"))
    assert exported_encoder(str(folder), same, 64) is not None
    assert exported_encoder(str(folder), "another", 64) is None
    assert exported_encoder(str(tiny_model_path), same, 64) is None
    assert exported_encoder("a/name-on-the-hub", same, 64) is None
    change(folder / MANIFEST, result={"exports": []})  # of a version that did not compare
    assert exported_encoder(str(folder), same, 64) is None
    (folder / MANIFEST).write_text("[]", encoding="utf-8")  # of somebody else
    assert exported_encoder(str(folder), same, 64) is None


def test_a_damaged_file_is_said(folder: Path) -> None:
    (folder / FULL).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model\.onnx: cannot be read .* export the model again"):
        read_encoder(folder, 64)
