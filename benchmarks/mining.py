"""Memory and time of mining: 19,035 passages x 130,316 questions (SQuAD 2.0 in English and Finnish).

    python benchmarks/mining.py ../shared/data/squad-fi                  # random vectors: minutes
    python benchmarks/mining.py ../shared/data/squad-fi --model FOLDER   # a real model: encoding dominates

Memory and time do not depend on what the vectors say, so random unit vectors of MiniLM's size (384) stand in for a
model unless one is given. The number of threads is torch's (OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from clearir.data.rows import Row
from clearir.settings import MineSettings
from clearir.training.mine import mine


def read(folder: Path, limit: int | None) -> list[Row]:
    """English passages and questions with the Finnish question beside."""
    passages = dict(
        zip(*pq.read_table(folder / "passages.parquet", columns=["id", "en"]).to_pydict().values(), strict=True)
    )
    questions = pq.read_table(folder / "questions.parquet", columns=["id", "passage_id", "en", "fi"]).to_pylist()
    return [
        Row(q["en"], passages[q["passage_id"]], q["fi"], "fi", passage_id=str(q["passage_id"]), query_id=str(q["id"]))
        for q in questions[:limit]
    ]


def random_vectors(dimensions: int):
    """A stand-in for a model: unit vectors that depend on nothing but the number of texts."""

    def embed(texts: list[str], kind: str) -> np.ndarray:
        vectors = np.random.default_rng(0).standard_normal((len(texts), dimensions), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="squad-fi: passages.parquet and questions.parquet")
    parser.add_argument("--model", help="a sentence-transformers model; random vectors without it")
    parser.add_argument("--dimensions", type=int, default=384, help="of the random vectors")
    parser.add_argument("--questions", type=int, help="only the first N questions")
    options = parser.parse_args()

    rows = read(options.folder, options.questions)
    if options.model:
        from clearir.models.load import load_model

        model = load_model(options.model)
    else:
        model = random_vectors(options.dimensions)
    import torch

    before = peak_gb()
    start = time.perf_counter()
    margin = 0.05 if options.model else None
    mined = mine(rows, model, MineSettings(negatives=5, target_negatives=5, margin=margin))
    seconds = time.perf_counter() - start
    print(f"{len(rows):,} rows, {len({row.passage for row in rows}):,} passages, {torch.get_num_threads()} threads")
    print(f"{'model ' + options.model if options.model else f'random vectors of {options.dimensions} numbers'}")
    print(f"{seconds:.0f} s; peak memory {peak_gb():.2f} GB, of which {before:.2f} GB before mining (rows, torch)")
    print(f"topped up: {mined.topped_up_passages} rows with passages, {mined.topped_up_queries} with queries")


if __name__ == "__main__":
    main()
