"""How often the right page comes first: success@1, the share of queries whose first passage is relevant.

Every language counts the same (the macro average), as in `clearir.report.direction_table`. The figures are computed
from the queries' ranks, which all scores have.
"""

from __future__ import annotations

from dataclasses import replace

from clearir.evaluation.compare import Comparison, compare
from clearir.evaluation.scores import Scores
from clearir.support.progress import listening, silent

SUCCESS = "success@1"


def first_places(before: Scores, after: Scores) -> Comparison:
    """Success@1 before and after, of the queries of every language on the bridge language's passages.

    Raises:
        InputError: the scores are of different suites or queries.
    """
    with listening(silent):  # it takes a moment, beside the comparison of all directions
        return compare(_success(before), _success(after), metric=SUCCESS)


def _success(scores: Scores) -> Scores:
    directions = {
        name: replace(direction, values={SUCCESS: [float(rank == 1) for rank in direction.ranks]})
        for name, direction in scores.directions.items()
        if direction.passage_language == scores.bridge
    }
    return replace(scores, directions=directions, pools={})
