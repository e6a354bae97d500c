"""What a study found: runs of several objectives over several seeds -> means, intervals, a table, a picture.

```python
lines = summarise([Result.load(path) for path in folder.glob("runs/*/result.json")], ["clear", "infonce"])
markdown_table(lines)
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from clearir.evaluation.metrics import BRIDGE_SHARE, COMPLETE, MAX_RANK
from clearir.evaluation.scores import MAIN_METRIC
from clearir.report.markdown import grid
from clearir.report.text import interval, markdown, points, signed
from clearir.support.artifacts import read_json, write_json
from clearir.support.errors import InputError
from clearir.support.texts import clean

FORMAT = "clearir-study/1"
#: the model before training, among the objectives
BASE = "base"
LEVEL = 0.95
POOL_METRICS = (MAIN_METRIC, COMPLETE, BRIDGE_SHARE, MAX_RANK)
POOL_NOTE = (
    "Target-language queries where the passages of all languages are in one corpus. A query has its passage in every"
    f" language. {COMPLETE}: share of queries with all of these among the first ten. {BRIDGE_SHARE}: share of the"
    f" first ten that are in the bridge language. {MAX_RANK}: rank of the last of these passages (not x 100; lower is"
    " better). After each mean, the difference to the base model."
)
BETTER, WORSE = "better", "worse"


@dataclass(frozen=True)
class Result:
    """One run: an objective with a seed.

    Attributes:
        objective: its name, or `BASE`.
        seed: of split, draw, negatives and training.
        kinds: suite -> kind of direction (``x->en``) -> mean, between 0 and 1.
        directions: suite -> direction (``de->en``) -> mean.
        settings: everything else that the run depended on.
        steps: of the training; None for the base model.
        seconds: that training took; likewise.
        scale: that it was trained with (1 / temperature); likewise.
        pools: suite -> metric -> mean over target languages, of their queries on the passages of all languages in one
            corpus; none for a suite with passages in one language.
    """

    objective: str
    seed: int
    kinds: dict[str, dict[str, float]]
    directions: dict[str, dict[str, float]]
    settings: dict[str, Any] = field(default_factory=dict)
    steps: int | None = None
    seconds: float | None = None
    scale: float | None = None
    pools: dict[str, dict[str, float]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, {"format": FORMAT, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no result of a study.
        """
        document = read_json(path)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise InputError(f"{path}: not a {FORMAT} file; write one with: clearir study")
        try:
            return cls(**document)
        except TypeError as error:
            raise InputError(
                f"{path}: a result with a part missing ({error}); delete its folder and run again"
            ) from error


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % t-interval; no interval with one seed."""

    mean: float
    low: float | None
    high: float | None

    @property
    def shown(self) -> str:
        """``better`` or ``worse`` where the interval excludes 0, else nothing."""
        if self.low is None or self.high is None:
            return ""
        return BETTER if self.low > 0 else WORSE if self.high < 0 else ""


@dataclass(frozen=True)
class Line:
    """An objective on one kind of direction of one suite.

    Attributes:
        suite: which.
        kind: ``x->en`` and so on.
        objective: its name, or `BASE`.
        seeds: how many runs.
        score: the mean.
        over_base: difference to the base model, seed by seed; None for the base itself.
        over_first: difference to the first objective, seed by seed; None for that one and for the base.
        scales: that the runs were trained with, a seed each; none for the base.
    """

    suite: str
    kind: str
    objective: str
    seeds: int
    score: Estimate
    over_base: Estimate | None
    over_first: Estimate | None
    scales: tuple[float, ...] = ()


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and t-interval of one value a seed."""
    from scipy.stats import t

    count, mean = len(values), fmean(values)
    if count < 2:
        return Estimate(mean, None, None)
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * stdev(values) / count**0.5
    return Estimate(mean, mean - half, mean + half)


def summarise(results: Iterable[Result], objectives: Sequence[str]) -> list[Line]:
    """One line a suite, kind and objective, the base first.

    Args:
        results: of the base and all objectives, the same seeds for each.
        objectives: in the order of the table; the first is what the others are compared with.

    Raises:
        InputError: a run is missing.
    """
    runs = {(one.objective, one.seed): one for one in results}
    seeds = sorted({seed for _, seed in runs})
    missing = [f"{name} with seed {seed}" for name in (BASE, *objectives) for seed in seeds if (name, seed) not in runs]
    if not seeds or missing:
        raise InputError(f"runs of the study are missing: {', '.join(missing) or 'all'}; run clearir study again")

    def values(objective: str, suite: str, kind: str) -> list[float]:
        return [runs[objective, seed].kinds[suite][kind] for seed in seeds]

    def over(objective: str, other: str, suite: str, kind: str) -> Estimate:
        pairs = zip(values(objective, suite, kind), values(other, suite, kind), strict=True)
        return estimate([mine - theirs for mine, theirs in pairs])

    return [
        Line(
            suite,
            kind,
            name,
            len(seeds),
            estimate(values(name, suite, kind)),
            None if name == BASE else over(name, BASE, suite, kind),
            None if name in (BASE, objectives[0]) else over(name, objectives[0], suite, kind),
            tuple(scale for seed in seeds if (scale := _scale(runs[name, seed])) is not None),
        )
        for suite, kinds in runs[BASE, seeds[0]].kinds.items()
        for kind in kinds
        if all(kind in run.kinds[suite] for run in runs.values())
        for name in (BASE, *objectives)
    ]


def _scale(run: Result) -> float | None:
    """Of its training; runs of before scales were found have it in their settings alone."""
    if run.scale is not None:
        return run.scale
    wanted = (run.settings.get("loss") or {}).get("scale")
    return wanted if isinstance(wanted, (int, float)) else None


def scales(lines: Sequence[Line]) -> str:
    """The scales that each objective was trained with, in words; one number where all seeds have the same."""
    found = {line.objective: line.scales for line in lines if line.scales}
    words = (
        f"{name} {' to '.join(f'{one:g}' for one in sorted({min(values), max(values)}))}"
        for name, values in found.items()
    )
    return f"Scales: {', '.join(words)}." if found else ""


def suites(lines: Sequence[Line]) -> list[str]:
    """The suites, in the order of the lines."""
    return list(dict.fromkeys(line.suite for line in lines))


def compared(one: Estimate | None, *, stacked: bool = False) -> str:
    """A difference in points, its interval (on a line of its own), and a mark where the interval excludes 0."""
    if one is None:
        return ""
    mark = {BETTER: " ▲", WORSE: " ▼"}.get(one.shown, "")
    if one.low is None:
        return signed(one.mean)
    between = interval(one.low, one.high)
    return f"{signed(one.mean)}{mark}\n{between}" if stacked else f"{signed(one.mean)} ({between}){mark}"


def head(lines: Sequence[Line]) -> list[str]:
    """The columns of a table of `cells`."""
    first = next(line.objective for line in lines if line.objective != BASE)
    columns = ["direction", "objective", "score", f"over {BASE}"]
    return [*columns, f"over {first}"] if any(line.over_first for line in lines) else columns


def cells(line: Line, width: int, *, stacked: bool = False) -> list[str]:
    """A line as text, in the columns of `head`; see `compared`."""
    over = [compared(one, stacked=stacked) for one in (line.over_base, line.over_first)]
    return [line.kind, line.objective, points(line.score.mean), *over][:width]


def suite_table(lines: Sequence[Line], suite: str) -> str:
    """What a study found on one suite, as a Markdown table."""
    columns = head(lines)
    own = [cells(line, len(columns)) for line in lines if line.suite == suite]
    rows = [[markdown(row[0]), markdown(row[1]), *row[2:]] for row in own]
    return grid([markdown(one) for one in columns], rows, numbers=False)


def pool_table(results: Iterable[Result], objectives: Sequence[str], suite: str) -> str:
    """What target-language queries find where the passages of all languages are in one corpus, as a Markdown table.

    Args:
        results: of the base and all objectives, the same seeds for each.
        objectives: in the order of the table.
        suite: which.

    Returns:
        Means over seeds, and differences to the base model; nothing where a run was not scored on such a corpus.
    """
    runs = {(one.objective, one.seed): one.pools.get(suite, {}) for one in results}
    seeds = sorted({seed for _, seed in runs})
    metrics = [metric for metric in POOL_METRICS if all(metric in values for values in runs.values())]
    if not metrics:
        return ""
    rows = []
    for name in (BASE, *objectives):
        row = [markdown(name)]
        for metric in metrics:
            unit = 100 if metric == MAX_RANK else 1  # ranks are no share of 100
            mean = points(fmean(runs[name, seed][metric] for seed in seeds) / unit)
            over = estimate([(runs[name, seed][metric] - runs[BASE, seed][metric]) / unit for seed in seeds])
            row.append(mean if name == BASE else f"{mean}, {compared(over)}")
        rows.append(row)
    return grid(["objective", *metrics], rows, numbers=False)


def note(lines: Sequence[Line]) -> str:
    """How to read the table."""
    seeds = lines[0].seeds
    if seeds == 1:
        return "nDCG@10 x 100, one seed: there are no intervals, so any difference may be due to chance."
    return (
        f"nDCG@10 x 100, means over {seeds} seeds, with 95 % t-intervals of the per-seed differences. "
        "▲ and ▼ mark intervals that exclude 0. The intervals are not corrected for multiple comparisons."
    )


def to_markdown(name: str, lines: Sequence[Line], picture: str, pools: Mapping[str, str] | None = None) -> str:
    """The whole study as Markdown.

    Args:
        name: of the study.
        lines: what `summarise` gave.
        picture: path of the picture beside it.
        pools: suite -> its `pool_table`.
    """
    parts = [f"# {markdown(name)}", note(lines), markdown(scales(lines), 2000)]
    for suite in suites(lines):
        parts += [f"## {markdown(suite)}", suite_table(lines, suite)]
        if table := (pools or {}).get(suite):
            parts += [POOL_NOTE, table]
    return "\n\n".join(filter(None, [*parts, f"![scores of each objective]({picture})"])) + "\n"


def draw(lines: Sequence[Line], path: Path) -> None:
    """Bars of the mean scores with their intervals over seeds, a panel a suite, as PNG."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = suites(lines)
    objectives = list(dict.fromkeys(line.objective for line in lines))
    figure = Figure(figsize=(1.8 + 1.1 * len(objectives), 2.7 * len(names)), dpi=150, layout="constrained")
    width = 0.84 / len(objectives)
    for axes, suite in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        own = [line for line in lines if line.suite == suite]
        kinds = list(dict.fromkeys(line.kind for line in own))
        for number, objective in enumerate(objectives):
            bars = [line.score for line in own if line.objective == objective]
            places = [place + (number - (len(objectives) - 1) / 2) * width for place in range(len(kinds))]
            around = [
                [100 * (bar.mean - (bar.mean if bar.low is None else bar.low)) for bar in bars],
                [100 * ((bar.mean if bar.high is None else bar.high) - bar.mean) for bar in bars],
            ]
            color = "0.7" if objective == BASE else colormaps["tab10"](number - 1)
            axes.bar(places, [100 * bar.mean for bar in bars], width * 0.92, color=color, label=clean(objective, 40))
            if lines[0].seeds > 1:
                axes.errorbar(places, [100 * bar.mean for bar in bars], around, fmt="none", ecolor="0.2", elinewidth=1)
        axes.set_xticks(range(len(kinds)), kinds)
        axes.set_title(clean(suite, 60), loc="left", parse_math=False)
        axes.set_ylabel("nDCG@10 x 100")
        axes.set_ylim(0, min(axes.get_ylim()[1], 105))
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})
