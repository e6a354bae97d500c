from __future__ import annotations

from math import exp, log, sqrt

import pytest
import torch

from clearir.losses.terms import (
    drift,
    info_nce,
    other_correct_answers,
    paired_js,
    paired_kl,
    same_answer,
    scaled_scores,
)


def dot(a, b):
    return a @ b.T


def test_info_nce_is_minus_log_of_the_positives_share():
    scores = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    expected = -log(exp(1) / (exp(2) + exp(1) + exp(0)))
    assert info_nce(scores, torch.tensor([1])).tolist() == pytest.approx([expected], abs=1e-12)


def test_info_nce_leaves_marked_candidates_out():
    scores = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    correct = torch.tensor([[True, False, False]])
    expected = -log(exp(1) / (exp(1) + exp(0)))
    assert info_nce(scores, torch.tensor([1]), correct).tolist() == pytest.approx([expected], abs=1e-12)


def test_paired_kl_compares_column_with_column():
    reverse = torch.tensor([[0.0, log(3.0)]], dtype=torch.float64)  # 1/4, 3/4
    forward = torch.tensor([[0.0, 0.0]], dtype=torch.float64)  # 1/2, 1/2
    expected = 1 / 4 * log((1 / 4) / (1 / 2)) + 3 / 4 * log((3 / 4) / (1 / 2))
    assert paired_kl(reverse, forward).tolist() == pytest.approx([expected], abs=1e-12)


def test_paired_kl_leaves_a_marked_column_out_of_both_and_has_finite_gradients():
    reverse = torch.tensor([[5.0, 0.0, log(3.0)]], dtype=torch.float64, requires_grad=True)
    forward = torch.tensor([[7.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    kl = paired_kl(reverse, forward, torch.tensor([[True, False, False]]))
    expected = 1 / 4 * log((1 / 4) / (1 / 2)) + 3 / 4 * log((3 / 4) / (1 / 2))
    assert kl.tolist() == pytest.approx([expected], abs=1e-12)
    kl.sum().backward()
    assert reverse.grad[0, 0] == 0
    assert torch.isfinite(reverse.grad).all()
    assert torch.isfinite(forward.grad).all()


def test_scores_are_float32_under_bfloat16_autocast():
    torch.manual_seed(0)
    anchors, candidates = torch.randn(4, 64), torch.randn(5, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = scaled_scores(anchors, candidates, dot, 20.0)
    assert scores.dtype == torch.float32
    assert torch.equal(scores, (anchors @ candidates.T) * 20.0)


def test_float64_stays_float64():
    a = torch.randn(2, 3, dtype=torch.float64)
    assert scaled_scores(a, a, dot, 1.0).dtype == torch.float64


@pytest.mark.parametrize(
    ("anchors", "positives", "hard", "expected"),
    [
        # Two queries share the passage 7: each one's positive is a right answer for the other.
        ([1, 2, 3], [7, 7, 8], [], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]),
        # Two rows share the anchor 1 (a passage with two questions): both questions are right answers.
        ([1, 1, 3], [7, 8, 9], [], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]),
        # Row 2's hard negative is row 0's positive; row 0's own hard negative is its own positive.
        ([1, 2, 3], [7, 8, 9], [7, 5, 7], [[0, 0, 0, 1, 0, 1], [0] * 6, [0] * 6]),
        # The hard negative of another row equals the second question of the shared passage.
        ([1, 1, 3], [7, 8, 9], [4, 5, 8], [[0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 1], [0] * 6]),
        # Nothing is shared.
        ([1, 2, 3], [7, 8, 9], [4, 5, 6], [[0] * 6, [0] * 6, [0] * 6]),
    ],
)
def test_other_correct_answers(anchors, positives, hard, expected):
    correct = other_correct_answers(
        torch.tensor(anchors), torch.tensor(positives), torch.tensor(positives + hard), torch.arange(3)
    )
    assert correct.int().tolist() == expected


def test_other_correct_answers_of_some_rows_are_those_of_all():
    draw = torch.Generator().manual_seed(0)
    anchors, positives = torch.randint(0, 4, (9,), generator=draw), torch.randint(0, 4, (9,), generator=draw)
    candidates = torch.cat([positives, torch.randint(0, 4, (9,), generator=draw)])
    whole = other_correct_answers(anchors, positives, candidates, torch.arange(9))
    assert torch.equal(other_correct_answers(anchors, positives, candidates, torch.arange(3, 6)), whole[3:6])
    assert whole.any()


def test_drift_is_one_minus_the_cosine_in_the_dimensions_that_there_are():
    now = torch.tensor([[1.0, 1.0], [0.0, 2.0], [-1.0, 0.0]], dtype=torch.float64)
    before = torch.tensor([[3.0, 0.0, 9.0], [0.0, 1.0, 9.0], [1.0, 0.0, 9.0]], dtype=torch.float64)
    assert drift(now, before).tolist() == pytest.approx([1 - 1 / sqrt(2), 0, 2], abs=1e-12)


def test_js_is_half_of_both_divergences_from_the_middle():
    one = torch.tensor([[0.3, 0.7], [1.0, 0.0]], dtype=torch.float64).log()
    other = torch.tensor([[0.5, 0.5], [0.0, 1.0]], dtype=torch.float64).log()
    one, other = one.clamp(min=-700), other.clamp(min=-700)
    # the middle of row 1 is (0.4, 0.6); of row 2 nothing is shared
    first = (0.3 * log(0.3 / 0.4) + 0.7 * log(0.7 / 0.6) + 0.5 * log(0.5 / 0.4) + 0.5 * log(0.5 / 0.6)) / 2
    assert paired_js(one, other).tolist() == pytest.approx([first, log(2)], abs=1e-12)
    assert torch.equal(paired_js(one, other), paired_js(other, one))


def test_js_leaves_marked_columns_out_and_their_gradients_are_zero():
    one = torch.tensor([[1.0, 5.0, 2.0]], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([[0.0, -3.0, 2.0]], dtype=torch.float64, requires_grad=True)
    marked = torch.tensor([[False, True, False]])
    value = paired_js(one, other, marked)
    assert value.item() == pytest.approx(paired_js(one[:, [0, 2]], other[:, [0, 2]]).item(), abs=1e-12)
    value.sum().backward()
    for grad in (one.grad, other.grad):
        assert grad[0, 1] == 0
        assert grad.isfinite().all()
        assert grad.abs().max() > 1e-3


def test_same_answer_is_the_anchor_itself_the_same_text_or_the_same_right_answer():
    anchors, positives = torch.tensor([1, 1, 2, 3]), torch.tensor([5, 6, 6, 7])
    assert same_answer(anchors, positives, torch.tensor([1, 3])).tolist() == [
        [True, True, True, False],
        [False, False, False, True],
    ]
