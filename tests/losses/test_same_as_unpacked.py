"""Whatever the model, packing gives what sentence-transformers gives for each column by itself, or is left out."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
from sentence_transformers.sentence_transformer.modules import CNN, Pooling
from tiny_models import DIM, model_of, transformer

from clearir.losses import CachedCLEARLoss, CLEARLoss, ObjectiveLoss

QUERY_COLUMNS = (0, 3, 4)  # query, passage, negative_1, target_query, target_negative_1


@pytest.fixture
def texts(columns):
    return columns(6, 1, 1)


def distinct(texts) -> int:
    return len({text for column in texts for text in column})


def embed(loss, batch) -> list[torch.Tensor]:
    plan = loss._plan(batch).plan
    packs = [
        torch.cat([loss.model(pack.chunk(*one))["sentence_embedding"] for one in loss._ranges(pack)])
        for pack in plan.packs
    ]
    return plan.columns(packs)


def result(model, loss, batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    value = loss(batch, None)
    value.backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert any(grad.abs().max() > 1e-6 for grad in grads.values()), "a comparison of zeros shows nothing"
    return {**grads, "loss": value.detach()}


def assert_close(one, other, model) -> None:
    """Llama and its kin compute norms and positions in float32, whatever their weights are in."""
    digits = 4 if any("RMSNorm" in type(module).__name__ for module in model.modules()) else 9
    assert one.keys() == other.keys()
    for name in one:
        most = max(1.0, other[name].abs().max().item())
        torch.testing.assert_close(
            one[name], other[name], atol=most * 10**-digits, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )


def assert_same_as_unpacked(model, batch, wrap=lambda loss: loss) -> int:
    """Embeddings, loss and gradients; how many texts go through the model."""
    loss = CLEARLoss(model)
    of_columns = [model(dict(features))["sentence_embedding"] for features in batch]
    assert_close(dict(enumerate(embed(loss, batch))), dict(enumerate(of_columns)), model)
    expected = result(model, wrap(CLEARLoss(model, packing=False)), batch)
    assert_close(result(model, wrap(loss), batch), expected, model)
    for budget in (0, None):
        cached = CachedCLEARLoss(model, mini_batch_size=2, memory_budget=budget)
        assert_close(result(model, wrap(cached), batch), expected, model)
    return loss._plan(batch).plan.distinct_texts


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        *(("Bert", pooling) for pooling in ("mean", "cls", "lasttoken")),
        # the first token of a causal model is the same for all texts
        *(("GPT2", pooling) for pooling in ("lasttoken", "weightedmean", "max")),
        *(("Qwen3", pooling) for pooling in ("lasttoken", "weightedmean", "mean")),
        ("Llama", "lasttoken"),
    ],
)
def test_padding_on_either_side(tmp_path, texts, features, kind, side, pooling):
    model = model_of(tmp_path, kind, side, pooling)
    computed = assert_same_as_unpacked(model, features(model, texts))
    if side == "left" and kind in ("Bert", "GPT2"):  # the position of a text is that in its column
        assert computed == 5 * 6
    else:
        assert computed == distinct(texts)


def test_the_untrained_model_sees_a_text_where_it_stands_too(tmp_path, texts, features):
    model = model_of(tmp_path, "GPT2", "left", "lasttoken")
    batch = features(model, texts)
    loss = ObjectiveLoss(model, {"forward": 0.5, "retain": 0.5})
    found = loss._with_untrained(loss._plan(batch), batch).untrained
    for embeddings, column in zip(found.values(), (0, 1), strict=True):
        torch.testing.assert_close(embeddings, model(dict(batch[column]))["sentence_embedding"].detach())


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_convolution_reads_padding(tmp_path, texts, features, side):
    model = model_of(tmp_path, "Bert", side, "mean", CNN(DIM, DIM, [3]))
    assert assert_same_as_unpacked(model, features(model, texts)) == 5 * 6


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["Bert", "Qwen3"])
def test_prompts_that_are_left_out_of_pooling(tmp_path, texts, kind, side):
    model = model_of(tmp_path, kind, side, "mean")
    model.set_pooling_include_prompt(False)
    prompts = ["ask" if number in QUERY_COLUMNS else "read this " for number in range(5)]
    batch = [model.preprocess(column, prompt=prompt) for column, prompt in zip(texts, prompts, strict=True)]
    assert batch[0]["prompt_length"] != batch[1]["prompt_length"]
    assert_same_as_unpacked(model, batch)


def test_equal_tokens_of_different_types_are_different_texts(tmp_path, texts):
    model = model_of(tmp_path, "Bert", "right", "mean")
    batch = [model.preprocess(column[:2]) for column in texts]
    pair, plain = model.preprocess([("amber", "birch")]), model.preprocess(["amber [SEP] birch"])
    assert pair["input_ids"].equal(plain["input_ids"])
    assert not pair["token_type_ids"].equal(plain["token_type_ids"])
    batch[1] = {key: torch.cat([pair[key], plain[key]]) for key in pair if isinstance(pair[key], torch.Tensor)}
    batch[1]["modality"] = batch[0]["modality"]
    assert_same_as_unpacked(model, batch)


@pytest.mark.parametrize("kind", ["Bert", "Qwen3"])
def test_a_router_sends_queries_and_passages_to_their_own_modules(tmp_path, texts, kind):
    routes = [[transformer(tmp_path, kind, "left", seed), Pooling(DIM, "lasttoken")] for seed in (0, 1)]
    model = SentenceTransformer(modules=[Router.for_query_document(*routes)], device="cpu").double()
    batch = [
        model.preprocess(column, task="query" if number in QUERY_COLUMNS else "document")
        for number, column in enumerate(texts)
    ]
    assert_same_as_unpacked(model, batch)


@pytest.mark.parametrize(("kind", "side"), [("Bert", "right"), ("GPT2", "left"), ("Qwen3", "left")])
def test_inside_matryoshka(tmp_path, texts, features, kind, side):
    model = model_of(tmp_path, kind, side, "lasttoken")
    assert_same_as_unpacked(model, features(model, texts), lambda loss: MatryoshkaLoss(model, loss, [16, 8], [1, 0.3]))


def test_a_dimension_set_for_serving_is_not_that_of_training(tmp_path, texts, features):
    model = model_of(tmp_path, "Bert", "right", "mean")
    batch = features(model, texts)
    expected = result(model, CLEARLoss(model), batch)
    model.truncate_dim = 8
    assert_close(result(model, CLEARLoss(model), batch), expected, model)
