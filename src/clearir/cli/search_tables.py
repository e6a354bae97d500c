"""Search results in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from clearir.data.passages import QUESTION
from clearir.search.query import DEPTH, snippet
from clearir.support.languages import language_name
from clearir.support.texts import clean

if TYPE_CHECKING:
    from clearir.evaluation.export import Export
    from clearir.models.reranker import Reranking
    from clearir.models.trim import Trimmed
    from clearir.search.examples import First
    from clearir.search.index import IndexInfo
    from clearir.search.query import Compared, Hit, Moved


def describe(info: IndexInfo, rerank: Reranking | None = None) -> list[str]:
    """An index in a few lines, and the reranker behind it."""
    languages = ", ".join(f"{count:,} {code}" for code, count in info.languages.items())
    lines = [
        f"{info.passages:,} passages of {info.corpus}" + (f" ({languages})" if languages else ""),
        f"model: {info.model}, {info.dimensions} dimensions" + (" per token" if info.tokens else ""),
    ]
    if info.tokens is not None:
        megabytes = 4 * info.dimensions * info.tokens / 1e6
        lines.append(f"exact: every token is compared, {info.tokens:,} vectors ({megabytes:,.1f} MB)")
    elif info.recall is None:
        lines.append("exact: every vector is compared")
    else:
        lines.append(f"approximate: {info.probes} of {info.partitions} partitions, recall@10 {info.recall:.3f}")
    if rerank is not None:
        weight = f", with {rerank.first_weight:g} x the score of the model" if rerank.first_weight else ""
        lines.append(f"reranker: {rerank.name}, for the first {rerank.top} passages of each query{weight}")
    if info.fields:
        lines.append("fields: " + ", ".join(f"{field.name} ({field.kind})" for field in info.fields))
    return lines


def hits_table(query: str, hits: Sequence[Hit]) -> Table:
    """Rank, score, language, passage; with a reranker its score, too."""
    reranked = any(hit.rerank_score is not None for hit in hits)
    shown = Table(box=None, padding=(0, 1), expand=True)
    shown.add_column("", justify="right", style="dim")
    if reranked:
        shown.add_column("reranker", justify="right")
    shown.add_column("score", justify="right")
    shown.add_column("language")
    shown.add_column("passage", ratio=1)
    for hit in hits:
        scores = [_rerank_score(hit), f"{hit.score:.3f}"] if reranked else [f"{hit.score:.3f}"]
        shown.add_row(str(hit.rank), *scores, escape(hit.language or ""), _passage(hit, query))
    if not hits:
        shown.add_row("", "", "", "[dim]no passage matches the filters[/]")
    return shown


def compared_table(query: str, compared: Compared) -> Table:
    """Base and tuned side by side; each hit shows its rank with the other model."""
    shown = Table(padding=(0, 1), expand=True, show_lines=True)
    shown.add_column("base", ratio=1)
    shown.add_column("tuned", ratio=1)
    for row in range(max(len(compared.base), len(compared.tuned))):
        left = _moved(compared.base[row], query, tuned=False) if row < len(compared.base) else ""
        right = _moved(compared.tuned[row], query, tuned=True) if row < len(compared.tuned) else ""
        shown.add_row(left, right)
    return shown


def first_table(lines: Sequence[First], *, against_base: bool) -> Table:
    """How often the right passage ranks first, one row per language, and over all."""
    sides = ("base", "tuned") if against_base else ("tuned",)
    caption = f"{', '.join(sides)}: how often the right passage ranks first"
    shown = Table(caption=caption, caption_justify="left", min_width=52)
    shown.add_column("language")
    shown.add_column("queries", justify="right")
    for side in sides:
        shown.add_column(side, justify="right")
    for line in lines:
        cells = [str(getattr(line, side)) for side in sides]
        shown.add_row(escape(language_name(line.language)), str(line.queries), *cells)
    shown.add_section()
    total = [sum(getattr(line, side) or 0 for line in lines) for side in ("queries", *sides)]
    shown.add_row("all", *map(str, total))
    return shown


def exports_table(exports: Sequence[Export]) -> Table:
    """Size of each file, and how close it is to the original."""
    kinds = list(exports[0].scores)
    caption = "directions: nDCG@10 x 100" if kinds else None
    shown = Table(caption=caption, caption_justify="left", box=box.SIMPLE, padding=(0, 1))
    shown.add_column("file", overflow="fold")
    for name in ("cosine\nlowest", *kinds):
        shown.add_column(name, justify="right", no_wrap=True)
    for one in exports:
        scores = [f"{100 * one.scores[kind]:.1f}" for kind in kinds]
        name = f"{escape(one.file or 'original')}\n[dim]{one.megabytes:,.1f} MB[/]"
        shown.add_row(name, f"{one.cosine:.4f}\n{one.lowest_cosine:.4f}", *scores)
    return shown


def trimmed_table(trimmed: Trimmed) -> Table:
    """Sizes before and after, and the loss on held-out texts."""
    shown = Table(box=box.SIMPLE, padding=(0, 1))
    shown.add_column("")
    for name in ("original", "trimmed"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_row("words", f"{trimmed.words_before:,}", f"{trimmed.words:,}")
    shown.add_row("weights, MB", f"{trimmed.megabytes_before:,.1f}", f"{trimmed.megabytes:,.1f}")
    if trimmed.lowest_cosine is not None:
        shown.add_row("texts of the corpus: lowest cosine", "", f"{trimmed.lowest_cosine:.4f}")
    if (held_out := trimmed.held_out) is not None:
        shown.add_section()
        shown.add_row(f"{held_out.texts:,} held-out texts, with the words of the other texts", "", "")
        shown.add_row("  lost words", "", f"{held_out.lost:.2%}")
        shown.add_row("  texts with a lost word", "", f"{held_out.texts_with_lost:.1%}")
        shown.add_row("  mean cosine", "", f"{held_out.cosine:.4f}")
        shown.add_row("  lowest cosine", "", f"{held_out.lowest_cosine:.4f}")
    return shown


def movement(moved: Moved, *, tuned: bool) -> str:
    """The rank of a hit with the other model, in words."""
    if moved.other is None:
        return f"was beyond {DEPTH}" if tuned else f"now beyond {DEPTH}"
    if moved.other == moved.hit.rank:
        return "same rank"
    return f"was {moved.other}" if tuned else f"now {moved.other}"


def _moved(moved: Moved, query: str, *, tuned: bool) -> str:
    other = DEPTH + 1 if moved.other is None else moved.other
    better = (other > moved.hit.rank) if tuned else (other < moved.hit.rank)
    colour = "dim" if other == moved.hit.rank else "green" if better else "red"
    language = f" {escape(moved.hit.language)}" if moved.hit.language else ""
    score = _rerank_score(moved.hit) or f"{moved.hit.score:.3f}"
    head = f"{moved.hit.rank}  {score}{language}  [{colour}]{movement(moved, tuned=tuned)}[/]"
    return f"{head}\n{_passage(moved.hit, query)}"


def _rerank_score(hit: Hit) -> str:
    return "" if hit.rerank_score is None else f"{hit.rerank_score:.3f}"


def _passage(hit: Hit, query: str) -> str:
    heading = hit.title or str(hit.fields.get(QUESTION, ""))
    title = f"[bold]{escape(clean(heading, 100))}[/] " if heading else ""
    return f"{title}[dim]{escape(clean(hit.id, 60))}[/]\n{escape(snippet(hit.text, query))}"
