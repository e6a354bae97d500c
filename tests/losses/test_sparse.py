"""Weights of words in place of a vector: dot products, FLOPS, and the same gradients whatever the way of computing."""

from __future__ import annotations

import pytest
import torch
from comparisons import gradients
from datasets import Dataset
from sentence_transformers import SparseEncoder, SparseEncoderTrainer, SparseEncoderTrainingArguments
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from sentence_transformers.util import dot_score

from clearir.losses import CachedObjectiveLoss, ObjectiveLoss
from clearir.losses.embeddings import default_similarity
from clearir.losses.scale import best_scale, fit_scores
from clearir.models.prompts import Prompts
from clearir.models.temperature import scale_for

OBJECTIVES = ("hybrid-sparse", {"forward": 0.4, "reverse": 0.3, "kl": 0.2, "direct": 0.1, "align": 0.1, "flops": 0.01})


@pytest.fixture
def sparse_model(still_model_path) -> SparseEncoder:
    torch.manual_seed(3)
    transformer = Transformer(str(still_model_path), transformer_task="fill-mask")
    return SparseEncoder(modules=[transformer, SpladePooling()], device="cpu")


def test_texts_are_compared_by_dot_product(sparse_model):
    assert default_similarity(sparse_model) is dot_score


def test_the_scale_is_found_from_dot_products(sparse_model):
    words = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron")
    queries = [f"{one} {other}" for one in words for other in words[:5]]
    passages = [f"about {query} and more" for query in queries]
    pairs = list(zip(queries, passages, strict=True))
    with torch.no_grad():
        scores = sparse_model.encode_query(queries).to_dense() @ sparse_model.encode_document(passages).to_dense().T
    assert scores.max() > 1
    found = best_scale(sparse_model, queries, passages)
    assert found == fit_scores(scores, pairs).scale
    assert scale_for("auto", pairs, sparse_model, Prompts("", "")).used == pytest.approx(found, rel=0.02)


def test_flops_by_hand(sparse_model):
    q, d, t = (torch.tensor(rows) for rows in ([[1.0, 0.0], [1.0, 2.0]], [[0.0, 4.0], [0.0, 0.0]], [[3.0, 1.0]] * 2))
    loss = ObjectiveLoss(sparse_model, {"flops": 1.0}, num_negatives=0)
    # means of the two texts: (1, 1), (0, 2), (3, 1); sums of squares: 2, 4, 10; their mean
    assert float(loss.compute_loss_from_embeddings([q, d, t])) == pytest.approx((2 + 4 + 10) / 3)
    # a hard negative is one more passage: (0, 4), (0, 0), (3, 0), (3, 0): (6/4, 1)
    with_negative = ObjectiveLoss(sparse_model, {"flops": 1.0, "direct": 0.0}, num_negatives=1)
    found = with_negative.compute_loss_from_embeddings([q, d, torch.tensor([[3.0, 0.0]] * 2), t])
    assert float(found) == pytest.approx((2 + (1.5**2 + 1) + 10) / 3)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["hybrid-sparse", "all"])
def test_cached_and_packed_equal_plain(sparse_model, columns, objective):
    sparse_model.double()
    features = [sparse_model.preprocess(texts) for texts in columns(5, 1, 1)]
    wanted = gradients(ObjectiveLoss(sparse_model, objective, scale=1, packing=False), features)
    for loss in (
        ObjectiveLoss(sparse_model, objective, scale=1),
        CachedObjectiveLoss(sparse_model, objective, scale=1, mini_batch_size=2, memory_budget=0),
        CachedObjectiveLoss(sparse_model, objective, scale=1, mini_batch_num_tokens=9, memory_budget=300_000),
    ):
        found = gradients(loss, features)
        assert found.keys() == wanted.keys()
        for name in wanted:
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-6, atol=1e-10)


def test_the_trainer_of_sentence_transformers_takes_it(sparse_model, columns, tmp_path):
    names = ("query", "passage", "negative_1", "target_query", "target_negative_1")
    arguments = SparseEncoderTrainingArguments(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=5, report_to="none", save_strategy="no"
    )
    loss = CachedObjectiveLoss(sparse_model, "hybrid-sparse", scale=1, num_negatives=1)
    before = sparse_model.transformers_model.get_output_embeddings().weight.clone()
    dataset = Dataset.from_dict(dict(zip(names, columns(5, 1, 1), strict=True)))
    SparseEncoderTrainer(model=sparse_model, args=arguments, train_dataset=dataset, loss=loss).train()
    assert set(loss.terms) == {"forward", "direct", "flops"}
    assert not torch.equal(before, sparse_model.transformers_model.get_output_embeddings().weight)
