"""What benchmarks share that score a study's models anew: a run's recipe, and its result with other scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clearir.evaluation.scores import Scores
from clearir.report.study_table import Result
from clearir.runs.recipe import Recipe, load_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def recipe_of(study: Path, result: Result, file: str) -> Recipe:
    """The recipe of the rows that a run of a study was trained and tested with.

    Args:
        study: folder that clearir study wrote.
        result: of the run.
        file: name of the study's recipe.
    """
    return load_recipe(RECIPES / file, [f"output={study / 'seeds' / str(result.seed)}"])


def with_scores(result: Result, scores: Scores, rerank: Mapping[str, Any]) -> Result:
    """A result of one suite with these scores in the place of its own; its settings tell how they were reranked."""
    [suite] = result.kinds
    return replace(
        result,
        kinds={suite: scores.summary()},
        directions={suite: {name: direction.mean() for name, direction in scores.directions.items()}},
        settings=result.settings | {"rerank": dict(rerank)},
        pools={},
    )
