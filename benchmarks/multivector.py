"""LanceDB's search of token vectors against exact MaxSim: order, scores, recall, time; encoding is left out.

    python benchmarks/multivector.py                     # 800 passages; IVF-PQ alone takes a minute to build
    python benchmarks/multivector.py --passages 3000 --kinds none

Passages are random, and made like texts: their tokens are words, which are as frequent as words are, moved towards the
topic of the passage. A query takes tokens of one passage and moves them. Truth is MaxSim by NumPy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat, IvfPq
from rich.console import Console
from rich.table import Table

from clearir.support.arrow import matrices_to_column

DIMENSIONS, WORDS, QUERIES, K = 128, 3000, 40, 10
KINDS = {"none": None, "ivf-flat": IvfFlat, "ivf-pq": IvfPq}


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def texts(passages: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token vectors of passages of 10 to 59 tokens, and of queries of 4 to 13."""
    rng = np.random.default_rng(0)

    def noise(rows: int) -> np.ndarray:
        return unit(rng.standard_normal((rows, DIMENSIONS), dtype=np.float32))

    words, topics = noise(WORDS), noise(passages)
    often = 1 / np.arange(1, WORDS + 1)
    often /= often.sum()
    lengths = rng.integers(10, 60, passages)
    there = [
        unit(words[rng.choice(WORDS, length, p=often)] + 0.6 * topic + 0.3 * noise(length))
        for length, topic in zip(lengths, topics, strict=True)
    ]
    asked = [there[rng.integers(passages)] for _ in range(QUERIES)]
    lengths = rng.integers(4, 14, QUERIES)
    queries = [
        unit(one[rng.integers(len(one), size=length)] + 0.8 * noise(length))
        for one, length in zip(asked, lengths, strict=True)
    ]
    return there, queries


def exact(queries: list[np.ndarray], passages: list[np.ndarray]) -> list[np.ndarray]:
    """Mean MaxSim of each query with all passages."""
    starts = np.cumsum([0, *map(len, passages[:-1])])
    tokens = np.concatenate(passages)
    return [np.maximum.reduceat(tokens @ query.T, starts, axis=0).mean(axis=1) for query in queries]


def measure(table: Any, queries: list[np.ndarray], truth: list[np.ndarray], refine: int | None) -> tuple[float, ...]:
    """Recall of the ten nearest, the largest error of a score, and processor time of a query in ms."""
    found, error = 0, 0.0
    begun = time.process_time()
    for query, scores in zip(queries, truth, strict=True):
        search = table.search(query, vector_column_name="vector").distance_type("cosine").limit(K)
        if refine is not None:
            search = search.refine_factor(refine)
        rows = search.select(["number", "_distance"]).to_list()
        numbers = [row["number"] for row in rows]
        found += len(set(numbers) & set(np.argsort(-scores)[:K].tolist()))
        given = 1 - np.array([row["_distance"] for row in rows]) / len(query)
        error = max(error, float(np.abs(given - scores[numbers]).max()))
    return found / (K * len(queries)), error, 1000 * (time.process_time() - begun) / len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=800)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    passages, queries = texts(options.passages)
    truth = exact(queries, passages)
    tokens = sum(map(len, passages))
    shown = Table(
        title=f"{options.passages:,} passages, {tokens:,} tokens, {QUERIES} queries, LanceDB {lancedb.__version__}"
    )
    for column in ("index", "refine", f"recall@{K}", "largest error of a score", "processor, ms a query"):
        shown.add_column(column, justify="left" if column == "index" else "right")
    with tempfile.TemporaryDirectory() as folder:
        column = matrices_to_column(passages)
        rows = pa.table({"number": range(options.passages), "vector": column})
        table = lancedb.connect(folder).create_table("passages", rows)
        for kind in options.kinds:
            make = KINDS[kind]
            if make is not None:
                table.create_index("vector", config=make(distance_type="cosine", num_partitions=1), replace=True)
            for refine in (None,) if make is None else (None, 4, 10, 30):
                recall, error, spent = measure(table, queries, truth, refine)
                shown.add_row(kind, str(refine or ""), f"{recall:.3f}", f"{error:.2g}", f"{spent:.0f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
