"""In which layer of an encoder does it show whether a query and a passage belong together? From runs of a study.

    clearir study recipes/reranker.yaml
    python benchmarks/reranker_layers.py runs/reranker

A new reranker's head is fitted to every layer of the frozen encoder (`clearir.models.new_reranker`). The table has the
cross-entropy of the right passage in lists that were held out, by layer: the mean over the seeds, and the layer that
each seed took.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

from clearir.report.markdown import grid
from clearir.support.artifacts import read_json


def table(fits: list[dict[str, Any]]) -> str:
    """One row per layer."""
    curves = [fit["cross_entropy"] for fit in fits]
    taken = [fit["layers"] for fit in fits]
    rows = [
        [str(layer), f"{mean(curve[layer - 1] for curve in curves):.2f}", str(taken.count(layer))]
        for layer in range(1, len(curves[0]) + 1)
    ]
    return grid(["layer", "cross-entropy", "seeds that took it"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    files = sorted(parser.parse_args().study.glob("seeds/*/start/manifest.json"))
    fits = [read_json(file)["result"] for file in files]
    print(table(fits))
    print(f"\n{len(fits)} seeds; a guess has {fits[0]['chance']:.2f}")


if __name__ == "__main__":
    main()
