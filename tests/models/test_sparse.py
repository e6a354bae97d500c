from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from transformers import AutoModelForMaskedLM, AutoTokenizer

from clearir.evaluation.ranking import rank
from clearir.models.any_kind import concatenate, encode_any, load_any
from clearir.models.kind import kind_of
from clearir.models.load import load_model
from clearir.models.prompts import Prompts, prompts_of
from clearir.models.reranker import load_reranker
from clearir.models.sparse import (
    SparseVectors,
    encode_sparse,
    has_word_weights,
    learn_own_words,
    load_sparse,
    strongest_words,
    words_of,
)
from clearir.settings import SPARSE
from clearir.support.errors import InputError

FIRING = 3
TEXTS = [
    "The harbour closes in winter.",
    "Press Ctrl and S to save the file.",
    "A dog barks at the postman.",
    "Trains to the north leave at noon.",
]


def of(rows: list[list[float]]) -> SparseVectors:
    return SparseVectors(torch.tensor(rows).to_sparse_csr())


QUERIES = of([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
PASSAGES = of([[1.0, 0.0, 0.0], [0.0, 3.0, 0.5], [0.0, 1.0, 0.0]])


@pytest.fixture
def model(tiny_model_path):
    return load_sparse(tiny_model_path, device="cpu")


@pytest.fixture(scope="module")
def taught(minilm_path):
    """MiniLM with a head that names the words of `TEXTS`."""
    model = load_sparse(minilm_path, device="cpu", max_seq_length=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clearir.models.sparse.STEPS", 60)
        patch.setattr("clearir.models.sparse.TOKENS", 48)
        patch.setattr("clearir.models.sparse.FIRING", FIRING)
        learn_own_words(model, TEXTS)
    return model


def test_scores_are_dot_products():
    assert QUERIES.scores(PASSAGES).tolist() == [[1 * 1, 2 * 0.5, 0], [0, 0, 0]]


def test_some_of_the_texts_in_any_order():
    assert PASSAGES[[2, 0, 2]].matrix.to_dense().tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert PASSAGES[1:].matrix.to_dense().tolist() == [[0, 3, 0.5], [0, 1, 0]]
    assert len(PASSAGES[:0]) == 0
    joined = concatenate([PASSAGES[:1], PASSAGES[1:]])
    assert joined.matrix.to_dense().tolist() == PASSAGES.matrix.to_dense().tolist()
    assert PASSAGES.words_per_text() == pytest.approx((1 + 2 + 1) / 3)


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_passages_are_ranked_by_score_equal_ones_in_order(block):
    top, _, ranks = rank(QUERIES, PASSAGES, [[1], [2]], 3, left_out=[[], [0]], block=block)
    assert top.tolist() == [[0, 1, 2], [1, 2, 0]]
    assert ranks == [[2], [2]]


def test_hashed_vectors_keep_what_is_alike():
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(20, 30_000, generator=generator) * (torch.rand(20, 30_000, generator=generator) < 0.002)
    weights[1] = weights[0] * 0.9 + weights[2] * 0.1
    vectors = of(weights.tolist()).hashed()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    scores = vectors[0] @ vectors.T
    assert scores[0] == pytest.approx(1)
    assert np.argsort(-scores)[1] == 1
    assert abs(scores[3:]).max() < 0.3


def test_a_new_head_follows_from_its_seed_and_has_no_prompts(tiny_model_path, model, caplog):
    again, other = load_sparse(tiny_model_path, device="cpu"), load_sparse(tiny_model_path, device="cpu", seed=1)
    vectors = [encode_sparse(one, TEXTS).matrix.to_dense() for one in (model, again, other)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])
    assert prompts_of(model) == Prompts()
    assert not has_word_weights(tiny_model_path)
    assert not caplog.text


def test_a_head_for_masked_words_is_kept(tiny_model_path, tmp_path):
    network = AutoModelForMaskedLM.from_pretrained(tiny_model_path)
    network.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model_path).save_pretrained(tmp_path)
    assert has_word_weights(tmp_path)
    model = load_sparse(tmp_path, device="cpu", seed=3)
    name = "cls.predictions.transform.dense.weight"
    assert torch.equal(model.transformers_model.state_dict()[name], network.state_dict()[name])


def test_texts_are_encoded_as_sentence_transformers_does_it(model):
    texts = [TEXTS[0], TEXTS[2], TEXTS[0]]
    found = encode_any(model, texts, "query", prompt="q: ")
    torch.testing.assert_close(found.matrix.to_dense(), model.encode(texts, prompt="q: ").to_dense())
    with pytest.raises(InputError, match="not all finite numbers, first those of 'The harbour"):
        model.transformers_model.get_output_embeddings().bias.data.fill_(torch.nan)
        encode_sparse(model, TEXTS[:1])


def test_a_text_fires_its_own_words_once_they_are_learned(minilm_path, taught):
    before = load_sparse(minilm_path, device="cpu", max_seq_length=32).transformers_model
    for name, weight in before.base_model.state_dict().items():
        assert torch.equal(weight, taught.transformers_model.base_model.state_dict()[name]), name
    assert all(one.requires_grad for one in taught.parameters())
    vectors = encode_sparse(taught, TEXTS)
    own = [words_of(taught, text) for text in TEXTS]
    for words, found in zip(own, strongest_words(taught, vectors, top=3), strict=True):
        assert {word for word, _ in found} <= words
    tokens = sum(len(taught.tokenizer.tokenize(text)) for text in TEXTS)
    assert vectors.words_per_text() * len(TEXTS) < 2 * FIRING * tokens  # of 30,522 words; some fire for several tokens


def test_a_saved_model_is_told_by_its_folder(taught, tiny_model_path, tmp_path):
    path = tmp_path / "model"
    taught.save_pretrained(str(path), create_model_card=False)
    assert kind_of(str(path)) == SPARSE
    assert has_word_weights(path)
    assert isinstance(load_any(path, device="cpu"), SparseEncoder)
    torch.testing.assert_close(
        encode_sparse(load_sparse(path, device="cpu"), TEXTS).matrix.to_dense(),
        encode_sparse(taught, TEXTS).matrix.to_dense(),
    )
    with pytest.raises(InputError, match="a sparse model, with a weight for each word, and this needs one"):
        load_model(path, device="cpu")
    with pytest.raises(InputError, match="a sparse model, with a weight for each word, not a reranker"):
        load_reranker(path, device="cpu", new_head=True)


def test_words_without_a_letter_and_those_that_fire_twice_are_not_shown():
    class Reader:
        class tokenizer:
            all_special_tokens = ("</s>",)

            @staticmethod
            def convert_ids_to_tokens(ids):
                return ["▁save", ".", "##ing", "Ġ7", "</s>", "Save"]

    words = strongest_words(Reader(), of([[0.5, 9.0, 1.0, 2.0, 3.0, 0.25], [0.0] * 6]), top=5)
    assert words == [[("ing", 1.0), ("save", 0.5)], []]
