"""Objectives as losses of rerankers: lists worked out by hand, gradients, and sentence-transformers' Trainer."""

from __future__ import annotations

import logging
from math import exp, log

import pytest
import torch
from comparisons import gradients
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
)
from sentence_transformers.base.modules import Dense
from torch import nn

from clearir import CachedRerankingLoss, RerankingLoss
from clearir.losses.objectives import TERMS
from clearir.losses.reranking import LISTWISE

# What the echo gives for a query and a passage.
SCORES = {
    ("q1", "d1"): 2.0,
    ("q1", "n1"): 1.0,
    ("t1", "d1"): 0.5,
    ("t1", "n1"): 1.0,
    ("q2", "d2"): 0.0,
    ("q2", "n2"): 0.0,
    ("t2", "d2"): 3.0,
    ("t2", "n2"): 0.0,
    ("u1", "d1"): 1.5,
    ("u2", "d2"): -1.0,
}
ONE_SIDE = [["q1", "q2"], ["d1", "d2"], ["n1", "n2"], ["t1", "t2"]]
BOTH_SIDES = [*ONE_SIDE, ["u1", "u2"]]


class Echo(nn.Sequential):
    """Says of each pair what `SCORES` has for it."""

    def __init__(self) -> None:
        super().__init__(nn.Identity())
        self.scores = nn.Parameter(torch.tensor(list(SCORES.values()), dtype=torch.float64))

    def preprocess(self, pairs, prompt=None, task=None):
        ids = torch.tensor([[list(SCORES).index(pair)] for pair in pairs])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def forward(self, features):
        return {"scores": self.scores[features["input_ids"]]}


def cross_entropy(right: float, *wrong: float) -> float:
    return -log(exp(right) / (exp(right) + sum(map(exp, wrong))))


def divergence(p: list[float], q: list[float]) -> float:
    """KL of two lists of scores."""
    p, q = ([exp(one) / sum(map(exp, scores)) for one in scores] for scores in (p, q))
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize(
    ("term", "columns", "value"),
    [
        ("forward", ONE_SIDE, (cross_entropy(2, 1) + cross_entropy(0, 0)) / 2),
        ("direct", ONE_SIDE, (cross_entropy(0.5, 1) + cross_entropy(3, 0)) / 2),
        ("reverse", BOTH_SIDES, (cross_entropy(0.5, 1.5) + cross_entropy(3, -1)) / 2),
        ("consistency", ONE_SIDE, (divergence([2, 1], [0.5, 1]) + divergence([0, 0], [3, 0])) / 2),
        ("kl", BOTH_SIDES, (divergence([0.5, 1.5], [2, 1]) + divergence([3, -1], [0, 0])) / 2),
    ],
)
@pytest.mark.parametrize("kind", [RerankingLoss, CachedRerankingLoss])
def test_a_term_over_lists(kind, term, columns, value):
    loss = kind(Echo(), {term: 1.0}, num_negatives=1)
    assert loss(columns).item() == pytest.approx(value)
    assert kind(Echo(), {term: 0.5}, num_negatives=1)(columns).item() == pytest.approx(value / 2)


def test_the_scale_multiplies_the_scores():
    loss = RerankingLoss(Echo(), {"forward": 1.0}, scale=3, num_negatives=1)
    assert loss(ONE_SIDE).item() == pytest.approx((cross_entropy(6, 3) + cross_entropy(0, 0)) / 2)


def test_consistency_teaches_the_target_query_and_not_the_english_one():
    loss = RerankingLoss(Echo(), {"consistency": 1.0}, num_negatives=1)
    loss(ONE_SIDE).backward()
    moved = {pair for pair, gradient in zip(SCORES, loss.model.scores.grad, strict=True) if gradient != 0}
    assert moved == {("t1", "d1"), ("t1", "n1"), ("t2", "d2"), ("t2", "n2")}


@pytest.mark.parametrize(("masked", "value"), [(True, cross_entropy(2)), (False, cross_entropy(2, 1))])
def test_a_negative_that_answers_the_same_query_elsewhere_is_no_wrong_answer(masked, value):
    # n1 is a wrong answer of the first row, and the right one of the second, which asks the same
    columns = [["q1", "q1"], ["d1", "n1"], ["n1", "d1"], ["t1", "t1"]]
    loss = RerankingLoss(Echo(), {"forward": 1.0}, num_negatives=1, mask_false_negatives=masked)
    other = cross_entropy(1) if masked else cross_entropy(1, 2)
    assert loss(columns).item() == pytest.approx((value + other) / 2)


@pytest.fixture
def reranker(still_model_path):
    """A function that makes the tiny BERT a reranker in float64, the same each time."""

    def load() -> CrossEncoder:
        torch.manual_seed(3)
        model = CrossEncoder(str(still_model_path), num_labels=1, device="cpu").double()
        nn.init.normal_(model.model.bert.pooler.dense.weight, std=0.5)
        nn.init.normal_(model.model.classifier.weight, std=0.5)
        return model

    return load


@pytest.mark.parametrize("objective", ["hybrid", "clear", "jsd", {"forward": 0.4, "direct": 0.4, "consistency": 0.2}])
@pytest.mark.parametrize(
    "way", [{}, {"memory_budget": 0}, {"mini_batch_size": 2, "memory_budget": 0}, {"packing": False}]
)
def test_cached_gradients_are_the_plain_ones(reranker, columns, objective, way):
    texts = columns(5, 2, 2)
    plain = gradients(RerankingLoss(reranker(), objective, num_negatives=2, packing=False), texts)
    cached = gradients(CachedRerankingLoss(reranker(), objective, num_negatives=2, **way), texts)
    assert cached.keys() == plain.keys()
    for name, one in plain.items():
        torch.testing.assert_close(cached[name], one, rtol=1e-6, atol=1e-9, msg=name)


@pytest.fixture
def pooling_reranker(still_model_path):
    """A function that makes a reranker whose score comes from the mean of its tokens."""

    def load() -> CrossEncoder:
        torch.manual_seed(3)
        transformer, pooling = list(SentenceTransformer(str(still_model_path), device="cpu"))[:2]
        head = Dense(pooling.get_embedding_dimension(), 1, activation_function=None, module_output_name="scores")
        return CrossEncoder(modules=[transformer, pooling, head], device="cpu").double()

    return load


@pytest.mark.parametrize("kind", ["reranker", "pooling_reranker"])
def test_the_scores_are_those_that_the_reranker_gives_when_it_is_used(request, kind, columns):
    texts = columns(4, 2, 0, seed=1)
    texts[1] = ["amber", "birch", "cobalt", "delta"]  # no passage answers two rows
    model = request.getfixturevalue(kind)()
    lists = [[(q, d) for d in own] for q, *own in zip(texts[0], *texts[1:4], strict=True)]
    scores = torch.tensor([model.predict(own, activation_fn=nn.Identity()).tolist() for own in lists])
    expected = nn.functional.cross_entropy(scores, torch.zeros(4, dtype=torch.long))
    loss = RerankingLoss(model, "infonce-bridge", num_negatives=2)
    assert loss(texts).item() == pytest.approx(expected.item(), rel=1e-5)


def test_each_distinct_pair_is_scored_once(reranker, columns, monkeypatch):
    seen = []
    texts = [[column[0]] * 3 for column in columns(1, 1, 0)]
    model = reranker()
    monkeypatch.setattr(
        model.model, "forward", lambda f=model.model.forward, **k: seen.append(k["input_ids"]) or f(**k)
    )
    RerankingLoss(model, "hybrid", num_negatives=1)(texts)
    assert sum(map(len, seen)) == 4  # two queries, two passages


def test_a_trainer_of_sentence_transformers_takes_it(reranker, columns, tmp_path):
    names = ["query", "passage", "negative_1", "target_query"]
    dataset = Dataset.from_dict(dict(zip(names, columns(8, 1, 0), strict=True)))
    model = reranker().float()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    trainer = CrossEncoderTrainer(
        model=model,
        args=CrossEncoderTrainingArguments(
            str(tmp_path), max_steps=2, per_device_train_batch_size=4, report_to="none", use_cpu=True
        ),
        train_dataset=dataset,
        loss=CachedRerankingLoss(model, num_negatives=1, mini_batch_size=2),
    )
    logging.getLogger("transformers").setLevel(logging.ERROR)
    trainer.train()
    assert any(not torch.equal(before[name], weight) for name, weight in model.named_parameters())


@pytest.mark.parametrize("term", sorted(TERMS.keys() - set(LISTWISE)))
def test_terms_that_compare_vectors_are_refused(term):
    with pytest.raises(ValueError, match=f"{term}: a reranker has no vectors to compare"):
        RerankingLoss(Echo(), {term: 1.0, "forward": 1.0})


@pytest.mark.parametrize(
    ("objective", "columns", "words"),
    [
        ("hybrid", [["q1"], ["d1"], ["t1"]], "query -> passage, target_query -> passage: a row has no wrong answers"),
        ("clear", ONE_SIDE, "passage -> target_query: a row has no wrong answers"),
        ("clear", [*ONE_SIDE, ["u1", "u2"], ["u1", "u2"]], "there are 1 and 2 hard negatives; give as many of both"),
    ],
)
def test_rows_that_a_term_cannot_use_are_refused(objective, columns, words):
    with pytest.raises(ValueError, match=words):
        RerankingLoss(Echo(), objective, num_negatives=min(1, len(columns) - 3))(columns)
