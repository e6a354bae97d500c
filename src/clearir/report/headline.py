"""The title and the first sentences of a report, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from clearir.evaluation.compare import BETTER, FEW, KINDS, NOT_SHOWN, WORSE, Difference
from clearir.evaluation.metrics import BITEXT
from clearir.report import proof
from clearir.report.direction_table import Cell, DirectionTable
from clearir.report.load import Run
from clearir.report.text import count, percent, points, signed, signed_percent, whole_percent
from clearir.support.languages import language_name

#: The bridge language is as good as before if the 95 % interval of its difference excludes a loss of as much.
MARGIN = 0.02
_LANGUAGES_NAMED = 3


def title(run: Run) -> str:
    """What was measured, in words."""
    languages = run.cross_languages
    told = f" in {languages_in_words(languages)}" if languages else ""
    what = "Finding" if run.before.task == BITEXT else "Searching"
    found = "translations of sentences" if run.before.task == BITEXT else "pages"
    return f"{what} {language_name(run.before.bridge)} {found}{told}, {_what_differs(run)}"


def _what_differs(run: Run) -> str:
    """A reranker, where a model was scored without and with one; else training."""
    behind = run.after.settings.get("rerank")
    added = run.training is None and behind is not None and behind["model_hash"] == run.before.model_hash
    return "without and with a reranker" if added else "before and after training"


def sentences(run: Run) -> list[str]:
    """The result in plain words: how often the right page comes first, whether the bridge language is as good as
    before, and which languages are worse.
    """
    across = run.first_place(f"x->{run.before.bridge}", KINDS)
    worse = run.table.worse if len(run.table.rows) > 1 else []
    return [
        *([_across(across, run.cross_languages, run.answer)] if across else []),
        *_bridge(run),
        *([f"Worse than before: {names(worse)}."] if worse else []),
    ]


def a_point(run: Run) -> str:
    """What one point of the score is, with an example from the run."""
    meaning = (
        "One point (nDCG@10 × 100) is 1 search in 100 whose right page moves from below the tenth place to the first"
    )
    if run.before.task == BITEXT:
        meaning = "One point (accuracy × 100) is 1 sentence in 100 whose right translation moves to the first place"
    row = next((row for _, row in proof.cross(run) if signed(row.difference) != "0.0"), None)
    if row is None:
        return f"{meaning}."
    first, ten = (_places(run, row.name, most) for most in (1, 10))
    gained = "gained" if row.difference > 0 else "lost"
    language = language_name(run.before.direction(row.name).query_language)
    return (
        f"{meaning}: {language} {gained} {points(abs(row.difference))} points, and the right {run.answer} comes first "
        f"in {first[1]} of its {row.queries:,} searches instead of {first[0]}, and among the first ten in {ten[1]} "
        f"instead of {ten[0]}."
    )


def what_was_searched(run: Run) -> str:
    """How many queries stand behind the first sentence, and how they are averaged."""
    directions = [run.before.directions[row.name] for _, row in proof.cross(run)]
    if not directions:
        return ""
    sizes = sorted({one.corpus_size for one in directions})
    pages = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    searches = count(sum(len(one.query_ids) for one in directions), "search")
    languages = languages_in_words(run.cross_languages)
    text = f"{searches} in {languages}, each among {pages} {_bridge_name(run)} {run.passages}."
    return f"{text} Every language counts the same (macro-averaged success@1)." if len(directions) > 1 else text


def means(table: DirectionTable) -> list[str]:
    """The mean scores: the cross-lingual gain, the retention of the bridge language, and the languages that are
    significantly better or worse.
    """
    bridge = language_name(table.bridge)
    lines = []
    if cross := table.cross:
        lines.append(
            f"Queries in other languages on {bridge} passages: {table.metric} {points(cross.before)} → "
            f"{points(cross.after)} ({signed(cross.difference)} points, {signed_percent(cross.relative)}), "
            f"mean of {count(len(table.rows), 'language')}{unless_shown(cross)}."
        )
    if english := table.english:
        lines.append(
            f"{bridge} queries on {bridge} passages: {points(english.before)} → {points(english.after)} "
            f"({signed(english.difference)} points{unless_shown(english)}); retention {percent(table.retention)}."
        )
    if table.cross:
        lines.append(
            f"Significantly better: {names(table.improved)}. Significantly worse: {names(table.worse)}. "
            f"No significant difference: {names(table.unclear)}."
        )
    return lines


def unless_shown(cell: Cell) -> str:
    """What a sentence adds to a difference that may be due to chance."""
    return ", not significant" if cell.verdict == NOT_SHOWN else ""


def names(languages: Sequence[str]) -> str:
    """``German, Finnish``, or ``none``."""
    return ", ".join(language_name(language) for language in languages) or "none"


def languages_in_words(languages: Sequence[str], the: str = "") -> str:
    """A few by their names, ``German and Finnish``; of more their number, ``8 languages``."""
    if len(languages) > _LANGUAGES_NAMED:
        return f"{the}{len(languages)} languages"
    *others, last = map(language_name, languages)
    return f"{', '.join(others)} and {last}" if others else last


def _bridge_name(run: Run) -> str:
    return language_name(run.before.bridge)


def _across(row: Difference, languages: Sequence[str], answer: str) -> str:
    searches = f"earches in {languages_in_words(languages, 'the ')}"
    before, after = whole_percent(row.baseline), whole_percent(row.mean)
    if row.verdict == NOT_SHOWN:
        chance = f"{count(row.queries, 'search')} are too few to tell" if row.queries < FEW else "that may be chance"
        change = "as before" if before == after else f"{before} before; {chance}"
        return f"No clear change for s{searches}: the right {answer} is in first place in {after} of them, {change}."
    if row.verdict == WORSE:
        how = f"less often: in {after} of them, {before} before"
    elif not row.baseline:
        how = f"in {after} of cases, and never did before"
    else:
        how = _more(row.mean / row.baseline)
    return f"S{searches} now put the right {answer} in first place {how}."


def _more(ratio: float) -> str:
    """``41 % more often``, ``twice as often``, ``2.4 times as often``, and without decimals from 3 on."""
    if ratio < 1.95:
        return f"{whole_percent(ratio - 1)} more often"
    number = f"{ratio:.1f}" if ratio < 2.95 else f"{ratio:.0f}"
    return "twice as often" if number == "2.0" else f"{number} times as often"


def _bridge(run: Run) -> list[str]:
    bridge, cell = _bridge_name(run), run.table.english
    row = run.difference(f"{run.before.bridge}->{run.before.bridge}")
    if cell is None or row is None:
        return []
    if row.verdict in (BETTER, WORSE):
        return [f"Search in {bridge} got {row.verdict}: from {points(cell.before)} to {points(cell.after)} points."]
    if row.low is not None and row.low > -MARGIN and row.queries >= FEW:
        return [f"Search in {bridge} is as good as before."]
    return [f"No clear change in {bridge}: {points(cell.before)} points before, {points(cell.after)} after."]


def _places(run: Run, name: str, most: int) -> tuple[int, int]:
    """Queries whose first relevant passage is among the first ``most``, before and after."""
    before, after = (sum(rank <= most for rank in scores.directions[name].ranks) for scores in (run.before, run.after))
    return before, after
