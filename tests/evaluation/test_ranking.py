from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.evaluation.ranking import rank


def by_hand(scores: np.ndarray, relevant: list[list[int]], depth: int) -> tuple[list[list[int]], list[list[int]]]:
    orders = [sorted(range(len(row)), key=lambda column: (-row[column], column)) for row in scores.tolist()]
    ranks = [[order.index(column) + 1 for column in gold] for order, gold in zip(orders, relevant, strict=True)]
    return [order[:depth] for order in orders], ranks


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_a_stable_sort_however_many_scores_are_equal(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 30))
    small = st.integers(-2, 2)  # few values, so that many scores are equal
    queries = np.array(data.draw(st.lists(st.lists(small, min_size=2, max_size=2), min_size=n, max_size=n)), np.float32)
    passages = np.array(
        data.draw(st.lists(st.lists(small, min_size=2, max_size=2), min_size=m, max_size=m)), np.float32
    )
    relevant = data.draw(st.lists(st.lists(st.integers(0, m - 1), max_size=3), min_size=n, max_size=n))
    depth = data.draw(st.integers(1, 35))
    block = data.draw(st.sampled_from([1, m, 2 * m, 10_000]))
    top, _, ranks = rank(queries, passages, relevant, depth, block=block)
    expected_top, expected_ranks = by_hand(queries @ passages.T, relevant, depth)
    assert top.tolist() == expected_top
    assert ranks == expected_ranks


def test_ranks_reach_beyond_the_depth() -> None:
    passages = np.eye(50, dtype=np.float32) * np.arange(50, 0, -1, dtype=np.float32)[:, None]
    query = np.ones((1, 50), dtype=np.float32)
    top, _, ranks = rank(query, passages, [[0, 49, 20]], 3)
    assert top.tolist() == [[0, 1, 2]]
    assert ranks == [[1, 50, 21]]


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_change_nothing(block: int) -> None:
    generator = np.random.default_rng(0)
    queries = generator.integers(-3, 4, (20, 4)).astype(np.float32)
    passages = generator.integers(-3, 4, (30, 4)).astype(np.float32)
    relevant = [[n, (n * 7) % 30] for n in range(20)]
    whole = rank(queries, passages, relevant, 10)
    parts = rank(queries, passages, relevant, 10, block=block)
    assert parts[0].tolist() == whole[0].tolist()
    assert parts[1].tolist() == whole[1].tolist()
    assert parts[2] == whole[2]


@pytest.mark.parametrize("block", [1, 1000])
def test_what_is_left_out_is_ranked_last_for_its_query_alone(block: int) -> None:
    passages = np.eye(3, dtype=np.float32)
    queries = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], dtype=np.float32)
    top, scores, ranks = rank(queries, passages, [[2], [2], [1]], 3, left_out=[[0], [], [2, 0]], block=block)
    assert top.tolist() == [[1, 2, 0], [0, 1, 2], [1, 0, 2]]
    assert scores.tolist() == [[2, 1, -np.inf], [3, 2, 1], [2, -np.inf, -np.inf]]
    assert ranks == [[2], [3], [1]]


def test_no_queries() -> None:
    top, _, ranks = rank(np.zeros((0, 4), np.float32), np.ones((3, 4), np.float32), [], 2)
    assert top.shape == (0, 2)
    assert ranks == []
