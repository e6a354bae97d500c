"""Rows of made-up words in two languages, and settings of a short training."""

from __future__ import annotations

import random

from clearir.data.rows import Row
from clearir.settings import TrainSettings

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")
SHORT = TrainSettings(max_steps=6, batch_size=4, save_steps=2, log_steps=2, learning_rate=1e-3)


def sample(count: int, negatives: int = 1) -> list[Row]:
    draw = random.Random(0)

    def text(length: int) -> str:
        return " ".join(draw.choices(WORDS, k=length))

    return [
        Row(
            query=f"{text(2)} {i}",
            passage=f"{text(6)} {i}",
            target_query=f"{text(2)} x {i}",
            language="de" if i % 3 else "fi",
            negatives=tuple(text(6) for _ in range(negatives)),
            target_negatives=tuple(text(2) for _ in range(negatives)),
        )
        for i in range(count)
    ]
