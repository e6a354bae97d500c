"""Several languages in one training: which rows, how often, in which order."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from clearir.data.rows import Row
from clearir.support.errors import InputError


def shares(counts: Mapping[str, int], total: int, temperature: float) -> dict[str, int]:
    """How many of ``total`` rows each language gets: proportional to ``count ** (1 / temperature)``.

    Rounded by largest remainder, so the numbers add up to ``total``. Temperature sampling as in multilingual BERT and
    XLM-R, where the exponent is written alpha = 1 / T.
    """
    weights = {language: count ** (1 / temperature) for language, count in counts.items() if count}
    whole = sum(weights.values())
    exact = {language: total * weight / whole for language, weight in weights.items()}
    given = {language: int(share) for language, share in exact.items()}
    by_remainder = sorted(exact, key=lambda language: (given[language] - exact[language], language))
    for language in by_remainder[: total - sum(given.values())]:
        given[language] += 1
    return given


def mix(rows: Sequence[Row], total: int, temperature: float, seed: int) -> list[Row]:
    """Draw ``total`` rows, the languages by `shares`, in a random order.

    A language with fewer rows than its share is gone through several times, each time in another order; no row comes
    a second time before all of its language came once.

    Raises:
        InputError: a row has no target query.
    """
    by_language: dict[str, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        if row.target_query is None or row.language is None:
            raise InputError(
                f"row {number} has no target query; translate the queries first (clearir prepare, or clearir translate)"
            )
        by_language[row.language].append(row)
    draw = random.Random(seed)  # noqa: S311
    drawn: list[Row] = []
    counts = {language: len(members) for language, members in sorted(by_language.items())}
    for language, number in sorted(shares(counts, total, temperature).items()):
        queue: list[Row] = []
        while len(queue) < number:
            queue += draw.sample(by_language[language], len(by_language[language]))
        drawn += queue[:number]
    draw.shuffle(drawn)
    return drawn
