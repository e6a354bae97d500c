"""Which learning rate for which base: what MLQA gains at each, and what is lost elsewhere.

    python benchmarks/elsewhere.py
    python benchmarks/learning_rate.py --data MLQA_V1/dev      # MiniLM and e5-small, about 20 minutes a seed on 2 cores

Rows, steps and settings are those of recipes/studies/mlqa.yaml and mlqa-e5.yaml, with clear-plus at the scale that is
found. What is finished is skipped, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from clearir.evaluation.matrix import evaluate
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ("mlqa", "mlqa-e5")
RATES = (2e-5, 5e-5, 1e-4, 2e-4, 4e-4)
KINDS = ("en->en", "x->en", "en->x", "x->x")


def measure(recipe: Recipe, rates: list[float], elsewhere: Suite) -> dict[str, list[float]]:
    """Base and each rate: nDCG@10 of each kind, in domain and elsewhere."""
    train_run.prepare_rows(recipe)
    train_run.mine_rows(recipe)
    suites = (train_run.test_suite(recipe), elsewhere)
    found = {"base": scores(recipe, recipe.model, suites)}
    for rate in rates:
        own = recipe.model_copy(update={"train": recipe.train.model_copy(update={"learning_rate": rate})})
        folder = Path(recipe.output) / f"{rate:g}"
        train_run.train_model(own, folder=folder)
        found[f"{rate:g}"] = scores(recipe, str(folder.resolve()), suites)
    return found


def scores(recipe: Recipe, model: str, suites: tuple[Suite, Suite]) -> list[float]:
    """nDCG@10 of each kind on each suite; vectors are kept, so that a second run asks for none."""
    network = load_model(model, max_seq_length=recipe.train.max_seq_length)
    cache = Path(recipe.output) / "cache"
    summaries = [evaluate(network, suite, name=model, cache=cache).summary() for suite in suites]
    return [summary[kind] for summary in summaries for kind in KINDS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of MLQA dev")
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "learning_rate")
    options = parser.parse_args()
    elsewhere = train_run.named_suite(str(ROOT / "artifacts" / "elsewhere" / "debian.parquet"))
    console = Console(width=100)
    for name in RECIPES:
        runs = []
        for seed in range(options.seeds):
            changes = [f"data.path={options.data}", f"seed={seed}", f"output={options.out / name / str(seed)}"]
            recipe = load_recipe(
                ROOT / "recipes" / "studies" / f"{name}.yaml",
                [*changes, "loss.scale=auto", "loss.objective=clear-plus"],
            )
            runs.append(measure(recipe, options.rates, elsewhere))
        head = ["rate", *KINDS, *(f"elsewhere {kind}" for kind in KINDS)]
        table = Table(*head, title=f"{recipe.model}, {len(runs)} seed(s)")
        for rate in runs[0]:
            means = [sum(run[rate][i] for run in runs) / len(runs) for i in range(2 * len(KINDS))]
            table.add_row(rate, *(f"{100 * mean:.1f}" for mean in means))
        console.print(table)


if __name__ == "__main__":
    main()
