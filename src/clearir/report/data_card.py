"""The data card: the README.md of a prepared folder, for data set hubs, ``datasets`` and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.report.markdown import grid, join
from clearir.report.text import markdown
from clearir.support.languages import language_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURE = "scores.png"
_BINS = 80  # from cosine -0.6 to 1
_LOW, _HIGH = -0.6, 1.0

_COLUMNS = """`query` and `passage` are in the bridge language; `target_query` is the query in `language`. `negative_1`
... are passages that do not answer the query; `target_negative_1` ... are queries in `language` that the passage does
not answer. The hardest negatives come first, and only `train` has negatives. `target_passage` is the passage in
`language`, if the source has it. `passage_id` and `query_id` identify the same passage and question across rows and
languages; `page_id` identifies passages that are sections of one page."""

_USE = """```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder")
```"""


def data_card(name: str, facts: Mapping[str, Any]) -> str:
    """README.md of a prepared folder.

    Args:
        name: of the data.
        facts: what `clearir.runs.prepare_run.prepare` puts into the manifest under ``"result"``.
    """
    splits: Mapping[str, Mapping[str, int]] = facts["splits"]
    bridges = ", ".join(map(language_name, facts["bridges"]))
    parts = [
        _front_matter(facts),
        f"# {markdown(name)}",
        f"Queries in {markdown(bridges)} with the passages that answer them, and the same queries in other languages,"
        " for training retrieval models with CLEAR. Created by `clearir prepare`; `manifest.json` lists every setting.",
        _USE,
        "## Rows",
        _sizes(splits),
        *_stages(facts),
        *_translations(facts["translations"]),
        *_mining(facts.get("mined")),
        "## Columns",
        " ".join(_COLUMNS.split()),
        "## Licence",
        "The licence of the source data applies.",
    ]
    return join(parts)


def _front_matter(facts: Mapping[str, Any]) -> str:
    import yaml

    languages = sorted({*facts["bridges"], *(code for counts in facts["splits"].values() for code in counts if code)})
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split, n in facts["splits"].items() if n]
    head = {
        "language": languages,
        "multilinguality": "multilingual" if len(languages) > 1 else "monolingual",
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "tags": ["cross-lingual-retrieval", "clear", "sentence-transformers"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return "---\n" + yaml.safe_dump(head, sort_keys=False, allow_unicode=True) + "---"


def _sizes(splits: Mapping[str, Mapping[str, int]]) -> str:
    languages = sorted({code for counts in splits.values() for code in counts})
    lines = [
        [
            language_name(code) if code else "no target query",
            *(f"{counts.get(code, 0):,}" for counts in splits.values()),
        ]
        for code in languages
    ]
    total = ["all", *(f"{sum(counts.values()):,}" for counts in splits.values())]
    return grid(["target language", *splits], [*lines, total] if len(lines) > 1 else lines)


def _stages(facts: Mapping[str, Any]) -> list[str]:
    """What each stage did, and what it dropped."""
    lines = [f"- Read: {facts['read']:,} rows."]
    for reason, count in facts.get("left_out", {}).items():
        lines.append(f"- Skipped when reading: {count:,}, {markdown(reason)}.")
    if done := facts.get("translated"):
        lines.append(f"- Machine-translated: {done['rows']:,} queries, by {markdown(done['by'])}.")
    if done := facts.get("decontaminated"):
        lines.append(
            f"- Dropped because they occur in an evaluation set ({markdown(', '.join(done['against']))}):"
            f" {sum(done['dropped'].values()):,} rows."
        )
        lines += [f"- ... {markdown(reason)}: {count:,}." for reason, count in done["dropped"].items()]
    if facts["identified"] is not None:
        lines.append(
            f"- Filtered; the languages of the target queries were {'' if facts['identified'] else 'not '}checked."
        )
    parts = ["## How it was made", *lines]
    if facts["filtered"]:
        parts += ["Rows that the filter dropped:", _reasons(facts["filtered"])]
    return parts


def _reasons(table: Sequence[Mapping[str, Any]]) -> str:
    def shown(example: Mapping[str, Any]) -> str:
        return f"{markdown(example['query'], 80)} → {markdown(example['target_query'] or '', 80)}"

    lines = [
        [markdown(entry["reason"]), f"{entry['rows']:,}", "<br>".join(map(shown, entry["examples"]))] for entry in table
    ]
    return grid(["reason", "rows", "examples"], lines, numbers=False)


def _translations(pairs: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    if not pairs:
        return []
    lines = [
        [language_name(language) if number == 0 else "", markdown(query, 80), markdown(target, 80)]
        for language, of_language in pairs.items()
        for number, (query, target) in enumerate(of_language)
    ]
    return [
        "## Translations",
        "The first target queries of each language:",
        grid(["language", "query", "target query"], lines, numbers=False),
    ]


def _mining(mined: Mapping[str, Any] | None) -> list[str]:
    if mined is None:
        return []
    negatives, target_negatives = mined["negatives"]
    low, high = mined["window"]
    return [
        "## Negatives",
        f"{negatives} passages and {target_negatives} target queries per row, drawn at random from ranks {low} to"
        f" {high} of {markdown(mined['model'])}, without right answers. Rows with too few candidates got random"
        f" negatives: {mined['topped_up'][0]:,} rows (passages), {mined['topped_up'][1]:,} rows (target queries).",
        f"![Scores of right answers and negatives]({PICTURE})",
        "Left: passages for the query. Right: queries for the passage; the target queries are the translations of the"
        " ranked queries."
        if mined["mine_target"] == "bridge"
        else "Left: passages for the query. Right: target queries for the passage.",
    ]


def histogram(scores: NDArray[np.float32]) -> list[int]:
    """How many cosines fall into each of the bins of `draw_scores`."""
    import numpy as np

    return [int(n) for n in np.histogram(np.clip(scores, _LOW, _HIGH), bins=_BINS, range=(_LOW, _HIGH))[0]]


def draw_scores(histograms: Mapping[str, Sequence[int]], path: Path) -> None:
    """Draw the cosines of right answers and of negatives, for both sides, as a PNG.

    Args:
        histograms: of ``"passage"``, ``"negative passage"``, ``"query"`` and ``"negative query"``, as `histogram` makes
            them.
        path: of the picture.
    """
    import numpy as np
    from matplotlib.figure import Figure

    edges = np.linspace(_LOW, _HIGH, _BINS + 1)
    sides = [side for side in ("passage", "query") if sum(histograms.get(side, ()))]
    figure = Figure(figsize=(4.2 * max(1, len(sides)), 2.8), layout="constrained", dpi=120)
    for place, side in enumerate(sides, start=1):
        axes = figure.add_subplot(1, len(sides), place)
        for name, label, colour in ((side, "right answers", "#13857a"), (f"negative {side}", "negatives", "#d96a14")):
            counts = np.array(histograms[name], dtype=float)
            axes.stairs(counts / max(1.0, counts.sum()), edges, fill=True, alpha=0.6, label=label, color=colour)
        axes.set_xlabel("cosine of query and passage" if side == "passage" else "cosine of passage and ranked query")
        axes.set_ylabel("share of pairs")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})  # nothing in it that another day or version changes
