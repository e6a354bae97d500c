from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")


@pytest.fixture
def columns() -> Callable[..., list[list[str]]]:
    """Texts of a batch, one list a column: query, passage, n negatives, target query, m target negatives.

    Rows 0 and 1 share their passage, and row 2's first negative passage is row 0's passage.
    """

    def make(batch: int, n: int, m: int, seed: int = 0) -> list[list[str]]:
        draw = random.Random(seed)

        def column(shortest: int, longest: int) -> list[str]:
            return [" ".join(draw.choices(WORDS, k=draw.randint(shortest, longest))) for _ in range(batch)]

        texts = [
            column(2, 4),
            column(3, 9),
            *(column(3, 9) for _ in range(n)),
            column(2, 5),
            *(column(2, 5) for _ in range(m)),
        ]
        if batch > 1:
            texts[1][1] = texts[1][0]
        if batch > 2 and n:
            texts[2][2] = texts[1][0]
        return texts

    return make


@pytest.fixture
def features() -> Callable[..., list[dict[str, Any]]]:
    """What the collator makes of the columns."""

    def make(model: Any, columns: list[list[str]]) -> list[dict[str, Any]]:
        return [model.preprocess(texts) for texts in columns]

    return make
