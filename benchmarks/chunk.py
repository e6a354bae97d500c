"""One chunk, forward and backward: what length, dropout, attention and memory handed back to the system cost on a CPU.

    python benchmarks/chunk.py                    # about two minutes

2,048 tokens without padding through all-MiniLM-L6-v2 in training mode, the best of four. FLOP share: matrix products
as a share of the rate of torch's own matrix product, as in `training.py`.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext

import torch
from rich.console import Console
from rich.table import Table

from clearir.support.memory import freed_memory_kept
from common import matrix_product_rate, minilm, work
from ways import load

TOKENS = 2048


def best_of(length: int, attention: str, dropout: float | None, kept: bool, times: int = 4) -> tuple[float, float]:
    """Seconds of the fastest pass, and its FLOP share."""
    model = load(minilm(), attention, dropout)
    ids = torch.randint(1000, 20000, (TOKENS // length, length))
    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    seconds = []
    with freed_memory_kept() if kept else nullcontext():
        for _ in range(times):
            begin = time.perf_counter()
            model(dict(features))["sentence_embedding"].sum().backward()
            seconds.append(time.perf_counter() - begin)
    return min(seconds), work(model, [features]).flop / min(seconds) / matrix_product_rate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = Table(*("length", "attention", "dropout", "freed memory", "s", "FLOP share"))
    for length in options.lengths:
        for attention, dropout, kept in (
            ("sdpa", None, False),
            ("sdpa", None, True),
            ("eager", None, True),
            ("sdpa", 0.0, True),
        ):
            seconds, share = best_of(length, attention, dropout, kept)
            own = "the model's" if dropout is None else f"{dropout:g}"
            table.add_row(
                str(length), attention, own, "kept" if kept else "handed back", f"{seconds:.2f}", f"{share:.0%}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
