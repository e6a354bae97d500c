from __future__ import annotations

import pytest

from clearir.search.limits import Limits, RateLimit
from clearir.support.errors import InputError

LIMITS = Limits(characters=5, k=10, batch=2, rate=2, burst=4)


def test_within_the_limits():
    LIMITS.check(["12345", "x"], 10)


@pytest.mark.parametrize(
    ("queries", "k", "words"),
    [
        ([], 1, "no query"),
        (["x"] * 3, 1, "3 queries; send at most 2"),
        (["123456"], 1, "a query of 6 characters; at most 5"),
        (["x"], 0, "k is 0; ask for 1 to 10"),
        (["x"], 11, "k is 11; ask for 1 to 10"),
    ],
)
def test_beyond_the_limits(queries, k, words):
    with pytest.raises(InputError) as caught:
        LIMITS.check(queries, k)
    assert words in str(caught.value)


def test_a_bucket_is_full_at_first_and_fills_again():
    now = [0.0]
    rate = RateLimit(LIMITS, clock=lambda: now[0])
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0]
    assert rate.wait("a") == 1 / 2  # a token takes half a second
    assert rate.wait("a", 3) == 3 / 2
    assert rate.wait("b") == 0  # others are not held up
    now[0] = 0.5
    assert rate.wait("a") == 0
    now[0] = 100.0
    assert [rate.wait("a", 4), rate.wait("a")] == [0, 1 / 2]  # never more than the burst


def test_no_limit():
    rate = RateLimit(Limits(rate=0, burst=1))
    assert {rate.wait("a") for _ in range(100)} == {0.0}


def test_clients_are_forgotten_before_memory_is_full():
    rate = RateLimit(LIMITS, clock=lambda: 0.0, clients=2)
    for client in ("a", "b", "c"):
        rate.wait(client, 4)
    assert (rate.wait("c") > 0, rate.wait("b") > 0, rate.wait("a")) == (True, True, 0.0)
