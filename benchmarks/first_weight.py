"""How much should the score of the model that finds the passages count beside the reranker's?

    clearir study recipes/reranker.yaml
    python benchmarks/first_weight.py runs/reranker --objective hybrid

Each reranker of the objective orders the passages of its seed's test queries with several weights; each pair is scored
once. The table has the means over the seeds. It shows how much depends on the weight; to choose one, use other rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from clearir.evaluation.matrix import evaluate
from clearir.models.reranker import Reranking
from clearir.report.markdown import grid
from clearir.report.study_table import Result
from clearir.runs.recipe import load_model_of, load_recipe
from clearir.runs.train_run import test_suite

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "reranker.yaml"
WEIGHTS = (0.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


@dataclass(frozen=True, eq=False)
class Remembering(Reranking):
    """A reranker that keeps what it has read; its raw scores, whatever the weight."""

    def read(self, pairs: Sequence[tuple[str, str]], **options: Any) -> Any:
        new = [pair for pair in pairs if pair not in self._known]
        raw = replace(self, first_weight=1.0)
        self._known.update(zip(new, Reranking.read(raw, new, **options).tolist(), strict=True))
        return np.array([self._known[pair] for pair in pairs], dtype=np.float32)


def by_weight(study: Path, result: Result) -> dict[float, dict[str, float]]:
    """The means of each kind of direction, by weight."""
    recipe = load_recipe(RECIPE, [f"output={study / 'seeds' / str(result.seed)}"])
    model, suite = load_model_of(recipe, recipe.model), test_suite(recipe)
    path = study / "runs" / f"{result.objective}-{result.seed}" / "model"
    reranking = Remembering.load(str(path), top=recipe.rerank.top)
    cache = Path(recipe.output) / "cache"
    return {
        weight: evaluate(model, suite, cache=cache, rerank=replace(reranking, first_weight=weight)).summary()
        for weight in WEIGHTS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    parser.add_argument("--objective", default="hybrid")
    options = parser.parse_args()
    results = [Result.load(file) for file in sorted(options.study.glob("runs/*/result.json"))]
    found = [by_weight(options.study, one) for one in results if one.objective == options.objective]
    kinds = list(found[0][WEIGHTS[0]])
    rows = [
        [f"{weight:g}", *(f"{100 * mean(seed[weight][kind] for seed in found):.1f}" for kind in kinds)]
        for weight in WEIGHTS
    ]
    print(grid(["first weight", *kinds], rows))
    print(f"\n{len(found)} seeds, {options.objective}")


if __name__ == "__main__":
    main()
