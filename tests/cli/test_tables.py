"""Every table that a command shows, at the 80 columns that a terminal or a pipe has: no number or word is cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from clearir.cli import tables
from clearir.cli.search_tables import compared_table, exports_table, first_table, hits_table
from clearir.evaluation.compare import Comparison, Difference
from clearir.evaluation.export import Export
from clearir.evaluation.merge_weight import Choice, Tried
from clearir.evaluation.mteb_task import MtebScores
from clearir.evaluation.registry import list_suites
from clearir.evaluation.scores import Direction, Scores
from clearir.evaluation.searches import FoundPassage as Passage
from clearir.evaluation.searches import Search
from clearir.models.prompts import Prompts
from clearir.report.load import Run
from clearir.report.study_table import BASE, Estimate, Line
from clearir.runs.prepare_run import Prepared
from clearir.search.examples import First
from clearir.search.query import Compared, Hit, Moved

LANGUAGES = ["en", "ar", "de", "es", "fi", "hi", "om", "sr-Latn", "sw", "uk", "vi", "yo", "zh-Hans", "zh-Hant"]
KINDS = ["en->en", "x->en", "en->x", "x->x", "x->y"]
MODEL = "runs/my-search-with-a-long-name/model"
Shown = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A function that gives the lines that something prints at 80 columns."""
    console = Console(width=80, highlight=False)
    monkeypatch.setattr(tables, "console", console)

    def lines(show: Callable[[], object]) -> list[str]:
        with console.capture() as captured:
            table = show()
            if table is not None:
                console.print(table)
        found = captured.get().splitlines()
        assert all(cell_len(line) <= 80 for line in found)
        return found

    return lines


def whole(lines: list[str], *texts: str) -> None:
    """Each text stands uncut on a line."""
    for text in texts:
        assert any(text in line for line in lines), f"{text!r} is cut in\n" + "\n".join(lines)


def direction(query: str, passage: str, values: dict[str, list[float]], corpus: int = 11_590) -> Direction:
    count = len(values["ndcg@10"])
    ids = [f"q{n}" for n in range(count)]
    return Direction(query, passage, corpus, ids, ids, values, [1] * count, [[]] * count)


def scores(value: float = 0.5, model: str = MODEL) -> Scores:
    every = [direction(q, p, {"ndcg@10": [value] * 2}) for q in LANGUAGES for p in LANGUAGES]
    extra = {"ndcg@10": [1.0], "max@r": [11_590.5], "complete@10": [1.0], "bridge@10": [1.0]}
    pools = [direction("zh-Hant", name, extra) for name in ("en+zh-Hant", "all")]
    return Scores(
        suite="a-suite",
        suite_hash="0",
        model=model,
        model_hash="1",
        bridge="en",
        directions={one.name: one for one in every},
        pools={one.name: one for one in pools},
    )


def test_matrix(shown: Shown) -> None:
    lines = shown(lambda: tables.show_matrix(scores(1.0)))
    for language in LANGUAGES:
        row = [line for line in lines if line.split()[:1] == [language]]
        assert sum(line.count("100.0") for line in row) == len(LANGUAGES)
    heads = [line.split()[3:] for line in lines if line.lstrip().startswith("query \\ passage")]
    assert [language for head in heads for language in head] == LANGUAGES
    whole(lines, "zh-Hant->en+zh-Hant", "11,590", "11590.5", "complete@10", "bridge@10", "mean x->y: 100.0")


def test_comparison(shown: Shown) -> None:
    def row(part: str, name: str) -> Difference:
        values = (11_590, 10_240, 1.0, 0.0, -1.0, 10.123, -1.0, -0.999, 0.0001, 0.0004, "not shown")
        return Difference(MODEL, part, name, *values)

    names = [("kinds", kind) for kind in KINDS]
    names += [("directions", f"{q}->{p}") for q in LANGUAGES for p in LANGUAGES] + [("pools", "zh-Hant->en+zh-Hant")]
    rows = tuple(row(*one) for one in names)
    comparison = Comparison("a-suite", "ndcg@10", "base", "en", rows, {MODEL: "of 196 directions ..."})
    lines = shown(lambda: tables.show_comparison(comparison))
    whole(lines, *(name for _, name in names))
    parts = ("11,590", "10,240", "100.0 -> 0.0", "1012.3 %", "-100.0", "-100.0 to -99.9", "< 0.001", "n.s.")
    for part in parts:
        assert sum(part in line for line in lines) >= len(rows)
    whole(lines, "scores", "retention", "95 % interval", "p (Holm)", "n.s.: not significant")


def test_run(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search("sw", "swali " * 20, [Passage("text " * 50, 0.5)], [Passage("text " * 50, 0.7)], "meaning " * 12)
    run = Run("x", scores(0.9, "base"), scores(0.1), ("a.json", "b.json"), searches=(search,))
    # The comparison takes long and is not what is looked at here.
    rows = tuple(
        Difference(MODEL, "directions", name, 2, 2, 1.0, 0.0, -1.0, 0.0, None, None, 0.5, 1.0, "not shown")
        for name in run.before.directions
    )
    run.__dict__["comparison"] = Comparison("a-suite", "ndcg@10", "base", "en", rows, {MODEL: "nothing is shown"})
    monkeypatch.chdir(tmp_path)
    for ending in ("csv", "html", "md"):
        (tmp_path / f"report.{ending}").touch()
    lines = shown(lambda: tables.show_run(run, Path()))
    assert lines[-5:] == [
        "model:  model",
        "report: report.html",
        "report: report.csv",
        "report: report.md",
        "next, to search with it: clearir index model rows --source table --out index",
    ]
    assert sum(line.count("90.0 -> 10.0") == 4 for line in lines) == len(LANGUAGES)
    whole(lines, "Chinese", "(Latin)", "Vietnamese")


def test_study(shown: Shown, tmp_path: Path) -> None:
    over = Estimate(-0.1, -0.2, -0.15)
    names = [BASE, "clear", "clear-plus+merge", "0.3*forward+0.3*direct+0.3*reverse+0.1*consistency"]
    lines = [Line("in domain", kind, name, 3, Estimate(1.0, 0.9, 1.0), over, over) for kind in KINDS for name in names]
    lines = [replace(line, over_base=None, over_first=None) if line.objective == BASE else line for line in lines]
    found = shown(lambda: tables.show_study(lines, tmp_path))
    assert sum(line.count("-20.0 to -15.0") for line in found) == 2 * 3 * len(KINDS)
    assert sum(line.count(" -10.0 ▼") for line in found) == 2 * 3 * len(KINDS)
    whole(found, *KINDS, "clear-plus+merge", "over base", "over clear", "100.0")


def test_choice(shown: Shown) -> None:
    tried = tuple(Tried(cross=1.0, bridge=1.0, retention=1.0, kept=n < 5, weight=n / 10) for n in range(11))
    lines = shown(lambda: tables.show_choice(Choice(0.5, 0.995, "a-suite", "en", tried)))
    whole(lines, "weight", "x->en", "en->en", "retention", "100.0 %", "below the bound")


def test_mteb(shown: Shown) -> None:
    def scores(*values: float | None) -> MtebScores:
        names = [f"{one}-{one}" for one in ("en", "zh-Hant", "eng_Latn-zho_Hant")]
        subsets = {
            name: {} if value is None else {"main_score": value} for name, value in zip(names, values, strict=True)
        }
        return MtebScores("STS22.v2", "STS", "cosine_spearman", MODEL, "", Prompts(), "2", {"validation": subsets})

    first, second = scores(0.5, 0.25, None), scores(1.0, 0.125, 0.5)
    lines = shown(lambda: tables.show_mteb(first))
    whole(lines, "validation", "zh-Hant-zh-Hant", "score", "50.0", "25.0", "–")
    assert f"{MODEL} on STS22.v2 (STS): cosine_spearman x 100" in " ".join(" ".join(lines).split())
    assert "37.5" in next(line for line in lines if "mean" in line)  # (50 + 25) / 2
    lines = shown(lambda: tables.show_mteb(second, first))
    assert [line.split("│")[-2].strip() for line in lines if "validation" in line] == ["+50.0", "-12.5", "–"]


def prepared(folder: Path, **facts: object) -> Prepared:
    counts = dict.fromkeys(LANGUAGES, 1_234_567)
    nothing = {"left_out": {}, "filtered": [], "decontaminated": None, "translations": {}, "mined": None}
    return Prepared(folder, {"splits": {"train": counts, "dev": counts, "test": counts}, **nothing, **facts}, True)


def test_prepared(shown: Shown, tmp_path: Path) -> None:
    example = {"query": "query " * 30, "target_query": "kysymys " * 30}
    reason = "the target query is the query itself, untranslated"
    facts = {"filtered": [{"reason": reason, "rows": 1_234_567, "examples": [example] * 3}]}
    facts |= {"decontaminated": {"dropped": {"a text of mlqa": 12}}, "mined": {"topped_up": [1, 2]}}
    lines = shown(lambda: tables.show_prepared(prepared(tmp_path, **facts)))
    whole(lines, *LANGUAGES, "dropped: 1,234,567 rows", "dropped: 12 rows (a text of mlqa)")
    assert sum(line.count("1,234,567") for line in lines) == 3 * len(LANGUAGES) + 1
    # One example of a reason, cut where the line ends.
    assert [line for line in lines if "query query" in line] == ["  " + ("query " * 30)[:77] + "…"]
    assert [line for line in lines if "kysymys" in line] == ["  -> " + ("kysymys " * 30)[:74] + "…"]


def test_rows_that_were_dropped_for_one_reason_by_reader_and_filter_are_counted_together(
    shown: Shown, tmp_path: Path
) -> None:
    facts = {
        "left_out": {"duplicate": 5, "no answer": 9},
        "filtered": [{"reason": "duplicate", "rows": 7, "examples": []}],
    }
    lines = shown(lambda: tables.show_prepared(prepared(tmp_path, **facts)))
    assert [line for line in lines if line.startswith("dropped")] == [
        "dropped: 12 rows (duplicate)",
        "dropped: 9 rows (no answer)",
    ]
    lines = shown(lambda: tables.show_prepared(prepared(tmp_path)))
    assert [line for line in lines if line.startswith("dropped")] == ["dropped: no row"]


def test_translations_stand_one_text_a_line_in_any_script(shown: Shown, tmp_path: Path) -> None:
    pairs = {
        "ar": [["How do I save a file?", "كيف أحفظ ملفًا؟"], ["How do I print?", "كيف أطبع؟ " * 20]],
        "zh-Hans": [["[bold] and :smile:", "如何保存文件" * 20]],
    }
    lines = shown(lambda: tables.show_prepared(prepared(tmp_path, translations=pairs)))
    at = lines.index("Arabic")
    assert lines[at + 1 : at + 4] == ["  How do I save a file?", "  -> كيف أحفظ ملفًا؟", "  How do I print?"]
    assert lines[at + 4].startswith("  -> كيف أطبع؟ كيف")
    assert lines[at + 4].endswith("…")
    assert lines[at + 5 : at + 7] == ["Chinese", "  [bold] and :smile:"]
    # 80 columns less the arrow's 5 and the ellipsis leave 37 characters of two columns
    assert lines[at + 7] == "  -> " + ("如何保存文件" * 20)[:37] + "…"


def test_suites(shown: Shown) -> None:
    rows = list_suites()
    lines = shown(lambda: tables.show_suites(rows))
    text = " ".join(" ".join(lines).split())
    whole(lines, *(row["name"] for row in rows), *(row["revision"] for row in rows))
    for row in rows:
        assert row["size"] in text
        assert row["source"] in text
        assert row["licence"] in text


def hit(rank: int) -> Hit:
    return Hit(rank, 0.123456, f"identifier-{rank}", "title " * 20, "passage " * 100, "zh-Hant", {})


def test_hits(shown: Shown) -> None:
    lines = shown(lambda: hits_table("query", [hit(1), hit(1000)]))
    whole(lines, "1000", "0.123", "zh-Hant", "identifier-1000")


def test_reranked_hits(shown: Shown) -> None:
    reranked = replace(hit(1), rerank_score=0.98765)
    lines = shown(lambda: hits_table("query", [reranked, hit(1000)]))
    whole(lines, "reranker  score  language", "0.988  0.123  zh-Hant", "1000            0.123  zh-Hant")
    lines = shown(lambda: compared_table("query", Compared([Moved(reranked, 7)], [Moved(reranked, 7)])))
    whole(lines, "1  0.988 zh-Hant  now 7", "1  0.988 zh-Hant  was 7")


def test_hits_of_two_models(shown: Shown) -> None:
    sides = [Moved(hit(99), None), Moved(hit(100), 100)]
    lines = shown(lambda: compared_table("query", Compared(sides, sides)))
    whole(lines, "99  0.123 zh-Hant  now beyond 100", "99  0.123 zh-Hant  was beyond 100", "same rank")


def test_first_places(shown: Shown) -> None:
    lines = shown(lambda: first_table([First("zh-Hant", 12_345, 12_345, 12_345)], against_base=True))
    whole(lines, "Chinese (Traditional)", "12345", "queries", "tuned")


def test_exports(shown: Shown) -> None:
    files = ["", "onnx/model.onnx", "onnx/model_qint8.onnx"]
    exports = [Export(file, 12_345.6, 1.0, math.cos(0.5), dict.fromkeys(KINDS, 1.0)) for file in files]
    lines = shown(lambda: exports_table(exports))
    whole(lines, "original", *files, "12,345.6 MB", "1.0000", "0.8776", *KINDS)
    assert sum(line.count("100.0") for line in lines) == len(files) * len(KINDS)
