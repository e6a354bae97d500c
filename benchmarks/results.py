"""What the studies found, for the documentation: docs/results/ from their runs, tables of pages from docs/results/.

    clearir study recipes/studies/debian.yaml                # and so on: the commands stand in the recipes
    python benchmarks/results.py --collect artifacts/studies # their results -> docs/results/STUDY/*.json
    python benchmarks/results.py                             # docs/results/ -> tables and pictures of the pages

In the pages of `PAGES`, what stands between ``<!-- KIND STUDY ... -->`` and ``<!-- end -->`` is written anew; all other
text stays. KIND is
``overview`` (differences to the base), ``against`` (to another objective, which follows the study's name),
``languages`` (one column a language, of a kind of direction that follows), ``details`` (every number with its
interval), ``picture`` (of the scores), ``mixed`` (all languages in one corpus), ``pooled`` (over several studies),
``settings`` (the same rows with other settings: runs of studies that split alike, as STUDY:OBJECTIVE), ``alpha_beta``
(CLEAR's weights, over studies that split alike), ``alone`` (one model a language, of the studies STUDY-LANGUAGE, beside
one for all) or ``rows`` (of the studies STUDY-N, one a number of rows, with a picture). The first six may end with the
objectives to show, in their order, with those that they are compared with. A table has the seeds that all its
objectives have; intervals are over these, or over languages where there is one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from clearir.evaluation.scores import kind_of_languages
from clearir.report.markdown import grid
from clearir.report.study_table import (
    BASE,
    Result,
    compared,
    draw,
    estimate,
    note,
    pool_table,
    suite_table,
    suites,
    summarise,
)
from clearir.report.text import markdown, points
from clearir.support.artifacts import atomic_file

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = ("results.md", "results-parts.md", "results-english.md", "late-interaction.md", "sparse.md", "reranking.md")
PLACE = re.compile(r"(<!-- (?P<kind>\w+) (?P<words>[^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
#: mean of the three cross-lingual kinds, where a suite has them all
CROSS, MEAN = ("x->en", "en->x", "x->x"), "mean"


@dataclass(frozen=True)
class Study:
    """The results of a study that every seed has.

    Attributes:
        name: of its folder.
        objectives: without the base; `clear` first.
        seeds: those of all objectives.
        runs: by objective and seed.
    """

    name: str
    objectives: list[str]
    seeds: list[int]
    runs: dict[tuple[str, int], Result]

    @classmethod
    def load(cls, folder: Path, *objectives: str) -> Study:
        """Read ``folder/*.json``: the base and these objectives, or all."""
        results = [_readable(Result.load(file)) for file in sorted(folder.glob("*.json"))]
        every = sorted({one.objective for one in results} - {BASE}, key=lambda name: (name != "clear", name))
        names = list(objectives) or every
        seeds = set.intersection(*({one.seed for one in results if one.objective == name} for name in (BASE, *names)))
        runs = {(one.objective, one.seed): one for one in results if one.objective in (BASE, *names)}
        return cls(folder.name, names, sorted(seeds), runs)

    @property
    def results(self) -> list[Result]:
        """Those of the common seeds."""
        return [one for (_, seed), one in self.runs.items() if seed in self.seeds]

    @property
    def first_suite(self) -> str:
        """The recipe's own test rows; where there are none, the first that it names."""
        return self.columns()[0][0]

    def columns(self) -> list[tuple[str, str]]:
        """(suite, kind) of everything that was scored, the recipe's own test rows first."""
        kinds = self.runs[BASE, self.seeds[0]].kinds
        return [(suite, kind) for suite in kinds for kind in _in_order(kinds[suite])]

    def difference(self, objective: str, other: str, value: Callable[[Result], float]) -> str:
        """Mean over seeds of a difference, its interval, its mark."""
        return compared(
            estimate([value(self.runs[objective, seed]) - value(self.runs[other, seed]) for seed in self.seeds])
        )

    def gain(self, objective: str, other: str, suite: str, kind: str) -> str:
        """`difference` of a kind of direction; of one seed, the interval is over languages."""
        if len(self.seeds) == 1:
            seed = self.seeds[0]
            values = _by_language(self.runs[objective, seed], self.runs[other, seed], suite, kind)
            if values:
                return compared(estimate(values))
        return self.difference(objective, other, _kind(suite, kind))

    def mean(self, objective: str, value: Callable[[Result], float]) -> str:
        """Mean over seeds."""
        return points(sum(value(self.runs[objective, seed]) for seed in self.seeds) / len(self.seeds))

    @property
    def cost(self) -> str:
        """How many trainings the table took, and how long."""
        trained = [self.runs[name, seed].seconds or 0.0 for name in self.objectives for seed in self.seeds]
        a_run = statistics.median(trained)
        steps = max(self.runs[name, seed].steps or 0 for name in self.objectives for seed in self.seeds)
        return (
            f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)}, {len(trained)} "
            f"training{'s' * (len(trained) > 1)} of {steps} steps, "
            f"{a_run / 60:.1f} minutes each (median) on one core of a busy CPU."
            f"{' Intervals are over languages.' if len(self.seeds) == 1 else ''}"
        )


def overview(study: Study) -> str:
    """Scores of the base, and what each objective adds."""
    return against(study, BASE)


def against(study: Study, other: str) -> str:
    """Scores of an objective, and what each other one adds to it: one table a suite.

    Intervals are over seeds; of one seed, over languages.
    """
    columns = study.columns()
    parts = []
    for suite in dict.fromkeys(suite for suite, _ in columns):
        kinds = [kind for one, kind in columns if one == suite]
        rows = [[f"{markdown(other)} (score)", *(study.mean(other, _kind(suite, kind)) for kind in kinds)]]
        for name in study.objectives:
            if name != other:
                rows.append([markdown(name), *(study.gain(name, other, suite, kind) for kind in kinds)])
        parts.append(grid([markdown(suite), *map(markdown, kinds)], rows).strip())
    return "\n\n".join([*parts, study.cost])


def languages(study: Study, kind: str) -> str:
    """What each objective adds to the base, a column a language, in the first suite."""
    suite = study.first_suite
    known = study.runs[BASE, study.seeds[0]].directions[suite]
    found = [name for name in known if _fits(name, kind)]
    rows = [[f"{BASE} (score)", *(study.mean(BASE, _direction(suite, name)) for name in found)]]
    for one in study.objectives:
        rows.append([markdown(one), *(study.difference(one, BASE, _direction(suite, name)) for name in found)])
    return grid(["", *map(markdown, found)], rows)


def details(study: Study) -> str:
    """Every mean and difference of a study, and where its picture is."""
    lines = summarise(study.results, study.objectives)
    parts = [note(lines)]
    for suite in suites(lines):
        parts += [f"<details><summary>{markdown(suite)}</summary>", suite_table(lines, suite), "</details>"]
    return "\n\n".join([*parts, picture(study)])


def picture(study: Study) -> str:
    """Where the picture of a study is."""
    return f"![scores of each objective](results/{study.name}.png)"


def mixed(study: Study) -> str:
    """Where the passages of all languages are in one corpus: one table a suite that has them."""
    tables = {
        suite: pool_table(study.results, study.objectives, suite) for suite in study.runs[BASE, study.seeds[0]].pools
    }
    return "\n\n".join(f"{markdown(suite)}:\n\n{table}" for suite, table in tables.items() if table)


def pooled(folder: Path, names: str, objective: str, *others: str) -> str:
    """An objective against others over all runs of several studies (``a+b+c``), each run counting the same.

    A comparison has the seeds that both have, of each study that has both.
    """
    kinds = [*CROSS, MEAN, "en->en", "en->en, elsewhere", "x->x, elsewhere"]
    rows = []
    for other in others:
        pair = [one for one in (objective, other) if one != BASE]
        studies = [Study.load(folder / name, *pair) for name in names.split("+")]
        row = [f"{markdown(objective)} over {markdown(other)}"]
        for kind in kinds:
            kind, _, elsewhere = kind.partition(", ")
            found = [
                study.runs[objective, seed].kinds[suite][kind] - study.runs[other, seed].kinds[suite][kind]
                for study in studies
                for seed in study.seeds
                for suite, one in study.columns()
                if one == kind and (suite != study.first_suite) == bool(elsewhere)
            ]
            row.append(compared(estimate(found)) + f", {len(found)} runs" if found else "")
        rows.append(row)
    return grid(["", *map(markdown, kinds)], rows)


def settings(folder: Path, first: str, *others: str) -> str:
    """What other settings add to ``STUDY:OBJECTIVE``, seed by seed; the studies split their rows alike.

    One table for each suite that all runs were scored on. Intervals are over seeds; of one seed, over languages.
    """
    named = {name: _runs_of(folder, name) for name in (first, *others)}
    compared_seeds = set[int]().union(*(named[name].keys() for name in others))
    reference = {seed: run for seed, run in named[first].items() if seed in compared_seeds}
    scored = [run.kinds for runs in named.values() for run in runs.values()]
    tables = []
    for suite in (suite for suite in scored[0] if all(suite in kinds for kinds in scored)):
        kinds = _in_order(scored[0][suite])
        means = [sum(run.kinds[suite][kind] for run in reference.values()) / len(reference) for kind in kinds]
        rows = [[f"{markdown(first)} (score)", *map(points, means)]]
        for name in others:
            common = sorted(named[name].keys() & reference.keys())
            row = [f"{markdown(name)}, {len(common)} seed{'s' * (len(common) > 1)}"]
            for kind in kinds:
                values = [named[name][seed].kinds[suite][kind] - reference[seed].kinds[suite][kind] for seed in common]
                if len(common) == 1:
                    values = _by_language(named[name][common[0]], reference[common[0]], suite, kind) or values
                row.append(compared(estimate(values)))
            rows.append(row)
        tables.append(grid([markdown(suite), *map(markdown, kinds)], rows).strip())
    return "\n\n".join(tables)


def _by_language(run: Result, reference: Result, suite: str, kind: str) -> list[float]:
    """What a run adds in each language; for the mean of the cross-lingual kinds, in the mean of a language's three.

    Of kinds that have one direction, or whose directions lie between two languages, there is none.
    """
    here, there = run.directions[suite], reference.directions[suite]
    found = {name: here[name] - there[name] for name in here if name in there}
    if kind == MEAN:
        own = {one: [found[name] for name in found if _fits(name, one)] for one in CROSS}
        return [sum(values) / len(CROSS) for values in zip(*own.values(), strict=True)]
    return [value for name, value in found.items() if kind in CROSS and _fits(name, kind)]


def alpha_beta(folder: Path, names: str, *kinds: str) -> str:
    """What CLEAR adds to the base with each alpha (rows) and beta (columns), over ``a+b+c``: one table a kind."""
    first, *others = (Study.load(folder / name) for name in names.split("+"))
    suite = first.first_suite
    tables = []
    for kind in kinds:
        found = defaultdict(list)
        for run in [run for study in (first, *others) for run in study.runs.values()]:
            if place := _alpha_and_beta(run):
                found[place].append(run.kinds[suite][kind] - first.runs[BASE, run.seed].kinds[suite][kind])
        alphas, betas = (sorted(set(axis)) for axis in zip(*found, strict=True))
        rows = [
            [f"alpha {alpha}", *(compared(estimate(found[alpha, b])) if (alpha, b) in found else "" for b in betas)]
            for alpha in alphas
        ]
        tables.append(grid([markdown(kind), *(f"beta {beta}" for beta in betas)], rows).strip())
    return "\n\n".join(tables)


def alone(folder: Path, together: str, *languages: str) -> str:
    """What a model for one language adds to one for all, a column a language, in the first suite."""
    study, _, objective = together.partition(":")
    of_all = _runs_of(folder, together)
    suite = next(iter(of_all[min(of_all)].directions))
    of_one = {language: _runs_of(folder, f"{study}-{language}:{objective}") for language in languages}
    rows = []
    for name, direction in (("own queries", "{}->en"), ("en->en", "en->en")):
        scores, differences = [], []
        for language, own in of_one.items():
            place = direction.format(language)
            both = [(of_all[seed].directions[suite][place], own[seed].directions[suite][place]) for seed in sorted(own)]
            scores.append(statistics.mean(with_all for with_all, _ in both))
            differences.append(statistics.mean(single - with_all for with_all, single in both))
        rows.append([f"{name}: one model for all (score)", *map(points, (*scores, statistics.mean(scores)))])
        own_cells = (compared(estimate([value])) for value in differences)
        rows.append([f"{name}: one per language", *own_cells, compared(estimate(differences))])
    return grid(["", *map(markdown, languages), "mean, over languages"], rows)


def rows_needed(folder: Path, name: str, objective: str, *directions: str) -> str:
    """What an objective adds to the base with each number of rows a language, a column a direction; and the picture."""
    studies = _by_rows(folder, name, objective)
    first = next(iter(studies.values()))
    suite = first.first_suite
    rows = [[f"{BASE} (score)", *(first.mean(BASE, _direction(suite, one)) for one in directions)]]
    for count, study in studies.items():
        found = (study.difference(objective, BASE, _direction(suite, one)) for one in directions)
        rows.append([f"{count:,} rows", *found])
    table = grid(["rows per language", *map(markdown, directions)], rows).strip()
    return f"{table}\n\n{first.cost}\n\n![scores by number of rows](results/{name}.png)"


def _by_rows(folder: Path, name: str, objective: str) -> dict[int, Study]:
    """Number of rows -> study, of the folders ``NAME-N``."""
    found = {int(one.name.rpartition("-")[2]): Study.load(one, objective) for one in folder.glob(f"{name}-*[0-9]")}
    return dict(sorted(found.items()))


def _draw_rows(folder: Path, name: str, objective: str, *directions: str) -> None:
    """Scores by number of rows: a dot a seed, a line a direction through their means, the base's at the left."""
    from matplotlib.figure import Figure

    studies = _by_rows(folder, name, objective)
    first = next(iter(studies.values()))
    suite = first.first_suite
    figure = Figure(figsize=(6, 3.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    places = range(1, len(studies) + 1)
    for number, direction in enumerate(directions):
        value = _direction(suite, direction)
        base = [100 * value(first.runs[BASE, seed]) for seed in first.seeds]
        found = [[100 * value(one.runs[objective, seed]) for seed in one.seeds] for one in studies.values()]
        axes.plot([0, *places], [statistics.mean(one) for one in (base, *found)], color=f"C{number}", label=direction)
        for place, scores in enumerate((base, *found)):
            axes.plot([place] * len(scores), scores, "o", color=f"C{number}", markersize=4)
    axes.set_xticks([0, *places], [BASE, *(f"{count:,}" for count in studies)])
    axes.set_xlabel("rows per language")
    axes.set_ylabel("nDCG@10 x 100")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    with atomic_file(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _alpha_and_beta(run: Result) -> tuple[float, float] | None:
    """Those of a run with CLEAR or a sum of its terms; None for others."""
    if run.objective == BASE:
        return None
    weights = run.settings["weights"]
    if not weights.keys() <= {"forward", "reverse", "kl"}:
        return None
    return weights.get("reverse", 0.0), weights.get("kl", 0.0)


def _runs_of(folder: Path, name: str) -> dict[int, Result]:
    """Seed -> run of ``STUDY:OBJECTIVE``."""
    study, _, objective = name.partition(":")
    runs = Study.load(folder / study).runs
    return {seed: run for (one, seed), run in runs.items() if one == objective}


def collect(studies: Path) -> None:
    """Copy ``STUDY/runs/RUN/result.json`` to ``docs/results/STUDY/RUN.json``."""
    for file in sorted(studies.glob("*/runs/*/result.json")):
        target = RESULTS / file.parents[2].name / f"{file.parent.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def filled(page: str, folder: Path = RESULTS) -> str:
    """The page with its tables written anew."""
    # and how many words stand between the study's name and the objectives
    of_one: dict[str, tuple[Callable[..., str], int]] = {
        "overview": (overview, 0),
        "against": (against, 1),
        "languages": (languages, 1),
        "details": (details, 0),
        "picture": (picture, 0),
        "mixed": (mixed, 0),
    }
    of_several: dict[str, Callable[..., str]] = {
        "pooled": pooled,
        "settings": settings,
        "alpha_beta": alpha_beta,
        "alone": alone,
        "rows": rows_needed,
    }

    def write(place: re.Match[str]) -> str:
        kind, (name, *words) = place["kind"], place["words"].split()
        if kind in of_several:
            text = of_several[kind](folder, name, *words)
        else:
            make, own = of_one[kind]
            text = make(Study.load(folder / name, *words[own:]), *words[:own])
        return f"{place[1]}\n{text.strip()}\n\n{place[4]}"

    return PLACE.sub(write, page)


def _readable(result: Result) -> Result:
    """With the mean of the cross-lingual kinds, and short names of suites."""
    kinds = {
        _short(suite): {**found, MEAN: sum(found[kind] for kind in CROSS) / len(CROSS)}
        if set(CROSS) <= set(found)
        else found
        for suite, found in result.kinds.items()
    }
    directions = {_short(suite): found for suite, found in result.directions.items()}
    pools = {_short(suite): found for suite, found in result.pools.items()}
    return replace(result, kinds=kinds, directions=directions, pools=pools)


def _in_order(kinds: dict[str, float]) -> list[str]:
    order = [*CROSS, MEAN, "en->en"]
    return sorted(kinds, key=lambda kind: (order.index(kind) if kind in order else len(order), kind))


def _kind(suite: str, kind: str) -> Callable[[Result], float]:
    return lambda result: result.kinds[suite][kind]


def _direction(suite: str, name: str) -> Callable[[Result], float]:
    return lambda result: result.directions[suite][name]


def _fits(direction: str, kind: str) -> bool:
    """Whether ``de->en`` is one of ``x->en``."""
    return kind_of_languages(*direction.split("->"), "en") == kind


def _short(suite: str) -> str:
    """``artifacts/elsewhere/mlqa.parquet`` -> ``elsewhere: mlqa``; ``afriqa:FOLDER`` -> ``afriqa``."""
    name, _, folder = suite.partition(":")
    return name if folder or "/" not in name else f"elsewhere: {Path(name).stem}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", type=Path, help="folder of the studies' outputs")
    options = parser.parse_args()
    if options.collect is not None:
        collect(options.collect)
    for path in (ROOT / "docs" / name for name in PAGES):
        page = path.read_text(encoding="utf-8")
        for place in PLACE.finditer(page):
            name, *words = place["words"].split()
            if place["kind"] in ("details", "picture"):
                _draw(Study.load(RESULTS / name, *words))
            elif place["kind"] == "rows":
                _draw_rows(RESULTS, name, *words)
        with atomic_file(path) as temporary:
            temporary.write_text(filled(page), encoding="utf-8")


def _draw(study: Study) -> None:
    with atomic_file(RESULTS / f"{study.name}.png") as temporary:
        draw(summarise(study.results, study.objectives), temporary)


if __name__ == "__main__":
    main()
