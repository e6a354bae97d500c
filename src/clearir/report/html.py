"""A report as one self-contained HTML page: no script, no request, figures inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearir.evaluation.compare import KINDS, NOT_SHOWN
from clearir.evaluation.searches import first_places_in_words, one_each
from clearir.report import charts, headline, proof
from clearir.report.direction_table import cell
from clearir.report.examples import LANGUAGES, Change, extremes, typical_searches
from clearir.report.load import TERMS, Run
from clearir.report.markdown import passages_and_queries
from clearir.report.pools import pool_tables
from clearir.report.text import interval, p_value, percent, points, signed, verdict_in_words, whole_percent
from clearir.support.languages import language_name
from clearir.support.templates import html_template
from clearir.support.texts import clean, printable

EXAMPLES = 3
#: rows of the first table that are not folded
LANGUAGES_UNFOLDED = 16


def to_html(run: Run) -> str:
    """The whole report as one page."""
    template = html_template(
        "clearir.report",
        "report.html.j2",
        points=points,
        signed=lambda value: signed(value).replace("-", "−"),
        percent=percent,
        whole_percent=whole_percent,
        p_value=p_value,
        verdict=verdict_in_words,
        interval=lambda row: interval(row.low, row.high).replace("-", "−"),
        language=language_name,
        clean=clean,
    )
    table = run.table
    bridge = table.bridge
    return template.render(
        run=run,
        table=table,
        title=headline.title(run),
        sentences=headline.sentences(run),
        a_point=headline.a_point(run),
        what_was_searched=headline.what_was_searched(run),
        unless_shown=headline.unless_shown,
        in_the_languages=headline.languages_in_words(run.cross_languages, "the ") if run.cross_languages else "",
        across=run.first_place(f"x->{bridge}", KINDS),
        english=run.first_place(f"{bridge}->{bridge}"),
        margin=headline.MARGIN,
        unfolded=LANGUAGES_UNFOLDED,
        matrices=matrices(run),
        curves=curves(run),
        distances=any(run.training.curve(term) for term in ("retain", "distil")) if run.training else False,
        scale_curve=scale_curve(run),
        pools=pool_tables(run),
        typical=typical_searches(run),
        examples=examples(run),
        searches=one_each(run.searches),
        places=first_places_in_words(run.searches),
        sizes=sizes(run),
        recipe=printable(run.recipe or ""),
        facts=facts(run),
        passages_and_queries=passages_and_queries,
        proof=proof,
        intervals=intervals(run),
    )


def intervals(run: Run) -> str:
    """Target queries on bridge passages: differences with their 95 % intervals; empty where there are none."""
    known = [(language, row) for language, row in proof.cross(run) if row.low is not None]
    return (
        charts.intervals(
            [language_name(language) for language, _ in known],
            [(row.low or 0.0, row.difference, row.high or 0.0) for _, row in known],
            [row.verdict for _, row in known],
            "Difference and 95 % interval, in points",
        )
        if known
        else ""
    )


def matrices(run: Run) -> list[tuple[str, str]]:
    """Title and figure of all directions: before, after and the difference."""
    metric = run.metric
    scored = run.before.directions.values()
    languages = [run.before.bridge, *run.languages]
    down = [one for one in languages if any(one == direction.query_language for direction in scored)]
    across = [one for one in languages if any(one == direction.passage_language for direction in scored)]
    cells = [[cell(run.before, run.after, f"{query}->{passage}", metric) for passage in across] for query in down]
    before = [[each.before if each else None for each in row] for row in cells]
    after = [[each.after if each else None for each in row] for row in cells]
    difference = [[each.difference if each else None for each in row] for row in cells]
    shown = {row.name for row in proof.directions(run) if row.verdict != NOT_SHOWN}
    clear = [[f"{query}->{passage}" in shown for passage in across] for query in down]
    down, across = [list(map(language_name, languages)) for languages in (down, across)]
    return [
        ("Before", charts.heat_map(down, across, before, f"{metric} before")),
        ("After", charts.heat_map(down, across, after, f"{metric} after")),
        ("Difference", charts.heat_map(down, across, difference, f"{metric}, difference", shown=clear)),
    ]


def curves(run: Run) -> list[tuple[str, str]]:
    """Title and figure of every term of the loss that the training log has at least twice."""
    found = []
    for term, title in TERMS.items():
        logged = run.training.curve(term) if run.training else []
        if len(logged) > 1:
            steps, values = [step for step, _ in logged], [value for _, value in logged]
            found.append((title, charts.curve(steps, values, f"{title}, over the steps of training")))
    return found


def scale_curve(run: Run) -> str:
    """The figure of how the scale was found; empty where the run does not tell."""
    scale = run.training.scale if run.training else None
    if scale is None or not scale.curve:
        return ""
    title = "Cross-entropy of the untrained model by scale, English query to passage"
    return charts.scale_curve(scale.curve, scale.used, title)


def examples(run: Run) -> list[tuple[str, list[Change], list[Change]]]:
    """Language, queries that gained most, queries that lost most, on bridge passages."""
    found = [
        (language, *extremes(run, f"{language}->{run.before.bridge}", EXAMPLES))
        for language in run.languages[:LANGUAGES]
    ]
    return [(language, gained, lost) for language, gained, lost in found if gained or lost]


def sizes(run: Run) -> dict[str, Any]:
    """Parts of the data (train, dev, test) and a row of numbers a language, with the rows seen in training."""
    if run.data is None:
        return {"parts": [], "rows": []}
    parts: Sequence[str] = list(dict.fromkeys(part for one in run.data.languages.values() for part in one))
    ordered = [(code, run.data.languages[code]) for code in run.rows_by_language]
    seen = run.training.rows_by_language if run.training else {}
    rows = [(code, [one.get(part, 0) for part in parts], seen.get(code)) for code, one in ordered]
    return {"parts": parts, "rows": rows}


def facts(run: Run) -> list[tuple[str, str]]:
    """What the scores tell about how they were made: settings and environment, a line a key."""
    parts = (run.after.settings, run.after.environment)
    found = [(key.replace("_", " "), in_words(value)) for part in parts for key, value in part.items()]
    return [(key, words) for key, words in found if words]


def in_words(value: Any) -> str:
    """A JSON value as people write it; nothing for what says nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {words}" for key, one in value.items() if (words := in_words(one)))
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
