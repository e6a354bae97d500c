from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder

from clearir.evaluation.ranking import rank
from clearir.models.any_kind import concatenate, encode_any, load_any
from clearir.models.load import load_late_interaction
from clearir.models.prompts import prompts_of
from clearir.models.token_vectors import TokenVectors, encode_tokens, mean_of_tokens, similarities
from clearir.support.errors import InputError

HALF = 1 / sqrt(2)


def of(*texts: list[list[float]]) -> TokenVectors:
    return TokenVectors([torch.tensor(text) for text in texts])


QUERIES = of([[1.0, 0.0], [0.0, 1.0]], [[HALF, HALF]])
PASSAGES = of([[1.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]], [[-1.0, 0.0]])
# the best of each token that asks, their mean: (1, 0) and (0, 1) find 1 and 0; 0 and 1; -1 and 0
SCORES = torch.tensor([[1 / 2, 1 / 2, -1 / 2], [HALF, HALF, -HALF]])


@pytest.fixture(scope="module")
def model(tiny_model_path):
    return load_late_interaction(tiny_model_path, device="cpu")


def test_scores_by_hand():
    torch.testing.assert_close(QUERIES.scores(PASSAGES), SCORES)
    torch.testing.assert_close(QUERIES[[1]].scores(PASSAGES[1:]), SCORES[1:, 1:])


def test_a_query_is_compared_with_passages_of_its_kind():
    for query, scores in zip(QUERIES.arrays(), SCORES, strict=True):
        np.testing.assert_allclose(similarities(query, PASSAGES), scores, rtol=1e-6)
    np.testing.assert_allclose(similarities(np.array([0.6, 0.8]), np.eye(2)), [0.6, 0.8])


def test_arrays_are_copied():
    vectors = TokenVectors.of(PASSAGES.arrays())
    assert vectors.padded().tolist() == PASSAGES.padded().tolist()
    vectors.texts[0].zero_()
    assert PASSAGES.texts[0].tolist() == [[1, 0]]


def test_padded_for_the_losses():
    assert PASSAGES.padded().tolist() == [[[1, 0], [0, 0]], [[0, 1], [-1, 0]], [[-1, 0], [0, 0]]]


def test_parts_are_put_together():
    assert concatenate([PASSAGES[:1], PASSAGES[1:]]).padded().tolist() == PASSAGES.padded().tolist()
    assert concatenate([np.ones((1, 2)), np.zeros((1, 2))]).tolist() == [[1, 1], [0, 0]]


def test_the_mean_of_the_tokens_has_unit_length():
    np.testing.assert_allclose(mean_of_tokens(QUERIES), [[HALF, HALF]] * 2, rtol=1e-6)


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_passages_are_ranked_by_maxsim_equal_ones_in_order(block):
    top, _, ranks = rank(QUERIES, PASSAGES, [[1], [2]], 3, left_out=[[], [0]], block=block)
    assert top.tolist() == [[0, 1, 2], [1, 2, 0]]
    assert ranks == [[2], [2]]


def test_texts_are_encoded_as_sentence_transformers_does_it(model):
    texts = ["amber", "birch cobalt delta", "amber"]
    for kind, encode in (("query", model.encode_query), ("passage", model.encode_document)):
        prompt = getattr(prompts_of(model), kind)
        found = encode_tokens(model, texts, kind, prompt=prompt)
        for ours, theirs in zip(found.texts, encode(texts), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_a_dense_model_gives_one_vector_a_text(tiny_model, model):
    assert encode_any(tiny_model(), ["amber", "birch"], "query").shape == (2, 16)
    assert len(encode_any(model, ["amber", "birch"], "query")) == 2


def test_vectors_that_are_not_finite_are_refused(tiny_model_path):
    broken = load_late_interaction(tiny_model_path, device="cpu")
    with torch.no_grad():
        broken[1].linear.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="not all finite numbers, first those of 'amber'"):
        encode_tokens(broken, ["amber"], "query")


def test_the_kind_is_told_by_the_folder(model, tiny_model_path, tmp_path):
    model.save_pretrained(str(tmp_path / "late"), create_model_card=False)
    assert isinstance(load_any(tmp_path / "late"), MultiVectorEncoder)
    assert not isinstance(load_any(tiny_model_path), MultiVectorEncoder)


def test_what_is_in_the_cache_is_not_encoded_again(model, tmp_path, monkeypatch):
    texts, first = ["amber", "birch cobalt delta", "elm"], ["birch cobalt delta", "amber"]
    expected = encode_tokens(model, texts, "passage").arrays()
    encode_tokens(model, first, "passage", cache=tmp_path)
    seen: list[str] = []
    preprocess = model.preprocess
    monkeypatch.setattr(model, "preprocess", lambda batch, **how: (seen.extend(batch), preprocess(batch, **how))[1])
    found = encode_tokens(model, texts, "passage", cache=tmp_path).arrays()
    assert seen == ["elm"]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    encode_tokens(model, ["amber"], "query", cache=tmp_path)  # which a model may read in another way
    encode_tokens(model, ["amber"], "passage", prompt="p: ", cache=tmp_path)
    assert seen == ["elm", "amber", "amber"]
