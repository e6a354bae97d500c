"""Results in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from clearir.cli.console import clock, console
from clearir.data.sources.understand import Understood
from clearir.evaluation.compare import BETTER, DIRECTIONS, KINDS, NOT_SHOWN, POOLED, WORSE, Comparison
from clearir.evaluation.merge_weight import Choice
from clearir.evaluation.metrics import SHOWN
from clearir.evaluation.scores import MAIN_METRIC, Direction, Scores
from clearir.evaluation.searches import FoundPassage, Search, first_places_in_words, one_each
from clearir.report.direction_table import Cell, DirectionTable
from clearir.report.headline import unless_shown
from clearir.report.load import Run
from clearir.report.study_table import Line, cells, head, note, scales, suites
from clearir.report.text import interval, p_value, percent, points, signed
from clearir.runs.prepare_run import Prepared
from clearir.support.languages import language_name
from clearir.support.texts import clean

if TYPE_CHECKING:
    from clearir.evaluation.mteb_task import MtebScores

#: what pools have beside the usual metrics; see `clearir.evaluation.matrix`
POOL_METRICS = ("max@r", "complete@10", "bridge@10")
#: searches that are shown
SEARCHES = 3
#: rows of a new table that are shown
FIRST_ROWS = 3
#: of a difference, by its verdict; None: it was not tested
COLOURS = {BETTER: "green", WORSE: "red", NOT_SHOWN: "dim", None: "default"}
#: verdicts that would be too wide for a column
SHORT = {NOT_SHOWN: "n.s."}


def show_understood(table: Path, found: Understood) -> None:
    """What each column of a table was taken for, how many rows that makes, and three of them."""
    console.print(
        f"{escape(str(table))}: {len(found.rows):,} rows (one per query and language), {found.passages:,} passages",
        soft_wrap=True,
    )
    columns = Table(box=box.SIMPLE_HEAD, title="columns", title_justify="left")
    columns.add_column("column")
    columns.add_column("read as")
    for column, what in found.read_as.items():
        columns.add_row(escape(clean(column, 40)), escape(what))
    for column in found.unread:
        columns.add_row(escape(clean(column, 40)), "[dim]not read[/]")
    console.print(columns)
    counts = Table(box=box.SIMPLE_HEAD, title="target queries", title_justify="left")
    counts.add_column("language")
    for name in ("translated", "missing"):
        counts.add_column(name, justify="right")
    for code in sorted({*found.translated, *found.missing}):
        missing = found.missing[code]
        counts.add_row(language_name(code), f"{found.translated[code]:,}", f"{missing:,}" if missing else "")
    console.print(counts)
    rows = Table(box=box.SIMPLE_HEAD, title="the first rows", title_justify="left", show_lines=False)
    for name in ("query", "target query", "passage"):
        rows.add_column(name, ratio=1)
    for row in [row for row in found.rows if row.target_query is not None][:FIRST_ROWS]:
        rows.add_row(*(escape(clean(text, 70)) for text in (row.query, str(row.target_query), row.passage)))
    console.print(rows)


def show_run(run: Run, folder: Path) -> None:
    """The table of directions, retention, significant differences, searches and the paths of the outputs."""
    table = run.table
    console.print()
    console.print(_directions(table, run))
    mean = table.mean.get(f"x->{table.bridge}")
    if mean and mean.relative is not None:
        console.print(
            f"x->{table.bridge}, mean over {len(table.rows)} languages: {points(mean.before)} -> {points(mean.after)} "
            f"({mean.relative:+.1%}{unless_shown(mean)})"
        )
    if table.english and table.english.ratio is not None:
        console.print(
            f"{table.bridge}->{table.bridge} over all queries: {points(table.english.before)} -> "
            f"{points(table.english.after)} ({signed(table.english.difference)} points{unless_shown(table.english)}, "
            f"retention {table.english.ratio:.1%})"
        )
    if run.training:
        console.print(f"training: {run.training.steps} steps in {clock(run.training.seconds)}")
    for sentence in run.comparison.sentences.values():
        console.print(escape(sentence))
    for search in one_each(run.searches)[:SEARCHES]:
        console.print(_search(search))
    if (places := first_places_in_words(run.searches)) is not None:
        console.print(f"among all test passages, {places}")
    console.print()
    console.print(f"model:  {escape(str(folder / 'model'))}", soft_wrap=True)
    for path in sorted(folder.glob("report.*"), key=lambda path: (path.suffix != ".html", path.suffix)):
        console.print(f"report: {escape(str(path))}", soft_wrap=True)
    index = f"clearir index {folder / 'model'} {folder / 'rows'} --source table --out index"
    console.print(f"next, to search with it: {escape(index)}", soft_wrap=True)


def show_prepared(prepared: Prepared) -> None:
    """Rows per part and language, the dropped rows by reason, and some translations of each language."""
    facts = prepared.facts
    parts = facts["splits"]
    shown = Table(title="rows", title_justify="left")
    for name in ("language", *parts):
        shown.add_column(name, justify="left" if name == "language" else "right")
    for language in sorted({language for counts in parts.values() for language in counts}):
        shown.add_row(escape(language), *(f"{counts.get(language, 0):,}" for counts in parts.values()))
    console.print(shown)
    examples = {one["reason"]: one["examples"][0] for one in facts["filtered"] if one["examples"]}
    for reason, rows in prepared.dropped.items():
        console.print(escape(f"dropped: {rows:,} rows ({reason})"), soft_wrap=True)
        if reason in examples:
            _translation(examples[reason]["query"], examples[reason]["target_query"] or "")
    if not prepared.dropped:
        console.print("dropped: no row")
    for language, pairs in facts.get("translations", {}).items():  # not in folders of earlier versions
        console.print(f"[bold]{escape(language_name(language))}[/]")
        for query, target_query in pairs:
            _translation(query, target_query)
    if facts["mined"]:
        counts = "{:,} rows (passages), {:,} rows (target queries)".format(*facts["mined"]["topped_up"])
        console.print(f"filled up with random negatives: {counts}")
    console.print(escape(str(prepared.folder)), soft_wrap=True)


def _translation(query: str, target_query: str) -> None:
    """A query and its translation, each on a line of its own: two directions of writing on one would mix."""
    for text in (f"  {clean(query)}", f"  -> {clean(target_query)}"):
        line = Text(text)
        line.truncate(console.width, overflow="ellipsis")
        console.print(line)


def show_matrix(scores: Scores) -> None:
    """One row per query language, one column per passage language; pools below."""
    for metric in SHOWN[scores.task]:
        title = escape(f"{scores.model} on {scores.suite}: {metric} x 100")
        for passages in _side_by_side(scores.languages):
            shown = _table(title, "query \\ passage", *passages)
            for query in scores.languages:
                names = [f"{query}->{passage}" for passage in passages]
                means = [points(scores.mean(name, metric)) if name in scores.directions else "" for name in names]
                shown.add_row(query, *means)
            console.print(shown)
            title = ""
        for kind, mean in scores.summary(metric).items():
            console.print(f"mean {kind}: {points(mean)}")
    if scores.pools:
        metric = scores.main_metric
        pooled = _table(f"pools: {metric} x 100", "pool", "passages", metric, *POOL_METRICS)
        for name, pool in scores.pools.items():
            extra = [_pool_value(pool, one) for one in POOL_METRICS]
            pooled.add_row(name, f"{pool.corpus_size:,}", points(pool.mean(metric)), *extra)
        console.print(pooled)


def _pool_value(pool: Direction, metric: str) -> str:
    if metric not in pool.values:
        return ""
    return f"{pool.mean(metric):.1f}" if metric == "max@r" else points(pool.mean(metric))


def show_mteb(scores: MtebScores, first: MtebScores | None = None) -> None:
    """The main score of each subset of a task of MTEB, and how far it is from that of the first model."""
    title = f"{scores.model} on {scores.task} ({scores.type}): {scores.main_score} x 100"
    columns = ["score"] if first is None else ["score", "difference"]
    shown = Table(title=escape(title), title_justify="left")
    for name in ("split", "subset", *columns):
        shown.add_column(name, justify="right" if name in columns else "left", overflow="fold")
    own, others = scores.main_scores, first.main_scores if first else {}

    def cells(value: float | None, other: float | None) -> list[str]:
        difference = None if value is None or other is None else value - other
        return [points(value), signed(difference)][: len(columns)]

    for (split, subset), value in own.items():
        shown.add_row(escape(split), escape(subset), *cells(value, others.get((split, subset))))
    if len(own) > 1:
        shown.add_section()
        shown.add_row("", "mean", *cells(scores.mean, first.mean if first else None))
    console.print(shown)


def show_comparison(comparison: Comparison) -> None:
    """Kinds of direction, directions and pools of each model compared with the baseline, and a summary."""
    for model, sentence in comparison.sentences.items():
        title = f"{model} compared with {comparison.baseline} on {comparison.suite}: {comparison.metric} x 100"
        shown = _table(
            escape(title),
            "direction",
            "queries\npassages",
            "scores\nretention",
            "difference\n95 % interval",
            "p (Holm)\nverdict",
        )
        for part in (KINDS, DIRECTIONS, POOLED):
            for row in comparison.part(model, part):
                shown.add_row(
                    escape(row.name),
                    f"{row.queries:,}\n{row.clusters:,}",
                    f"{points(row.baseline)} -> {points(row.mean)}\n{percent(row.retention)}",
                    f"{signed(row.difference)}\n{interval(row.low, row.high)}",
                    f"{p_value(row.p_holm)}\n[{COLOURS[row.verdict]}]{SHORT.get(row.verdict, row.verdict)}[/]",
                )
            shown.add_section()
        shown.caption, shown.caption_justify = f"{SHORT[NOT_SHOWN]}: not significant", "left"
        console.print(shown)
        console.print(escape(sentence))


def show_choice(choice: Choice) -> None:
    """The weights that were tried, and the one that was chosen."""
    shown = Table(title=escape(f"weight of the tuned model, on {choice.suite}: {MAIN_METRIC} x 100"))
    across, within = f"x->{choice.language}", f"{choice.language}->{choice.language}"
    for name in ("weight", across, within, "retention", ""):
        shown.add_column(name, justify="right" if name else "left")
    for one in choice.tried:
        note = "[green]chosen[/]" if one.weight == choice.weight else "" if one.kept else "[dim]below the bound[/]"
        cells = (points(one.cross), points(one.bridge), percent(one.retention))
        shown.add_row(f"{one.weight:g}", *cells, note)
    console.print(shown)
    if choice.weight == 0:
        console.print(f"no mixture improves {across} and keeps {choice.bound:.1%} of {within}: the base model is used")


def show_study(lines: list[Line], folder: Path) -> None:
    """Each objective on each kind of direction, compared with the base model and the first objective."""
    columns = head(lines)
    for suite in suites(lines):
        shown = Table(title=escape(suite), title_justify="left", box=box.SIMPLE, padding=(0, 1))
        for name in columns:
            text = name in columns[:2]
            shown.add_column(escape(name), justify="left" if text else "right", overflow="fold", no_wrap=not text)
        before = None
        for line in (line for line in lines if line.suite == suite):
            if before not in (None, line.kind):
                shown.add_section()
            kind = line.kind if line.kind != before else ""
            before = line.kind
            shown.add_row(kind, *(escape(one) for one in cells(line, len(columns), stacked=True)[1:]))
        console.print(shown)
    console.print(note(lines))
    if used := scales(lines):
        console.print(escape(used))
    for name in ("study.md", "study.png", "study.json"):
        console.print(escape(str(folder / name)), soft_wrap=True)


def show_suites(rows: list[dict[str, str]]) -> None:
    """The suites that are built in."""
    shown = Table(box=box.SIMPLE, show_header=False, padding=(0, 1))
    for _ in range(3):
        shown.add_column(overflow="fold")
    for row in rows:
        facts = [(fact, value) for fact, value in row.items() if fact != "name" and value]
        for number, (fact, value) in enumerate(facts):
            name = f"[bold]{escape(row['name'])}[/]" if number == 0 else ""
            shown.add_row(name, f"[dim]{fact}[/]", escape(value), end_section=number == len(facts) - 1)
    console.print(shown)


def _table(title: str, first: str, *numbers: str) -> Table:
    """A table that fits into 80 columns: a name that may be folded, then numbers that are never cut."""
    shown = Table(title=title or None, title_justify="left", box=box.SIMPLE, padding=(0, 1))
    shown.add_column(first, overflow="fold")
    for name in numbers:
        shown.add_column(name, justify="right", no_wrap=True)
    return shown


def _side_by_side(languages: list[str]) -> Iterator[list[str]]:
    """The languages in groups whose columns fit next to each other and next to the column of names."""
    room = console.width - len("query \\ passage") - 4
    group: list[str] = []
    for language in languages:
        if group and sum(max(len(one), 5) + 3 for one in [*group, language]) > room:
            yield group
            group = []
        group.append(language)
    yield group


def _directions(table: DirectionTable, run: Run) -> Table:
    """Fits into 80 columns: two lines per language, with the difference below the scores."""
    shown = Table(
        title=f"{table.metric} x 100 over n queries, before -> after",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    shown.add_column("language", overflow="fold")
    shown.add_column("n", justify="right")
    for kind in table.kinds:
        shown.add_column(kind, justify="right", no_wrap=True)
    rows = run.rows_by_language
    for row in table.rows:
        name = escape(language_name(row.language))
        trained = f"\n[dim]{rows[row.language]:,} rows[/]" if row.language in rows else ""
        shown.add_row(name + trained, f"{row.queries:,}", *(_cell(row.cells.get(kind)) for kind in table.kinds))
    shown.add_section()
    shown.add_row("mean", "", *(_cell(table.mean.get(kind)) for kind in table.kinds))
    return shown


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{points(cell.before)} -> {points(cell.after)}\n[{COLOURS[cell.verdict]}]{signed(cell.difference)}[/]"


def _search(search: Search) -> Table:
    meaning = f" ({search.meaning})" if search.meaning else ""
    title = f"{language_name(search.language)}: {search.query}{meaning}"
    shown = Table(title=escape(title), title_justify="left", expand=True)
    shown.add_column("before", ratio=1)
    shown.add_column("after", ratio=1)
    for old, new in zip(search.before, search.after, strict=True):
        shown.add_row(_hit(old), _hit(new))
    return shown


def _hit(hit: FoundPassage) -> str:
    mark = "[green]✓[/] " if hit.right else ""
    question = f"[bold]{escape(clean(hit.question, 90))}[/] " if hit.question else ""
    return f"{mark}{hit.score:.2f} {question}{escape(clean(hit.passage, 90))}"
