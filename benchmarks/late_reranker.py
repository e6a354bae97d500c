"""What late-interaction models of a study give as rerankers behind the untrained dense model: results for the pages.

    clearir study recipes/late-interaction.yaml --objectives hybrid,infonce-bridge
    python benchmarks/late_reranker.py runs/late-interaction artifacts/studies/late-e5-reranking

Every model of the study puts the first 50 passages of each test query in order. What it writes looks like a study, so
that `results.py` draws tables from it.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from clearir.evaluation.matrix import evaluate
from clearir.models.reranker import Reranking
from clearir.report.study_table import BASE, Result
from clearir.runs.recipe import Recipe, load_model_of
from clearir.runs.train_run import test_suite
from study_runs import recipe_of, with_scores


def reranked(recipe: Recipe, trained: Result, model: Path, top: int) -> Result:
    """The result of the untrained dense model with a trained one behind it, on the recipe's test rows."""
    both = evaluate(
        load_model_of(recipe, recipe.model),
        test_suite(recipe),
        cache=Path(recipe.output) / "cache",
        rerank=Reranking.load(str(model), top=top),
    )
    return with_scores(trained, both, {"first": recipe.model, "top": top})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--top", type=int, default=50)
    options = parser.parse_args()
    for file in sorted(options.study.glob("runs/*/result.json")):
        result = Result.load(file)
        to = options.out / "runs" / file.parent.name / "result.json"
        if to.exists():
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        if result.objective == BASE:
            shutil.copyfile(file, to)
            continue
        recipe = recipe_of(options.study, result, "late-interaction.yaml")
        reranked(recipe, result, file.parent / "model", options.top).save(to)
        print(to, flush=True)


if __name__ == "__main__":
    main()
