from __future__ import annotations

import re
from math import exp, log, sqrt

import pytest
import torch
from comparisons import gradients
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from torch import nn

from clearir.losses import CachedCLEARLoss, CachedObjectiveLoss, CLEARLoss, ObjectiveLoss
from clearir.losses.columns import Columns
from clearir.losses.objectives import OBJECTIVES, TERMS, used_columns, weights_of
from clearir.losses.packing import text_ids
from clearir.losses.untrained import KnownVectors

# Two rows, two dimensions, dot products at scale 1:
#   q d^T = [[2, 1], [0, 1]]   d t^T = [[2, 0], [1, 3]]   t d^T = [[2, 1], [0, 3]]   q t^T = t q^T = [[1, 0], [0, 3]]
# and queries of one language have 0 with each other.
Q = [[1.0, 0.0], [0.0, 1.0]]
D = [[2.0, 0.0], [1.0, 1.0]]
T = [[1.0, 0.0], [0.0, 3.0]]


def share(own: float, *others: float) -> float:
    """Probability of the own candidate."""
    return exp(own) / (exp(own) + sum(map(exp, others)))


def kl(p: float, q: float) -> float:
    return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))


FORWARD = (share(2, 1), share(1, 0))
REVERSE = (share(2, 0), share(3, 1))
DIRECT = (share(2, 1), share(3, 0))
ALIGN = (share(1, 0, 0), share(3, 0, 0))  # the same in both directions


LABSE = (share(1 - 0.3, 0), share(3 - 0.3, 0))  # likewise


def js(p: float, q: float) -> float:
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def nce(shares: tuple[float, float]) -> float:
    return -(log(shares[0]) + log(shares[1])) / 2


EXPECTED = {
    "forward": nce(FORWARD),
    "reverse": nce(REVERSE),
    "direct": nce(DIRECT),
    "align": nce(ALIGN),
    "kl": (kl(REVERSE[0], FORWARD[0]) + kl(REVERSE[1], FORWARD[1])) / 2,
    "consistency": (kl(FORWARD[0], DIRECT[0]) + kl(FORWARD[1], DIRECT[1])) / 2,
    "jsd": (js(FORWARD[0], DIRECT[0]) + js(FORWARD[1], DIRECT[1])) / 2,
    "labse": nce(LABSE),
    # means of the two texts: (1/2, 1/2), (3/2, 1/2), (1/2, 3/2)
    "flops": (2 * (1 / 2) ** 2 + 2 * ((3 / 2) ** 2 + (1 / 2) ** 2)) / 3,
}


def dot(a, b):
    return a @ b.T


def vectors(grad: bool = False) -> list[torch.Tensor]:
    return [torch.tensor(one, dtype=torch.float64, requires_grad=grad) for one in (Q, D, T)]


def assert_same(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-9, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("term", [name for name, term in TERMS.items() if not term.untrained])
def test_each_term_by_hand(term):
    loss = ObjectiveLoss(nn.Identity(), {term: 1.0}, scale=1.0, similarity_fct=dot)
    assert loss.compute_loss_from_embeddings(vectors()).item() == pytest.approx(EXPECTED[term], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clear", 0.4 * EXPECTED["forward"] + 0.4 * EXPECTED["reverse"] + 0.2 * EXPECTED["kl"]),
        ("clear-no-kl", 0.6 * EXPECTED["forward"] + 0.4 * EXPECTED["reverse"]),
        ("infonce", EXPECTED["direct"]),
        ("infonce-bridge", EXPECTED["forward"]),
        ("hybrid", 0.5 * EXPECTED["forward"] + 0.5 * EXPECTED["direct"]),
        ("symmetric", 0.5 * EXPECTED["direct"] + 0.5 * EXPECTED["reverse"]),
        ("jsd", EXPECTED["direct"] + EXPECTED["jsd"]),
        ("labse", EXPECTED["labse"]),
    ],
)
def test_each_objective_by_hand(name, value):
    loss = ObjectiveLoss(nn.Identity(), name, scale=1.0, similarity_fct=dot)
    assert loss.compute_loss_from_embeddings(vectors()).item() == pytest.approx(value, abs=1e-12)
    assert loss.terms.keys() == OBJECTIVES[name].keys()


def test_these_are_all_objectives():
    ours = {"clear", "clear-no-kl", "infonce", "infonce-bridge", "hybrid", "symmetric", "clear-plus", "hybrid-plus"}
    ours |= {"hybrid-sparse"}
    assert set(OBJECTIVES) == ours | {"distil", "mimo", "jsd", "labse"}
    for name in ours:  # `retain` and `flops` hold the model back and do not say where to go
        weights = OBJECTIVES[name]
        assert sum(weight for term, weight in weights.items() if term not in ("retain", "flops")) == pytest.approx(1.0)


def test_a_weighted_sum_of_any_terms():
    weights = {"forward": 0.3, "direct": 0.5, "align": 2.0, "reverse": 0.0}
    loss = ObjectiveLoss(nn.Identity(), weights, scale=1.0, similarity_fct=dot)
    expected = 0.3 * EXPECTED["forward"] + 0.5 * EXPECTED["direct"] + 2 * EXPECTED["align"]
    assert loss.compute_loss_from_embeddings(vectors()).item() == pytest.approx(expected, abs=1e-12)
    assert loss.terms["reverse"].item() == pytest.approx(EXPECTED["reverse"], abs=1e-12)


def test_consistency_moves_the_target_query_and_not_the_bridge_query():
    q, d, t = vectors(grad=True)
    loss = ObjectiveLoss(nn.Identity(), {"consistency": 1.0}, scale=1.0, similarity_fct=dot)
    loss.compute_loss_from_embeddings([q, d, t]).backward()
    assert q.grad is None
    assert t.grad.abs().max() > 1e-6


@pytest.mark.parametrize("cached", [False, True])
def test_the_objective_clear_is_the_clear_loss(tiny_model, features, columns, cached):
    model = tiny_model(torch.float64)
    batch = features(model, columns(7, 1, 1))
    clear, objective = (CachedCLEARLoss, CachedObjectiveLoss) if cached else (CLEARLoss, ObjectiveLoss)
    assert issubclass(clear, objective)
    assert_same(gradients(clear(model), batch), gradients(objective(model, "clear"), batch))


# -- rivals are what sentence-transformers computes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "anchor", "settings"),
    [
        ("infonce", 3, {}),
        ("infonce-bridge", 0, {}),
        ("symmetric", 3, {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}),
    ],
)
def test_rivals_are_sentence_transformers_own(tiny_model, features, columns, name, anchor, settings):
    model = tiny_model(torch.float64)
    texts = columns(6, 1, 0, seed=3)
    texts[1][1], texts[2][2] = "a text of its own", "and one more"
    batch = features(model, texts)
    ours = gradients(ObjectiveLoss(model, name, num_negatives=1), batch)
    theirs = gradients(
        MultipleNegativesRankingLoss(model, **settings), features(model, [texts[anchor], texts[1], texts[2]])
    )
    assert_same(theirs, ours)


# -- what all objectives share ----------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [*OBJECTIVES, {"consistency": 1.0}, {"align": 0.7, "forward": 0.3}], ids=str)
def test_cached_equals_plain(tiny_model, features, columns, objective):
    model = tiny_model(torch.float64)
    batch = features(model, columns(5, 1, 1))
    plain = gradients(ObjectiveLoss(model, objective), batch)
    for settings in ({"memory_budget": 0}, {"memory_budget": 300_000}):
        cached = CachedObjectiveLoss(model, objective, mini_batch_size=3, **settings)
        assert_same(plain, gradients(cached, batch))


def test_inside_matryoshka_with_columns_left_out(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    batch, objective = features(model, columns(5, 1, 1)), "infonce"
    inside = [
        gradients(MatryoshkaLoss(model, loss, [16, 8]), batch)
        for loss in (
            ObjectiveLoss(model, objective),
            CachedObjectiveLoss(model, objective, mini_batch_size=2, memory_budget=0),
        )
    ]
    assert_same(*inside)


@pytest.mark.parametrize(
    ("objective", "used"),
    [
        ("clear", [0, 1, 2, 3, 4, 5, 6]),
        ("infonce", [1, 2, 3, 4]),
        ("infonce-bridge", [0, 1, 2, 3]),
        ("hybrid", [0, 1, 2, 3, 4]),
        ("symmetric", [1, 2, 3, 4, 5, 6]),
        ({"align": 1.0}, [0, 4, 5, 6]),
        ({"direct": 1.0, "retain": 1.0}, [0, 1, 2, 3, 4]),
        ("distil", [0, 4]),
        ("mimo", [0, 1, 2, 3, 4]),
        ("jsd", [0, 1, 2, 3, 4]),
        ("labse", [0, 4, 5, 6]),
    ],
    ids=str,
)
def test_columns_that_count_for_nothing_are_not_embedded(tiny_model, features, columns, objective, used):
    names = Columns(0, 1, (2, 3), 4, (5, 6))
    assert used_columns(weights_of(objective), names) == used
    model = tiny_model(torch.float64)
    texts = [
        [f"{text} {row} {place}" for row, text in enumerate(column)] for place, column in enumerate(columns(4, 2, 2))
    ]
    for packing in (True, False):
        embedded = []
        loss = ObjectiveLoss(model, objective, packing=packing)
        hook = model.register_forward_pre_hook(lambda _, args: embedded.append(len(args[0]["input_ids"])))  # noqa: B023
        loss(features(model, texts), None)
        hook.remove()
        assert sum(embedded) == 4 * len(used)


@pytest.mark.parametrize("term", ["direct", "consistency", "jsd"])
def test_false_negatives_are_masked_in_the_other_terms_too(tiny_model, features, columns, term):
    model = tiny_model(torch.float64)
    texts = columns(4, 1, 1)  # rows 0 and 1 share a passage; row 2's negative is that passage
    loss = ObjectiveLoss(model, {term: 1.0})
    loss(features(model, texts), None)
    q, d, n, t, _ = (nn.functional.normalize(model.encode(c, convert_to_tensor=True), dim=1) for c in texts)
    forward, direct = (20 * anchor @ torch.cat([d, n]).T for anchor in (q, t))
    for i, j in [(0, 1), (0, 4 + 2), (1, 0), (1, 4 + 2)]:
        forward[i, j] = direct[i, j] = -1e9
    expected = {
        "direct": nn.functional.cross_entropy(direct, torch.arange(4)),
        "consistency": nn.functional.kl_div(
            direct.log_softmax(1), forward.log_softmax(1), reduction="batchmean", log_target=True
        ),
    }
    shares = [scores.softmax(1) for scores in (forward, direct)]
    middle = sum(shares) / 2
    # 0 log 0 is 0: a masked column adds nothing
    expected["jsd"] = sum(torch.xlogy(one, one).sum() - torch.xlogy(one, middle).sum() for one in shares) / 2 / 4
    assert loss.terms[term].item() == pytest.approx(expected[term].item(), abs=1e-9)


def test_translations_of_the_same_query_are_no_negatives_of_each_other():
    ids = torch.tensor([[7, 7, 8], [1, 2, 3], [4, 5, 6]])  # rows 0 and 1 ask the same in two languages
    loss = ObjectiveLoss(nn.Identity(), {"align": 1.0}, scale=1.0, similarity_fct=dot)
    q = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    value = loss._loss([q, q, t], list(ids))
    # q t^T = [[1, 2, 0], [1, 2, 0], [0, 0, 3]], t q^T = [[1, 1, 0], [2, 2, 0], [0, 0, 3]]; 0 and 1 never meet
    # q q^T = [[1, 1, 0], [1, 1, 0], [0, 0, 1]], t t^T = [[1, 2, 0], [2, 4, 0], [0, 0, 9]]; nor here
    one_way = -(log(share(1, 0, 0)) + log(share(2, 0, 0)) + log(share(3, 0, 0, 0, 0))) / 3
    assert value.item() == pytest.approx(one_way, abs=1e-12)  # the same both ways


@pytest.mark.parametrize("ids", [None, torch.tensor([[1, 2], [3, 4], [5, 6]])], ids=["no texts", "texts"])
def test_aligned_queries_keep_apart_from_others_of_their_language(ids):
    loss = ObjectiveLoss(nn.Identity(), {"align": 1.0}, scale=1.0, similarity_fct=dot)
    q = torch.tensor([[1.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    t = torch.tensor([[3.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    # q t^T = [[3, 2], [0, 2]], q q^T = [[2, 2], [2, 4]], t q^T = [[3, 0], [2, 2]], t t^T = [[9, 3], [3, 2]]
    to_target = -(log(share(3, 2, 2)) + log(share(2, 0, 2))) / 2
    to_bridge = -(log(share(3, 0, 3)) + log(share(2, 2, 3))) / 2
    value = loss._loss([q, q, t], None if ids is None else list(ids))
    assert value.item() == pytest.approx((to_target + to_bridge) / 2, abs=1e-12)


# -- what the untrained model made of the texts -----------------------------------------------------------------


def nudge(model: nn.Module) -> None:
    """As if it had been trained."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)


def test_retain_by_hand():
    loss = ObjectiveLoss(nn.Identity(), {"retain": 1.0})
    before = {"query": torch.tensor([[3.0, 0.0], [2.0, 2.0]]), "passage": torch.tensor([[0.0, 4.0], [1.0, 1.0]])}
    value = loss._loss(vectors(), None, before)
    # 1 - cos: the queries 0 and 45 degrees from where they were, the passages 90 and 0
    expected = ((1 - 1) + (1 - 1 / sqrt(2)) + (1 - 0) + (1 - 1)) / 4
    assert value.item() == pytest.approx(expected, abs=1e-7)


def test_distil_by_hand():
    loss = ObjectiveLoss(nn.Identity(), {"distil": 1.0})
    before = {"query": torch.tensor([[3.0, 0.0], [2.0, 2.0]])}
    # 1 - cos: the queries 0 and 45 degrees from what they were, and so are the target queries
    expected = ((1 - 1) + (1 - 1 / sqrt(2)) + (1 - 1) + (1 - 1 / sqrt(2))) / 4
    assert loss._loss(vectors(), None, before).item() == pytest.approx(expected, abs=1e-7)


def test_distil_draws_both_queries_to_what_the_query_was_and_leaves_the_passage():
    q, d, t = vectors(grad=True)
    before = {"query": torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)}
    ObjectiveLoss(nn.Identity(), {"distil": 1.0})._loss([q, d, t], None, before).backward()
    assert d.grad is None
    assert (q - q.grad)[0, 1] > 0  # from (1, 0) towards (1, 1)
    assert (t - t.grad)[0, 1] > 0


def test_known_vectors_are_those_of_the_copy(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    texts = columns(5, 1, 1)
    batch = features(model, texts)
    copy = CachedObjectiveLoss(model, "clear-plus", mini_batch_size=2)
    distinct = list(dict.fromkeys(texts[0] + texts[1]))
    known = KnownVectors(text_ids(features(model, [distinct])[0]), model.encode(distinct, convert_to_tensor=True))
    nudge(model)
    assert_same(
        gradients(copy, batch),
        gradients(CachedObjectiveLoss(model, "clear-plus", mini_batch_size=2, untrained=known), batch),
    )


def test_known_vectors_of_other_texts_are_no_answer(tiny_model, features, columns):
    model = tiny_model()
    known = KnownVectors(torch.tensor([1, 2]), torch.zeros(2, 16))
    with pytest.raises(KeyError):
        ObjectiveLoss(model, "distil", untrained=known)(features(model, columns(3, 0, 0)), None)


@pytest.mark.parametrize("cached", [False, True])
def test_retain_measures_from_the_model_that_the_loss_was_made_with(tiny_model, features, columns, cached):
    model = tiny_model(torch.float64, dropout=0.1).train()
    texts = columns(5, 1, 1)
    batch = features(model, texts)
    loss = (CachedObjectiveLoss if cached else ObjectiveLoss)(model, {"retain": 1.0})
    before = [model.eval().encode(column, convert_to_tensor=True) for column in texts[:2]]
    assert loss(batch, None).item() == pytest.approx(0, abs=1e-12)
    nudge(model)
    after = [model.encode(column, convert_to_tensor=True) for column in texts[:2]]
    cosines = [nn.functional.cosine_similarity(*pair) for pair in zip(before, after, strict=True)]
    expected = 1 - sum(one.mean().item() for one in cosines) / 2
    assert expected > 1e-3
    assert loss(batch, None).item() == pytest.approx(expected, abs=1e-9)


def test_the_untrained_model_is_nothing_that_is_trained_or_saved(tiny_model):
    model = tiny_model()
    loss = CachedObjectiveLoss(model, "clear-plus")
    assert [p.data_ptr() for p in loss.parameters()] == [p.data_ptr() for p in model.parameters()]
    assert {name.partition(".")[0] for name in loss.state_dict()} == {"model"}
    assert CachedObjectiveLoss(model, "hybrid")._untrained is None


@pytest.mark.parametrize("objective", ["clear-plus", {"retain": 1.0}], ids=str)
def test_retain_cached_equals_plain_and_packed_equals_columns(tiny_model, features, columns, objective):
    model = tiny_model(torch.float64)
    batch = features(model, columns(5, 1, 1))
    losses = [
        ObjectiveLoss(model, objective),
        ObjectiveLoss(model, objective, packing=False),
        CachedObjectiveLoss(model, objective, mini_batch_size=2, memory_budget=0),
        CachedObjectiveLoss(model, objective, mini_batch_num_tokens=9, memory_budget=300_000),
    ]
    nudge(model)
    plain, *others = [gradients(loss, batch) for loss in losses]
    for other in others:
        assert_same(plain, other)


def test_retain_inside_matryoshka_compares_as_many_dimensions(tiny_model, features, columns):
    model = tiny_model(torch.float64)
    batch = features(model, columns(5, 0, 0))
    losses = [
        MatryoshkaLoss(model, loss, [16, 8])
        for loss in (
            ObjectiveLoss(model, "clear-plus"),
            CachedObjectiveLoss(model, "clear-plus", mini_batch_size=2, memory_budget=0),
        )
    ]
    nudge(model)
    assert_same(*[gradients(loss, batch) for loss in losses])


def test_retain_of_a_model_that_no_process_has_whole_is_refused():
    class FSDPModule(nn.Module):
        """Told by its name, as torch's own is."""

    assert ObjectiveLoss(FSDPModule(), "hybrid").weights
    with pytest.raises(ValueError, match="make the loss before FSDP wraps the model"):
        ObjectiveLoss(FSDPModule(), "clear-plus")


def test_retain_of_embeddings_alone_is_refused():
    loss = ObjectiveLoss(nn.Identity(), "clear-plus", scale=1.0, similarity_fct=dot)
    with pytest.raises(ValueError, match="retain and distil compare with the untrained model, which needs texts"):
        loss.compute_loss_from_embeddings(vectors())


# -- what cannot be meant ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("infonec", "unknown objective 'infonec'; did you mean 'infonce'"),
        ("wxyz", "there are clear, clear-no-kl"),
        ({"foward": 1.0}, "unknown term 'foward'; did you mean 'forward'"),
        ({"forward": -1.0}, "the weight of forward is -1"),
        ({"forward": float("nan")}, "the weight of forward is nan"),
        ({"forward": 0.0}, "no term has a weight"),
        ({}, "no term has a weight"),
    ],
)
def test_unknown_names_and_weights_that_are_none_are_refused(objective, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        ObjectiveLoss(nn.Identity(), objective)


def test_weights_are_told_to_the_model_card(tiny_model):
    config = CachedObjectiveLoss(tiny_model(), "hybrid", mini_batch_size=8).get_config_dict()
    assert config["weights"] == {"forward": 0.5, "direct": 0.5}
    assert config["mini_batch_size"] == 8
