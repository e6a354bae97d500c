from __future__ import annotations

import numpy as np
import pytest

from clearir.evaluation.compare import compare
from clearir.evaluation.export import SCORES, export_model
from clearir.evaluation.scores import Scores
from clearir.evaluation.suites import Suite
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.onnx import FULL, INT8, with_onnx
from clearir.support.errors import InputError

for module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(module, reason="the extra onnx is not installed")

TEXTS = ["a cat", "the quick brown fox jumps over the lazy dog", "one two three", "x" * 200]


@pytest.fixture(scope="module")
def exported(tiny_model_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "out"
    queries = {"en": {str(i): text for i, text in enumerate(TEXTS)}}
    passages = {"en": {str(i): f"{text} again" for i, text in enumerate(TEXTS)}}
    suite = Suite("by hand", queries, passages, {str(i): {str(i): 1} for i in range(4)})
    return out, suite, export_model(str(tiny_model_path), out, suite)


def test_full_precision_is_the_original(exported, tiny_model):
    out, _, (original, full, _) = exported
    network = load_model(out, device="cpu")
    np.testing.assert_allclose(encode(network, TEXTS), encode(tiny_model(), TEXTS), atol=1e-6)  # as it was saved
    with_onnx(network, out / FULL)
    np.testing.assert_allclose(encode(network, TEXTS), encode(tiny_model(), TEXTS), atol=1e-5)
    assert (full.file, full.cosine, full.lowest_cosine) == (FULL, 1.0, 1.0)
    assert full.scores == original.scores


def test_the_onnx_file_computes_it(exported):
    """Or the comparison above would show nothing: the weights are gone, the vectors stay."""
    import torch

    out, _, _ = exported
    network = load_model(out, device="cpu")
    before = encode(network, TEXTS)
    with_onnx(network, out / FULL)
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
    np.testing.assert_allclose(encode(network, TEXTS), before, atol=1e-5)


def test_8_bits_are_near_and_smaller(exported):
    out, _, (_, full, int8) = exported
    assert int8.file == INT8
    assert 0.95 < int8.lowest_cosine <= int8.cosine <= 1
    assert (out / INT8).stat().st_size < (out / FULL).stat().st_size
    assert set(int8.scores) == set(full.scores) == {"en->en"}


def test_the_scores_behind_the_loss_can_be_compared(exported):
    out, _, exports = exported
    original, full, int8 = (Scores.load(out / SCORES[one.file]) for one in exports)
    assert [one.model for one in (original, full, int8)] == ["original", "onnx", "int8"]
    assert original.summary() == exports[0].scores
    row = compare(original, full).row("onnx", "en->en")
    assert row is not None
    assert row.difference == 0


def test_the_same_again_is_there_already(exported, tiny_model_path):
    out, suite, exports = exported
    before = (out / FULL).stat().st_mtime_ns
    assert export_model(str(tiny_model_path), out, suite) == exports
    assert (out / FULL).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="--overwrite"):
        export_model(str(tiny_model_path), out)


def test_prompts_are_exported_and_stand_before_what_is_measured(tiny_model_path, tmp_path, monkeypatch):
    import clearir.models.encode

    base = load_model(tiny_model_path, query_prompt="query: ", passage_prompt="passage: ")
    base.save_pretrained(str(tmp_path / "base"), create_model_card=False)
    asked = []
    real = clearir.models.encode.encode
    monkeypatch.setattr(
        clearir.models.encode, "encode", lambda *args, **more: asked.append(more.get("prompt")) or real(*args, **more)
    )
    export_model(str(tmp_path / "base"), tmp_path / "out")
    assert set(asked) == {"query: "}
    assert load_model(tmp_path / "out").prompts == {"query": "query: ", "document": "passage: "}
    other = load_model(tmp_path / "base", query_prompt="ask: ")
    other.save_pretrained(str(tmp_path / "base"), create_model_card=False)
    with pytest.raises(InputError, match="--overwrite"):  # the same weights, but not the same model
        export_model(str(tmp_path / "base"), tmp_path / "out")


def test_what_is_no_transformer_is_refused(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "how": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)])
    model.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(InputError, match="not a transformer over tokens"):
        export_model(str(tmp_path / "static"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
