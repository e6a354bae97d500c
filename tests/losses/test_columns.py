from __future__ import annotations

import pytest

from clearir.losses.columns import split_columns


def names(n: int, m: int) -> list[str]:
    return ["q", "d", *(f"d-{i}" for i in range(n)), "t", *(f"t-{i}" for i in range(m))]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 1), (5, 5)])
def test_equal_numbers_are_inferred(n, m):
    columns = split_columns(names(n, m))
    assert columns.passages == ("d", *(f"d-{i}" for i in range(n)))
    assert columns.targets == ("t", *(f"t-{i}" for i in range(m)))


@pytest.mark.parametrize(("n", "m"), [(0, 2), (2, 0), (3, 1)])
def test_unequal_numbers_are_given(n, m):
    columns = split_columns(names(n, m), num_negatives=n)
    assert (len(columns.negatives), len(columns.target_negatives)) == (n, m)
    assert columns.target_query == "t"


@pytest.mark.parametrize(
    ("count", "num_negatives", "words"),
    [
        (2, None, "got 2 columns for (query, passage"),
        (4, None, "pass num_negatives=n"),
        (5, 3, "pass a number from 0 to 2"),
        (5, -1, "num_negatives=-1 does not fit"),
    ],
)
def test_a_count_that_cannot_be_right_is_refused(count, num_negatives, words):
    with pytest.raises(ValueError, match="columns") as error:
        split_columns(list(range(count)), num_negatives)
    assert words in str(error.value)


def test_map_keeps_the_names():
    assert split_columns(names(1, 1)).map(str.upper).target_negatives == ("T-0",)
