"""How much should the score of the model that finds the passages count beside the reranker's?

    clearir study recipes/reranker.yaml
    python benchmarks/first_weight.py runs/reranker

Each reranker that the study trained with an objective orders passages with several weights; each pair is scored once.
The queries are neither those of the training nor those of the test: they are training rows that were prepared and not
drawn, as many of each language as the test has. The table has the means over the seeds, for queries in English and in
the other languages on English passages.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from clearir.data.prepared import read_part
from clearir.data.rows import Row, Rows
from clearir.evaluation.matrix import evaluate
from clearir.evaluation.scores import Scores
from clearir.evaluation.suites import Suite
from clearir.models.reranker import Reranking
from clearir.report.markdown import grid
from clearir.report.study_table import Result
from clearir.runs.recipe import Recipe, load_model_of
from study_runs import recipe_of

RECIPE = "reranker.yaml"
WEIGHTS = (0.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0)
KINDS = ("en->en", "x->en")


@dataclass(frozen=True, eq=False)
class Remembering(Reranking):
    """A reranker that keeps what it has read: raw scores, whatever the weight."""

    def read(self, pairs: Sequence[tuple[str, str]], **options: Any) -> Any:
        new = [pair for pair in pairs if pair not in self._known]
        raw = replace(self, first_weight=1.0)
        self._known.update(zip(new, Reranking.read(raw, new, **options).tolist(), strict=True))
        return np.array([self._known[pair] for pair in pairs], dtype=np.float32)


def not_drawn(recipe: Recipe) -> tuple[list[Row], list[Row]]:
    """Rows of the training part whose passages the run did not draw, in an order by chance.

    They have no passage in the target language, so that they are scored in directions to English alone.

    Returns:
        as many per language as the test has, by which weights are compared; and the others.
    """
    out = Path(recipe.output)
    drawn = {row.passage for row in Rows.from_parquet(out / "mined" / "train.parquet").rows}
    rows = [replace(row, target_passage=None) for row in read_part(out / "rows", "train") if row.passage not in drawn]
    random.Random(recipe.seed).shuffle(rows)
    counts = Counter(row.language for row in read_part(out / "rows", "test"))
    compared: list[Row] = []
    others: list[Row] = []
    for language in sorted({str(row.language) for row in rows}):
        own = [row for row in rows if row.language == language]
        compared += own[: counts[language]]
        others += own[counts[language] :]
    return compared, others


def by_weight(study: Path, result: Result) -> dict[str, dict[str, float]]:
    """The means of `KINDS`, by weight, and of the first model alone."""
    recipe = recipe_of(study, result, RECIPE)
    model, suite = load_model_of(recipe, recipe.model), Suite.from_rows(not_drawn(recipe)[0], "not drawn")
    path = study / "runs" / f"{result.objective}-{result.seed}" / "model"
    reranking = Remembering.load(str(path), top=recipe.rerank.top)
    alone: list[Scores] = []
    found = {}
    for weight in WEIGHTS:
        both = evaluate(model, suite, rerank=replace(reranking, first_weight=weight), first_stage=alone.append)
        found[f"{weight:g}"] = both.summary()
    return {**found, "first model alone": alone[0].summary()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    parser.add_argument("--objective", default="hybrid")
    options = parser.parse_args()
    results = [Result.load(file) for file in sorted(options.study.glob(f"runs/{options.objective}-*/result.json"))]
    found = [by_weight(options.study, one) for one in results]
    rows = [
        [weight, *(f"{100 * mean(seed[weight][kind] for seed in found):.1f}" for kind in KINDS)] for weight in found[0]
    ]
    print(f"{grid(['first weight', *KINDS], rows)}\n\n{len(found)} seeds, {options.objective}")


if __name__ == "__main__":
    main()
