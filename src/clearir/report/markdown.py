"""A report as Markdown, for terminals, code reviews and hub pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from clearir.evaluation.fired_words import FiredWord
from clearir.evaluation.searches import FoundPassage, first_places_in_words, one_each
from clearir.report import proof
from clearir.report.direction_table import Cell, DirectionTable
from clearir.report.examples import Change, Found, most_changed, typical_searches
from clearir.report.headline import a_point, means, sentences, title, what_was_searched
from clearir.report.load import TERMS, Run, Training
from clearir.report.text import interval, markdown, p_value, points, signed, verdict_in_words
from clearir.support.languages import language_name
from clearir.support.texts import printable

EXAMPLES = 5


def to_markdown(run: Run) -> str:
    """The whole report as Markdown."""
    parts = [
        f"# {markdown(title(run))}",
        *result(run),
        f"Run: {markdown(run.name)}. Before: {markdown(run.before.model)}. After: {markdown(run.after.model)}."
        f" Suite: {markdown(run.before.suite)}.",
        "## Scores",
        *scores_section(run),
        *_typical(run),
        *proof_section(run),
        *_examples(run),
        *_searches(run),
        *_words(run),
        *(_training(run.training) if run.training else []),
        *data_section(run),
        *settings_section(run),
        "## Where the numbers come from",
        provenance(run),
    ]
    return join(parts)


def join(parts: Sequence[str]) -> str:
    """Blocks with an empty line between them; items of one list stay together."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        text += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return text.strip() + "\n"


def result(run: Run) -> list[str]:
    """The result in plain words, as blocks."""
    return [markdown(one, 2000) for one in (" ".join(sentences(run)), what_was_searched(run)) if one]


def scores_section(run: Run) -> list[str]:
    """The means and the table of `score_table`, as blocks."""
    table = run.table
    lines = [f"- {markdown(line, 2000)}" for line in means(table)]
    return [*lines, markdown(a_point(run), 1000), score_table(table), table_note(table)]


def score_table(table: DirectionTable) -> str:
    """One row a language, and their mean: ``before → after (difference)`` in points.

    The mean has no bridge->bridge, which each row has over other queries.
    """
    head = ["language", "queries", *map(markdown, table.kinds)]
    rows = [
        [f"{markdown(language_name(row.language))} ({markdown(row.language)})", str(row.queries)]
        + [_cell(row.cells.get(kind)) for kind in table.kinds]
        for row in table.rows
    ]
    if len(rows) > 1:
        rows.append(["**mean**", "", *(_mean(table, kind) for kind in table.kinds)])
    return grid(head, rows)


def table_note(table: DirectionTable) -> str:
    """How to read the numbers of `score_table`."""
    code, bridge = markdown(table.bridge), markdown(language_name(table.bridge))
    note = f"{markdown(table.metric)} x 100. x->{code}: queries in the language of the row, passages in {bridge}."
    if table.english is None:
        return note
    return f"{note} {code}->{code} covers only the {bridge} queries that are also asked in the language of the row."


def proof_section(run: Run) -> list[str]:
    """Significant and other differences, as blocks: kinds of direction, then target queries on bridge passages."""
    differences = proof.kinds(run) + [row for _, row in proof.cross(run)]
    head = ["direction", "queries", "difference", "95 % interval", "p (Holm)", "verdict"]
    rows = [
        [
            markdown(row.name),
            str(row.queries),
            signed(row.difference),
            interval(row.low, row.high),
            p_value(row.p_holm),
            verdict_in_words(row.verdict),
        ]
        for row in differences
    ]
    return ["## How sure is this?", markdown(run.verdict, 2000), grid(head, rows)]


def data_section(run: Run) -> list[str]:
    """Sizes of the data, as blocks; none if the run has no such facts."""
    data = run.data
    if data is None:
        return []
    parts = list(dict.fromkeys(part for sizes in data.languages.values() for part in sizes))
    rows = [
        [
            f"{markdown(language_name(language))} ({markdown(language)})",
            *(str(data.languages[language].get(part, 0)) for part in parts),
        ]
        for language in run.rows_by_language
    ]
    notes = []
    if data.source:
        notes.append(f"Source: {markdown(data.source)}.")
    for name, numbers in (
        ("Hard negatives per row", data.negatives),
        ("Of these, outside the rank window", data.topped_up),
    ):
        if numbers and any(numbers):
            notes.append(f"{name}: {passages_and_queries(numbers)}.")
    notes.append(f"Duplicates dropped: {data.duplicates}.")
    notes += [f"Skipped, {markdown(reason)}: {number}." for reason, number in data.skipped.items()]
    return ["## Data", grid(["language", *map(markdown, parts)], rows), " ".join(notes)]


def passages_and_queries(numbers: Sequence[int]) -> str:
    """Two numbers of hard negatives in words."""
    return ", ".join(f"{name} {number}" for name, number in zip(("passages", "target queries"), numbers, strict=False))


def settings_section(run: Run) -> list[str]:
    """The recipe, as blocks."""
    return ["## Settings", _fenced(printable(run.recipe), "yaml")] if run.recipe else []


def provenance(run: Run) -> str:
    """Which files hold the values, and how to print them."""
    before, after = run.files
    return (
        "Every mean is computed from the per-query values in"
        f" {code(before)} and {code(after)}\n(`directions`, then `de->en`, then `values`, then the metric; the"
        " queries' ids are in `query_ids`)."
        f"\n\n{_fenced(f'clearir compare {before} {after}', 'sh')}"
    )


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """A table of cells that are Markdown already; columns of numbers (all but the first) are set to the right."""
    lines = [head, ["---", *["---:" if numbers else "---"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell | None) -> str:
    return f"{points(cell.before)} → {points(cell.after)} ({signed(cell.difference)})" if cell else "–"


def _mean(table: DirectionTable, kind: str) -> str:
    return "" if kind == f"{table.bridge}->{table.bridge}" else f"**{_cell(table.mean[kind])}**"


def _typical(run: Run) -> list[str]:
    note, changes = typical_searches(run)
    rows = [
        [
            markdown(language_name(change.language)),
            markdown(change.query if change.query is not None else change.query_id, 120),
            markdown(change.meaning or "", 120),
            markdown(change.gold.text if change.gold.text is not None else change.gold.identifier, 120),
            f"{change.ranks[0]} → {change.ranks[1]}",
        ]
        for change in changes
    ]
    head = [
        "language",
        "search",
        f"in {markdown(language_name(run.before.bridge))}",
        f"right {run.answer}",
        "its place",
    ]
    return ["## Examples", note, grid(head, rows, numbers=False)] if rows else []


def _examples(run: Run) -> list[str]:
    gained, lost = most_changed(run)
    return [
        *(["## Queries that gained most", *map(_change, gained[:EXAMPLES])] if gained else []),
        *(["## Queries that lost most", *map(_change, lost[:EXAMPLES])] if lost else []),
    ]


def _change(change: Change) -> str:
    title = markdown(change.query if change.query is not None else change.query_id)
    head = (
        f"**{title}** ({markdown(change.direction)}, {points(change.values[0])} → {points(change.values[1])},"
        f" rank {change.ranks[0]} → {change.ranks[1]})"
    )
    rows = [
        [str(place + 1), *(_found(top[place]) if place < len(top) else "" for top in change.top)]
        for place in range(max(map(len, change.top)))
    ]
    return f"{head}\n\n{grid(['', 'before', 'after'], rows, numbers=False)}"


def _found(found: Found) -> str:
    text = markdown(found.text if found.text is not None else found.identifier, 120)
    return f"**{text}** ✓" if found.right else text


def _searches(run: Run) -> list[str]:
    if not run.searches:
        return []
    places = first_places_in_words(run.searches)
    parts = ["## Searches", *([f"Among all test passages, {places}."] if places else [])]
    for search in one_each(run.searches):
        rows = [
            [
                str(place + 1),
                *(_hit(side[place]) if place < len(side) else "" for side in (search.before, search.after)),
            ]
            for place in range(max(len(search.before), len(search.after)))
        ]
        meaning = f": {markdown(search.meaning)}" if search.meaning else ""
        parts.append(f"**{markdown(search.query)}** ({markdown(language_name(search.language))}{meaning})")
        parts.append(grid(["", "before", "after"], rows, numbers=False))
    return parts


def _words(run: Run) -> list[str]:
    if run.words is None:
        return []
    counts = [
        [language_name(one.language), f"{one.queries:,}", f"{one.before:.1f}", f"{one.after:.1f}"]
        for one in run.words.languages
    ]
    examples = [
        [
            f"{markdown(one.query, 80)} ({markdown(one.meaning, 80)})",
            *(", ".join(_fired(word) for word in side) for side in (one.before, one.after)),
        ]
        for one in run.words.examples
    ]
    return [
        "## Words that queries fire",
        run.words.sentence,
        grid(["queries in", "queries", "before", "after"], counts),
        "The words of some queries, the strongest first; words that count are bold.",
        grid(["query", "before", "after"], examples, numbers=False),
    ]


def _fired(word: FiredWord) -> str:
    return f"**{markdown(word.word)}**" if word.bridge else markdown(word.word)


def _hit(hit: FoundPassage) -> str:
    question = f"*{markdown(hit.question, 80)}*: " if hit.question else ""
    passage = markdown(hit.passage, 120)
    return f"{question}{f'**{passage}** ✓' if hit.right else passage} ({hit.score:.2f})"


def _training(training: Training) -> list[str]:
    terms = ["step", *(term for term in TERMS if training.curve(term))]
    logged = [entry for entry in training.log if "loss" in entry]
    few = [logged[i] for i in sorted({round(k * (len(logged) - 1) / 5) for k in range(6)})] if logged else []
    rows = [[f"{entry['step']:.0f}", *(_number(entry.get(term)) for term in terms[1:])] for entry in few]
    seen = sum(training.rows_by_language.values())
    note = f"{training.steps} steps in {training.seconds:.0f} s"
    note += f", {seen} rows seen, counting repetitions" if seen else ""
    parts = ["## Training", f"{note}.", *scale_note(training)]
    return [*parts, grid(terms, rows)] if rows else parts


def scale_note(training: Training) -> list[str]:
    """The scale of the loss and where it comes from, as a block; none if the run has no such facts."""
    return [f"Trained with {markdown(training.scale.sentence, 1000)}."] if training.scale else []


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def code(text: str) -> str:
    """Text between backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any row of backticks in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
