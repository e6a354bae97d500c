from __future__ import annotations

from collections import Counter

import pytest

from clearir.data.rows import Row
from clearir.support.errors import InputError
from clearir.training.language_mix import mix, shares


def rows(**counts: int) -> list[Row]:
    return [
        Row(query=f"q{i}", passage=f"d{i}", target_query=f"{language}{i}", language=language)
        for language, count in counts.items()
        for i in range(count)
    ]


def test_temperature_one_keeps_the_proportions():
    assert shares({"de": 80, "fi": 20}, 10, 1.0) == {"de": 8, "fi": 2}


def test_temperature_two_takes_square_roots():
    # sqrt(90000) : sqrt(10000) : sqrt(400) = 300 : 100 : 20, of 42
    assert shares({"de": 90_000, "uk": 10_000, "fi": 400}, 42, 2.0) == {"de": 30, "uk": 10, "fi": 2}


def test_shares_add_up_by_largest_remainder():
    # 10/3 each: the remainder goes to the first by name
    assert shares({"a": 5, "b": 5, "c": 5}, 10, 1.0) == {"a": 4, "b": 3, "c": 3}


def test_a_small_language_comes_round_again_only_when_it_is_used_up():
    drawn = mix(rows(de=100, fi=4), total=20, temperature=1e9, seed=0)
    assert Counter(row.language for row in drawn) == {"de": 10, "fi": 10}
    assert sorted(Counter(row.target_query for row in drawn if row.language == "fi").values()) == [2, 2, 3, 3]
    assert max(Counter(row.target_query for row in drawn if row.language == "de").values()) == 1


def test_the_same_seed_draws_the_same_rows_in_the_same_order():
    given = rows(de=50, fi=5)
    assert mix(given, 30, 2.0, seed=1) == mix(given, 30, 2.0, seed=1)
    assert mix(given, 30, 2.0, seed=1) != mix(given, 30, 2.0, seed=2)


def test_languages_are_mixed_and_not_one_after_the_other():
    languages = [row.language for row in mix(rows(de=50, fi=50), 100, 1.0, seed=0)]
    assert set(languages[:20]) == {"de", "fi"}


def test_a_row_without_target_query_is_refused_with_the_fix():
    with pytest.raises(InputError, match=r"row 2 has no target query.*clearir prepare"):
        mix([*rows(de=1), Row(query="q", passage="d")], 2, 1.0, 0)
