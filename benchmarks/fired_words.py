"""How many English words do target queries fire, with and without the bridge? A study of sparse models, for the pages.

    clearir study recipes/sparse.yaml
    python benchmarks/fired_words.py runs/sparse

Counted as in the report of a run: of the ten strongest words of a test query, those that stand in its English query or
passage and not in the query itself. *Before* is the sparse model that the training began with. Means over the seeds;
differences of the first of ``--objectives`` to it and to the second, with 95 % intervals over the seeds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from clearir.data.prepared import read_part
from clearir.models.sparse import load_sparse
from clearir.report.markdown import grid
from clearir.report.study_table import Result, compared, estimate
from clearir.report.text import markdown
from clearir.runs.read_words import fired_words
from clearir.support.languages import language_name

BEFORE = "before training"
OBJECTIVES = ("hybrid-sparse", "1*forward+0.001*flops")


def counted(study: Path, objectives: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Words per query of each language, then of each objective and of `BEFORE`: one value per seed."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    files = sorted(study.glob("runs/*/result.json"))
    runs = {(one.objective, one.seed): file.parent for file in files for one in [Result.load(file)]}
    for seed in sorted({seed for _, seed in runs}):
        place = study / "seeds" / str(seed)
        start, rows = load_sparse(place / "start"), read_part(place / "rows", "test")
        for objective in objectives:
            for one in fired_words(start, load_sparse(runs[objective, seed] / "model"), rows).languages:
                found[one.language][objective].append(one.after)
                if objective == objectives[0]:
                    found[one.language][BEFORE].append(one.before)
    return found


def gain(words: Sequence[float], others: Sequence[float]) -> str:
    """The mean difference over the seeds, with its interval if there are several, as in other tables of studies."""
    # which show scores between 0 and 1 in points of 100
    return compared(estimate([(one - other) / 100 for one, other in zip(words, others, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder that clearir study wrote")
    parser.add_argument("--objectives", nargs=2, default=OBJECTIVES)
    options = parser.parse_args()
    first, second = options.objectives
    found = counted(options.study, options.objectives)
    lines = []
    for language, words in found.items():
        means = [f"{mean(words[name]):.1f}" for name in (BEFORE, second, first)]
        lines.append([language_name(language), *means, *(gain(words[first], words[name]) for name in (BEFORE, second))])
    columns = ["", BEFORE, markdown(second), markdown(first), "over before", "over the second"]
    print(f"{grid(columns, lines)}\n\n{max(len(words[first]) for words in found.values())} seeds")


if __name__ == "__main__":
    main()
