from __future__ import annotations

from math import log2

import pytest

from clearir.evaluation.metrics import DEFAULT_METRICS, complete, depth, language_share, max_rank, per_query
from clearir.support.errors import InputError

RANKINGS = {
    "q1": ["a", "b", "c", "d"],
    "q2": ["d", "c", "b", "a"],
    "q3": [f"x{n}" for n in range(12)] + ["a"],
}
QRELS = {"q1": {"a": 1, "c": 1}, "q2": {"c": 2, "a": 1}, "q3": {"a": 1}}


def test_values_by_hand() -> None:
    found = per_query(
        RANKINGS, QRELS, ["ndcg@1", "ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10", "map@100"]
    )
    ideal_1 = 1 / log2(2) + 1 / log2(3)
    ideal_2 = 2 / log2(2) + 1 / log2(3)
    expected = {
        "ndcg@1": [1, 0, 0],
        "ndcg@10": [
            (1 / log2(2) + 1 / log2(4)) / ideal_1,
            (2 / log2(3) + 1 / log2(5)) / ideal_2,
            0,  # at rank 13
        ],
        "recall@1": [1 / 2, 0, 0],
        "recall@10": [1, 1, 0],
        "recall@100": [1, 1, 1],
        "mrr@10": [1, 1 / 2, 0],
        "map@100": [(1 / 1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2, 1 / 13],
    }
    assert found.keys() == expected.keys()
    for metric, values in expected.items():
        assert found[metric] == pytest.approx(values, abs=1e-6), metric


def test_the_order_given_is_kept_whatever_the_ids() -> None:
    for ranking in (["a", "b"], ["b", "a"]):
        assert per_query({"q": ranking}, {"q": {"a": 1}}, ["mrr@10"])["mrr@10"] == [1 / (1 + ranking.index("a"))]


def test_mrr_is_cut() -> None:
    ranking = {"q": ["x", "y", "a"]}
    assert per_query(ranking, {"q": {"a": 1}}, ["mrr@2", "mrr@3"]) == {"mrr@2": [0.0], "mrr@3": [pytest.approx(1 / 3)]}


def test_accuracy_and_f1_of_bitext_by_hand() -> None:
    # a comes first for q1, which it is right for, and for q2, which it is not.
    rankings = {"q1": ["a", "b"], "q2": ["a", "b"], "q3": ["c", "a"]}
    found = per_query(rankings, {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}}, ["f1", "accuracy", "mrr@10"])
    assert found == {
        "f1": [2 * 1 / (2 + 1), 0, 2 * 1 / (1 + 1)],  # 2 * right / (came first + should have)
        "accuracy": [1, 0, 1],
        "mrr@10": [1, 1 / 2, 1],
    }


def test_every_right_answer_counts_in_accuracy_and_f1() -> None:
    rankings = {"q1": ["a"], "q2": ["a"], "q3": ["x"]}
    found = per_query(rankings, {"q1": {"a": 1}, "q2": {"b": 1, "a": 1}, "q3": {"b": 1, "a": 0}}, ["accuracy", "f1"])
    # q1 and q2 are of class a, which came first twice, rightly; q3 is of class b.
    assert found == {"accuracy": [1, 1, 0], "f1": [2 * 2 / (2 + 2), 2 * 2 / (2 + 2), 0]}


def test_a_query_without_a_ranking_is_not_accurate() -> None:
    assert per_query({"q": []}, {"q": {"a": 1}}, ["accuracy", "f1"]) == {"accuracy": [0], "f1": [0]}


def test_no_queries() -> None:
    assert per_query({}, {}, ["ndcg@10"]) == {"ndcg@10": []}


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "NDCG@10", "precision@5", "map@", "mrr@ten", ""])
def test_an_unknown_metric_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown metric '{name}'; write ndcg@K"):
        per_query({"q": ["a"]}, {"q": {"a": 1}}, [name])


def test_depth_is_the_largest_cut_off() -> None:
    assert depth(DEFAULT_METRICS) == 100
    assert depth(["ndcg@1", "recall@7"]) == 7
    with pytest.raises(InputError, match="no metric"):
        depth([])


def test_pool_metrics() -> None:
    assert max_rank([3, 41, 7]) == 41
    assert complete([3, 10]) == 1
    assert complete([3, 11]) == 0
    languages = ["en", "de", "en", "en", "de", "de", "de", "de", "de", "de", "en", "en"]
    assert language_share(languages, "en") == 3 / 10
    assert language_share(["en", "de"], "en") == 1 / 2  # a corpus of two
