from __future__ import annotations

import logging
from math import exp, log, log1p

import pytest
import torch

import clearir
from clearir.losses.scale import AS_GOOD, DEFAULT, FEW, SHOWN, best_scale, fit_scale, fit_scores, sample_pairs


def named(count: int) -> list[tuple[str, str]]:
    return [(f"q{i}", f"p{i}") for i in range(count)]


def clusters(count: int, wrong: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two directions, half of the passages in each; so many queries point to the one in which theirs is not."""
    axes = torch.eye(2)
    passages = axes[torch.arange(count) % 2]
    queries = passages.clone()
    queries[:wrong] = queries[:wrong].flip(1)
    return queries, passages


def test_the_least_cross_entropy_by_hand():
    # A query has 32 passages at cosine 1, 32 at 0. At scale s its own is one of the first 32:
    # ln(32 e^s + 32) - s = ln 32 + ln(1 + e^-s), or, where the query points the wrong way, ln 32 + ln(1 + e^s).
    # With 2 of 64 that do, the mean is least where e^s / (1 + e^s) = 62/64.
    fit = fit_scale(*clusters(64, wrong=2), named(64))
    best = log(62 / 2)
    assert fit.likeliest == pytest.approx(best, rel=0.005)

    def mean(scale: float) -> float:
        return log(32) + 62 / 64 * log1p(exp(-scale)) + 2 / 64 * log1p(exp(scale))

    assert [scale for scale, _ in fit.curve] == sorted([*SHOWN, fit.scale])
    for scale, value in fit.curve:
        assert value == pytest.approx(mean(scale), abs=1e-4)
    assert fit.scale < fit.likeliest
    assert mean(fit.scale) - mean(best) == pytest.approx(AS_GOOD, abs=0.001)  # three digits of the scale
    assert (fit.pairs, fit.warning) == (64, "")


def test_right_answers_besides_a_rows_own_do_not_count():
    # All passages of a direction are one text: beside its own a query has the 32 of the other direction alone, so that
    # the two that point there have ln(1 + 32 e^s), the others ln(1 + 32 e^-s).
    vectors = clusters(64, wrong=2)
    fit = fit_scale(*vectors, [(query, "odd" if i % 2 else "even") for i, (query, _) in enumerate(named(64))])
    for scale, value in fit.curve:
        expected = 62 / 64 * log1p(32 * exp(-scale)) + 2 / 64 * log1p(32 * exp(scale))
        assert value == pytest.approx(expected, abs=1e-4)
    # One query for all: every passage is right, and nothing is left to be told apart.
    assert fit_scale(*vectors, [("q", passage) for _, passage in named(64)]).curve[-1] == (SHOWN[-1], 0)


def test_vectors_need_not_have_unit_length():
    queries, passages = clusters(64, wrong=3)
    assert fit_scale(5 * queries, 0.1 * passages, named(64)) == fit_scale(queries, passages, named(64))


def test_larger_scores_take_a_smaller_scale():
    # cosines times 50: the same distribution at a fiftieth of the scale
    queries, passages = clusters(64, wrong=2)
    fit, larger = fit_scale(queries, passages, named(64)), fit_scores(50 * queries @ passages.T, named(64))
    assert larger.scale == pytest.approx(fit.scale / 50, rel=0.01)
    assert larger.likeliest == pytest.approx(fit.likeliest / 50, rel=0.01)
    assert len(larger.curve) == len(fit.curve)
    for (scale, nats), (expected, same) in zip(larger.curve, fit.curve, strict=True):
        assert (scale, nats) == (pytest.approx(expected / 50, rel=0.01), pytest.approx(same, abs=0.01))
    nothing = fit_scores(50 * torch.eye(50).roll(1, 0), named(50))
    assert nothing.scale == DEFAULT / 50
    assert nothing.warning.endswith("among each other; 0.4 is taken")


def test_where_every_passage_is_found_the_smallest_scale_counts_and_there_is_doubt():
    # 40 orthogonal pairs: ln(1 + 39 e^-s) falls for ever, and is 0.01 at e^s = 39 / (e^0.01 - 1).
    fit = fit_scale(torch.eye(40), torch.eye(40), named(40))
    assert fit.scale == pytest.approx(log(39 / (exp(AS_GOOD) - 1)), rel=0.005)
    assert "rough guess: each of 40 queries finds its passage first" in fit.warning


@pytest.mark.parametrize(
    ("queries", "passages", "words"),
    [
        (torch.eye(2), torch.eye(2), r"to find a scale (2, the fewest are 32)"),
        (torch.ones(1, 2), torch.ones(1, 2), "to find a scale (1, the fewest are 32)"),
        (torch.eye(FEW - 1), torch.eye(FEW - 1), "too few"),
        (torch.ones(50, 4), torch.ones(50, 4), "no scale fits: the model does not find the passages of 50 queries"),
        (torch.eye(50), torch.eye(50).roll(1, 0), "no scale fits"),
    ],
)
def test_where_there_is_nothing_to_find_it_is_the_papers(queries, passages, words):
    fit = fit_scale(queries, passages, named(len(queries)))
    assert fit.scale == DEFAULT == 20
    assert words in fit.warning


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no pairs"):
        fit_scale(torch.zeros(0, 2), torch.zeros(0, 2), [])
    with pytest.raises(ValueError, match="not all finite"):
        fit_scale(torch.tensor([[torch.nan, 1.0]]), torch.ones(1, 2), named(1))
    with pytest.raises(ValueError, match="shorter"):
        best_scale(Vectors({}, {}), ["one"], [])


def test_a_sample_is_of_different_pairs_and_always_the_same():
    pairs = named(50) * 3
    assert sample_pairs(pairs, 60) == named(50)
    drawn = sample_pairs(pairs, 20, seed=1)
    assert len(set(drawn)) == 20
    assert drawn == sample_pairs(pairs, 20, seed=1) != sample_pairs(pairs, 20, seed=2)


class Vectors:
    """A model whose vectors are written down: of queries and of documents."""

    def __init__(self, queries: dict[str, torch.Tensor], documents: dict[str, torch.Tensor]) -> None:
        self.queries, self.documents = queries, documents
        self.training = True

    def train(self, mode: bool) -> None:
        self.training = mode

    def encode_query(self, texts: list[str], convert_to_tensor: bool) -> torch.Tensor:
        self.training = False
        return torch.stack([self.queries[text] for text in texts])

    def encode_document(self, texts: list[str], convert_to_tensor: bool) -> torch.Tensor:
        return torch.stack([self.documents[text] for text in texts])


def test_a_model_encodes_queries_as_queries_and_passages_as_documents(caplog):
    vectors, pairs = clusters(64, wrong=2), named(64)
    queries, passages = zip(*pairs, strict=True)
    known = (dict(zip(side, found, strict=True)) for side, found in zip((queries, passages), vectors, strict=True))
    model = Vectors(*known)
    assert clearir.best_scale(model, queries, passages) == fit_scale(*vectors, pairs).scale
    assert model.training, "as it was"
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert best_scale(model, queries[:3], passages[:3]) == DEFAULT
    assert "too few" in caplog.text
