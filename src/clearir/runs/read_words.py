"""The words that target queries fire (`clearir.evaluation.fired_words`), read from two sparse models."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING

from clearir.data.rows import Row
from clearir.evaluation.fired_words import SHOWN, TOP, BridgeWords, FiredBy, FiredWord, FiredWords
from clearir.models.prompts import prompts_of
from clearir.models.sparse import encode_sparse, strongest_words, words_of

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder


def fired_words(before: SparseEncoder, after: SparseEncoder, rows: Sequence[Row]) -> FiredWords:
    """The strongest words of the target queries of some rows, by two models.

    Args:
        before: the model before training.
        after: the trained one.
        rows: that were held out; those without a target query are left out.
    """
    asked = [row for row in rows if row.target_query is not None and row.language is not None]
    both = list(zip(asked, _fired(before, asked), _fired(after, asked), strict=True))
    languages, examples = [], []
    for language in dict.fromkeys(str(row.language) for row in asked):
        own = [one for one in both if one[0].language == language]
        counts = _bridge_words([one[1] for one in own]), _bridge_words([one[2] for one in own])
        languages.append(BridgeWords(language, len(own), *counts))
        examples += [FiredBy(language, str(row.target_query), row.query, old, new) for row, old, new in own[:SHOWN]]
    return FiredWords(tuple(languages), tuple(examples))


def _bridge_words(fired: Sequence[tuple[FiredWord, ...]]) -> float:
    return round(mean(sum(word.bridge for word in words) for words in fired), 2)


def _fired(model: SparseEncoder, rows: Sequence[Row]) -> list[tuple[FiredWord, ...]]:
    prompt = prompts_of(model).query
    queries = [str(row.target_query) for row in rows]
    strongest = strongest_words(model, encode_sparse(model, queries, prompt=prompt), top=TOP)
    found = []
    for row, query, words in zip(rows, queries, strongest, strict=True):
        bridge = (words_of(model, row.query) | words_of(model, row.passage)) - words_of(model, prompt + query)
        found.append(tuple(FiredWord(word, weight, word.casefold() in bridge) for word, weight in words))
    return found
