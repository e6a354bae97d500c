"""Rows -> what a training sees of them: how many, in which order, as columns and as batches."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from clearir.data.rows import Row, Rows
from clearir.settings import TrainSettings
from clearir.support.errors import InputError
from clearir.support.texts import text_key
from clearir.training.language_mix import mix, shares

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer
    from sentence_transformers.base.data_collator import BaseDataCollator

    from clearir.models.prompts import Prompts
    from clearir.models.token_vectors import TextKind

TEXTS_AT_ONCE = 4096


def steps_of(settings: TrainSettings, rows: float, processes: int = 1) -> int:
    """Steps of the optimiser that see so many rows, or as many as the settings say."""
    whole = round(rows / rows_per_step(settings, processes), 6)  # 100 rows x 1.1 epochs are 110.00000000000001
    return settings.max_steps or max(1, math.ceil(whole))


def rows_per_step(settings: TrainSettings, processes: int = 1) -> int:
    """Rows that a step of the optimiser takes."""
    return settings.batch_size * settings.accumulate * processes


def number_drawn(settings: TrainSettings, rows: int, processes: int = 1) -> int:
    """How many of so many rows training sees in all its epochs, each counted as often as it is seen."""
    return steps_of(settings, rows * settings.epochs, processes) * rows_per_step(settings, processes)


def draw_rows(rows: Sequence[Row], settings: TrainSettings, seed: int, processes: int = 1) -> list[Row]:
    """The rows that training sees, in all its epochs: as many as its steps take, languages mixed."""
    return mix(rows, number_drawn(settings, len(rows), processes), settings.language_temperature, seed)


def fill_up(rows: Sequence[Row], whole: int) -> list[Row]:
    """The rows, and of those at the beginning as many again as make whole batches for all processes.

    A process with a smaller batch, or one batch less, would let the others wait for its negatives.
    """
    return [*rows, *islice(cycle(rows), -len(rows) % whole)]


def by_language(rows: Sequence[Row], whole: int, seed: int) -> list[Row]:
    """The rows in whole batches of one language each, the batches in a random order.

    A language gets as many batches as its share of the rows, by largest remainder; rows beyond them are left out, and
    where rows are missing those at the beginning come again. So there are as many batches as before.

    Args:
        rows: in a random order.
        whole: rows of a batch, of all processes.
        seed: of the order.

    Raises:
        InputError: there are more languages than batches.
    """
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(str(row.language), []).append(row)
    counts = {language: len(members) for language, members in of.items()}
    batches = math.ceil(len(rows) / whole)
    given = shares(counts, batches, 1.0)
    if none := [language for language, number in given.items() if number == 0]:
        raise InputError(
            f"train.one_language_a_batch: {batches} batches leave none for {', '.join(none)}; take more steps, smaller "
            "batches, or a higher train.language_temperature"
        )
    cut = [
        list(islice(cycle(of[language]), start * whole, (start + 1) * whole))
        for language, number in given.items()
        for start in range(number)
    ]
    random.Random(seed).shuffle(cut)  # noqa: S311
    return [row for batch in cut for row in batch]


def dataset_of(rows: Sequence[Row]) -> Dataset:
    """The columns that the loss takes, in its order: rows that are drawn twice stand there twice.

    Of texts that are the same (`text_key`) the first stands for all, because the loss compares token ids: a passage
    with a space more than a row's own would be a wrong answer to it.
    """
    from datasets import Dataset

    distinct = Rows.collect(rows)
    n, m = distinct.num_negatives
    columns = {
        "query": [row.query for row in rows],
        "passage": [row.passage for row in rows],
        **{f"negative_{i + 1}": [row.negatives[i] for row in rows] for i in range(n)},
        "target_query": [str(row.target_query) for row in rows],
        **{f"target_negative_{i + 1}": [row.target_negatives[i] for row in rows] for i in range(m)},
    }
    first: dict[str, str] = {}
    return Dataset.from_dict(
        {name: [first.setdefault(text_key(text), text) for text in texts] for name, texts in columns.items()}
    )


def collator_of(
    network: SentenceTransformer | MultiVectorEncoder | CrossEncoder, dataset: Dataset, prompts: Prompts
) -> BaseDataCollator:
    """Rows -> the features of each column, each text with its prompt and tokenised once.

    Columns have a task (query or document) where a model may read the two in different ways (late interaction). Of a
    reranker they stay texts: its loss makes pairs of them.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    from clearir.models.token_vectors import TASKS, makes_token_vectors
    from clearir.training.token_cache import TokeniseOnce

    if isinstance(network, CrossEncoder):
        return CrossEncoderDataCollator(network.preprocess)
    kinds = {column: _kind_of(column) for column in dataset.column_names}
    return SentenceTransformerDataCollator(
        preprocess_fn=TokeniseOnce(network.preprocess, network.tokenizer),
        prompts={column: getattr(prompts, kind) for column, kind in kinds.items()},
        router_mapping={column: TASKS[kind] for column, kind in kinds.items()} if makes_token_vectors(network) else {},
    )


def tokeniser_of(collator: BaseDataCollator) -> BaseDataCollator:
    """The same collator; in place of a reranker's one that gives the features of each text by itself."""
    from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
    from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

    if isinstance(collator, CrossEncoderDataCollator):
        return SentenceTransformerDataCollator(collator.preprocess_fn)
    return collator


def features_of(
    column: str, texts: Sequence[str], collator: Callable[[list[dict[str, str]]], dict[str, Any]]
) -> Iterator[tuple[Sequence[str], dict[str, Any]]]:
    """Some texts of a column after the other, and the features that training makes of them."""
    start_of_key = f"{column}_"
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        batch = collator([{column: text} for text in some])
        found = {key.removeprefix(start_of_key): value for key, value in batch.items() if key.startswith(start_of_key)}
        yield some, found


def _kind_of(column: str) -> TextKind:
    return "passage" if column == "passage" or column.startswith("negative_") else "query"
