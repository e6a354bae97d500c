"""What a study's rerankers give on all rows that no training and no choice of a setting has seen, for the pages.

    clearir study recipes/reranker.yaml --objectives hybrid,infonce-bridge
    python benchmarks/reranker_more_queries.py runs/reranker artifacts/studies/reranker-e5-queries

The test rows of a study are few, since a reranker is slow in all directions. These are the test rows and all rows that
were prepared and not drawn for training, without those by which `first_weight.py` compares weights. They are scored on
English passages alone. What it writes looks like a study, so that `results.py` draws tables from it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

from clearir.data.prepared import read_part
from clearir.data.rows import Row
from clearir.evaluation.suites import Suite
from clearir.report.study_table import BASE, Result
from clearir.runs.recipe import Recipe
from clearir.runs.train_run import evaluated, load_models
from first_weight import RECIPE, not_drawn
from study_runs import recipe_of, with_scores


def unseen_rows(recipe: Recipe) -> list[Row]:
    """The test rows, and those not drawn by which no weight is compared."""
    test = [replace(row, target_passage=None) for row in read_part(Path(recipe.output) / "rows", "test")]
    return test + not_drawn(recipe)[1]


def scored(study: Path, run: Path, *, bfloat16: bool) -> Result:
    """The result of a run on the rows that it has not seen."""
    result = Result.load(run / "result.json")
    recipe = recipe_of(study, result, RECIPE)
    rows = unseen_rows(recipe)
    model = recipe.finder if result.objective == BASE else str(run / "model")
    suite = Suite.from_rows(rows, "unseen")
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        scores = evaluated(load_models(recipe, model), suite, run.name, cache=study / ".queries", pools=())
    print(run.name, dict(Counter(row.language for row in rows)), scores.summary(), flush=True)
    return with_scores(result, scores, recipe.rerank.model_dump())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--bfloat16", action="store_true", help="read pairs in bfloat16, as train.precision=bf16 does")
    options = parser.parse_args()
    for run in sorted(options.study.glob("runs/*-*")):
        to = options.out / "runs" / run.name / "result.json"
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            scored(options.study, run, bfloat16=options.bfloat16).save(to)


if __name__ == "__main__":
    main()
