from __future__ import annotations

import json
from math import exp, log

import pytest
import torch
from comparisons import gradients
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from torch import nn

from clearir import CachedCLEARLoss, CLEARLoss


def dot(a, b):
    return a @ b.T


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=atol, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


# -- the formula ------------------------------------------------------------------------------------------------


def test_hand_worked_batch_of_two():
    # Dot products at scale 1, vectors of two dimensions.
    q = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    d = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    loss = CLEARLoss(nn.Identity(), alpha=0.4, beta=0.2, scale=1.0, similarity_fct=dot)
    value = loss.compute_loss_from_embeddings([q, d, t])
    # q d^T = [[2, 1], [0, 1]], d t^T = [[2, 0], [1, 3]]
    f0, f1 = exp(2) / (exp(2) + exp(1)), exp(1) / (exp(0) + exp(1))
    r0, r1 = exp(2) / (exp(2) + exp(0)), exp(3) / (exp(1) + exp(3))
    forward = -(log(f0) + log(f1)) / 2
    reverse = -(log(r0) + log(r1)) / 2
    kl0 = r0 * log(r0 / f0) + (1 - r0) * log((1 - r0) / (1 - f0))
    kl1 = (1 - r1) * log((1 - r1) / (1 - f1)) + r1 * log(r1 / f1)
    assert loss.terms["forward"].item() == pytest.approx(forward, abs=1e-12)
    assert loss.terms["reverse"].item() == pytest.approx(reverse, abs=1e-12)
    assert loss.terms["kl"].item() == pytest.approx((kl0 + kl1) / 2, abs=1e-12)
    assert value.item() == pytest.approx(0.4 * forward + 0.4 * reverse + 0.2 * (kl0 + kl1) / 2, abs=1e-12)


def test_without_kl_the_forward_term_gets_the_rest():
    torch.manual_seed(0)
    columns = [torch.randn(3, 4, dtype=torch.float64) for _ in range(3)]
    loss = CLEARLoss(nn.Identity(), alpha=0.3, beta=0.0)
    value = loss.compute_loss_from_embeddings(columns)
    assert set(loss.terms) == {"forward", "reverse"}
    assert value.item() == pytest.approx((0.7 * loss.terms["forward"] + 0.3 * loss.terms["reverse"]).item(), abs=1e-12)


@pytest.mark.parametrize("cached", [False, True])
def test_golden_values_of_the_authors_loss(shared_data, cached):
    cases = json.loads((shared_data / "golden" / "clear_loss.json").read_text())
    assert len(cases) == 5
    for case in cases:
        columns = [torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in case["embeddings"]]
        settings = {key: case[key] for key in ("alpha", "beta", "scale", "num_negatives")}
        if cached:
            loss = CachedCLEARLoss(SentenceTransformer(modules=[nn.Identity()]), **settings)
            value = loss.calculate_loss([list(c.split(2)) for c in columns], with_backward=True)
        else:
            loss = CLEARLoss(nn.Identity(), **settings)
            value = loss.compute_loss_from_embeddings(columns)
            value.backward()
        assert value.item() == pytest.approx(case["loss"], abs=1e-9)
        for term in loss.terms:
            assert loss.terms[term].item() == pytest.approx(case[term], abs=1e-9)
        for column, gradient in zip(columns, case["gradients"], strict=True):
            torch.testing.assert_close(column.grad, torch.tensor(gradient, dtype=torch.float64), atol=1e-9, rtol=0)


def test_unequal_numbers_compare_the_in_batch_columns_only():
    torch.manual_seed(0)
    q, d, n1, t = (torch.randn(3, 4, dtype=torch.float64) for _ in range(4))
    with_one = CLEARLoss(nn.Identity(), num_negatives=1)
    without = CLEARLoss(nn.Identity())
    with_one.compute_loss_from_embeddings([q, d, n1, t])
    without.compute_loss_from_embeddings([q, d, t])
    assert with_one.terms["kl"].item() == pytest.approx(without.terms["kl"].item(), abs=1e-12)
    assert with_one.terms["forward"] > without.terms["forward"]


@pytest.mark.parametrize(("alpha", "beta"), [(-0.1, 0.2), (0.4, -0.1), (0.8, 0.3)])
def test_weights_that_leave_nothing_are_refused(alpha, beta):
    with pytest.raises(ValueError, match="alpha"):
        CLEARLoss(nn.Identity(), alpha=alpha, beta=beta)


def test_all_weight_on_alpha_and_beta_leaves_the_forward_term_none():
    loss = CLEARLoss(nn.Identity(), alpha=0.9, beta=0.1)  # 1 - 0.9 - 0.1 is -2.8e-17
    assert loss.weights == {"forward": 0, "reverse": 0.9, "kl": 0.1}


# -- texts ------------------------------------------------------------------------------------------------------


def test_false_negatives_are_masked(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    texts = columns(4, 1, 1)  # rows 0 and 1 share a passage; row 2's negative is that passage
    masked = CLEARLoss(model)
    unmasked = CLEARLoss(model, mask_false_negatives=False)
    masked(features(model, texts), None)
    unmasked(features(model, texts), None)
    e = [torch.nn.functional.normalize(model.encode(c, convert_to_tensor=True), dim=1) for c in texts]
    forward = 20 * e[0] @ torch.cat([e[1], e[2]]).T
    reverse = 20 * e[1] @ torch.cat([e[3], e[4]]).T
    positives = torch.arange(4)
    plain = {"forward": forward, "reverse": reverse}
    for name, scores in plain.items():
        expected = nn.functional.cross_entropy(scores, positives)
        assert unmasked.terms[name].item() == pytest.approx(expected.item(), abs=1e-9)
    for i, j in [(0, 1), (0, 4 + 2), (1, 0), (1, 4 + 2)]:
        forward[i, j] = -torch.inf
    for i, j in [(0, 1), (1, 0)]:
        reverse[i, j] = -torch.inf
    for name, scores in plain.items():
        expected = nn.functional.cross_entropy(scores, positives)
        assert masked.terms[name].item() == pytest.approx(expected.item(), abs=1e-9)
    assert masked.terms["kl"] != unmasked.terms["kl"]


@pytest.mark.parametrize("loss_class", [CLEARLoss, CachedCLEARLoss])
@pytest.mark.parametrize(("n", "m", "num_negatives"), [(0, 0, None), (2, 2, None), (2, 1, 2)])
def test_packing_changes_neither_loss_nor_gradients(tiny_model, features, columns, loss_class, n, m, num_negatives):
    model = tiny_model(torch.float64)
    batch = features(model, columns(7, n, m))
    packed = gradients(loss_class(model, num_negatives=num_negatives), batch)
    column_wise = gradients(loss_class(model, num_negatives=num_negatives, packing=False), batch)
    assert_same(packed, column_wise, atol=1e-9)


@pytest.mark.parametrize(
    "settings",
    [{"mini_batch_size": 4}, {"mini_batch_num_tokens": 30}, {"mini_batch_size": 99}, {"memory_budget": 0}],
)
@pytest.mark.parametrize("packing", [True, False])
def test_cached_equals_plain_at_a_batch_that_does_not_divide(tiny_model, features, columns, settings, packing):
    model = tiny_model(torch.float64)
    batch = features(model, columns(10, 1, 1))
    plain = gradients(CLEARLoss(model), batch)
    cached = gradients(CachedCLEARLoss(model, packing=packing, **settings), batch)
    assert_same(plain, cached, atol=1e-9)


def test_cached_replays_dropout(tiny_model, features, columns):
    model = tiny_model(torch.float64, dropout=0.3).train()
    batch = features(model, columns(10, 1, 1))
    loss = CachedCLEARLoss(model, mini_batch_size=4, memory_budget=0)
    seen: list[torch.Tensor] = []
    hook = model.register_forward_hook(lambda _, __, out: seen.append(out["sentence_embedding"].detach()))
    torch.manual_seed(1)
    gradients(loss, batch)
    hook.remove()
    half = len(seen) // 2
    assert half > 1
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    # The chunks see the same masks in the plain loss, so the gradients are the same too.
    plain = CLEARLoss(model)
    torch.manual_seed(1)
    cached = gradients(CachedCLEARLoss(model, mini_batch_size=32, memory_budget=0), batch)
    torch.manual_seed(1)
    assert_same(gradients(plain, batch), cached, atol=1e-9)


@pytest.mark.parametrize("loss_class", [CLEARLoss, CachedCLEARLoss])
def test_scores_stay_float32_under_bfloat16_autocast(tiny_model, features, columns, loss_class):
    model = tiny_model()
    batch = features(model, columns(10, 1, 1))
    exact = gradients(CLEARLoss(model), batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_class(model) if loss_class is CLEARLoss else loss_class(model, mini_batch_size=4)
        half = gradients(loss, batch)
    assert half["loss"].dtype == torch.float32
    assert half["loss"].item() == pytest.approx(exact["loss"].item(), rel=0.05)


@pytest.mark.parametrize("budget", [0, None])
def test_cached_equals_plain_under_bfloat16_autocast(tiny_model, features, columns, budget):
    model = tiny_model()
    batch = features(model, columns(10, 1, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = gradients(CLEARLoss(model), batch)
        cached = gradients(CachedCLEARLoss(model, mini_batch_size=4, memory_budget=budget), batch)
    cosine = torch.nn.functional.cosine_similarity
    flat = [torch.cat([g.flatten() for name, g in one.items() if name != "loss"]) for one in (plain, cached)]
    assert plain["loss"].item() == pytest.approx(cached["loss"].item(), rel=1e-2)
    assert cosine(flat[0], flat[1], dim=0) > 0.99


@pytest.mark.parametrize("weights", [[1, 1], [1, 0.3]])
def test_inside_matryoshka(tiny_model, features, columns, weights):
    model = tiny_model(torch.float64)
    batch = features(model, columns(10, 1, 1))
    results = []
    for inner in (CLEARLoss(model), CachedCLEARLoss(model, mini_batch_size=4), CLEARLoss(model, packing=False)):
        results.append(gradients(MatryoshkaLoss(model, inner, [16, 8], weights), batch))
    assert_same(results[0], results[1], atol=1e-9)
    assert_same(results[0], results[2], atol=1e-9)


def test_forward_term_is_sentence_transformers_own(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    texts = columns(6, 1, 1, seed=3)
    texts[1][1], texts[2][2] = "a text of its own", "and one more"
    loss = CLEARLoss(model)
    loss(features(model, texts), None)
    theirs = MultipleNegativesRankingLoss(model)(features(model, texts[:3]), None)
    assert loss.terms["forward"].item() == pytest.approx(theirs.item(), abs=1e-9)


def test_cached_without_gradients_gives_the_loss(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    batch = features(model, columns(5, 1, 1))
    with torch.no_grad():
        value = CachedCLEARLoss(model, mini_batch_size=2)(batch, None)
        plain = CLEARLoss(model)(batch, None)
    assert value.item() == pytest.approx(plain.item(), abs=1e-9)
    assert not value.requires_grad


# -- models of other kinds --------------------------------------------------------------------------------------


def assert_masking_lowers_both_terms(model, batch) -> None:
    masked, unmasked = CLEARLoss(model), CLEARLoss(model, mask_false_negatives=False)
    gradients(masked, batch)
    gradients(unmasked, batch)
    assert masked.terms["forward"] < unmasked.terms["forward"]
    assert masked.terms["reverse"] < unmasked.terms["reverse"]


def static_model(tiny_model) -> SentenceTransformer:
    torch.manual_seed(0)
    tokenizer = tiny_model().tokenizer.backend_tokenizer
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")


def test_static_embeddings_work_with_the_plain_loss(tiny_model, features, columns):
    model = static_model(tiny_model)
    assert_masking_lowers_both_terms(model, features(model, columns(5, 1, 1)))


def test_static_embeddings_are_refused_by_the_cached_loss(tiny_model):
    with pytest.raises(ValueError, match="use CLEARLoss"):
        CachedCLEARLoss(static_model(tiny_model))


def test_prompts_of_a_column_do_not_hide_false_negatives(tiny_model, columns):
    model = tiny_model(torch.float64)
    texts = columns(4, 1, 1)
    prompts = ["q ", "p ", "p ", "q ", "q "]
    batch = [model.preprocess(column, prompt=prompt) for column, prompt in zip(texts, prompts, strict=True)]
    assert_masking_lowers_both_terms(model, batch)


def test_settings_are_told_to_the_model_card(tiny_model):
    config = CachedCLEARLoss(tiny_model(), alpha=0.3, mini_batch_size=8).get_config_dict()
    assert config["alpha"] == 0.3
    assert config["similarity_fct"] == "cos_sim"
    assert config["mini_batch_size"] == 8
    assert "2604.05821" in CLEARLoss(tiny_model()).citation
