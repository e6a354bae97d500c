"""Small tables of another domain for `clearir study`: what does a model forget that was trained on something else?

    python benchmarks/elsewhere.py                # artifacts/elsewhere/mlqa.parquet, debian.parquet

200 rows a language with query and passage in English and in the language: questions of MLQA dev in German, Spanish
and Vietnamese, package descriptions of Debian in German, Spanish and Finnish. One row a passage, drawn with a fixed
seed. The study recipes in recipes/studies name these files under ``study.also``.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterable
from pathlib import Path

from clearir.data.rows import Row, Rows
from clearir.data.sources import debian, read

ROOT = Path(__file__).resolve().parents[1]
MLQA, DEBIAN = ("de", "es", "vi"), ("de", "es", "fi")


def draw(rows: Iterable[Row], languages: Iterable[str], count: int) -> Rows:
    """``count`` rows of each language, no passage twice in one language."""
    every = list(rows)
    drawn: list[Row] = []
    for language in languages:
        by_passage = {(row.passage, row.target_passage): row for row in every if row.language == language}
        side = {row.passage: row for row in {row.target_passage: row for row in by_passage.values()}.values()}
        drawn += random.Random(0).sample(sorted(side.values(), key=lambda row: str(row.query_id)), count)
    return Rows.collect(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("CLEARIR_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "elsewhere")
    parser.add_argument("--rows", type=int, default=200, help="of each language")
    options = parser.parse_args()
    lists = options.out / "debian-lists"
    debian.fetch(lists, DEBIAN)
    sources = {
        "mlqa": (read("squad", options.data / "mlqa" / "MLQA_V1" / "dev", languages=MLQA, on_bad="skip"), MLQA),
        "debian": (read("debian", lists, languages=DEBIAN, on_bad="skip"), DEBIAN),
    }
    for name, (rows, languages) in sources.items():
        table = draw(rows, languages, options.rows)
        table.to_parquet(options.out / f"{name}.parquet")
        print(f"{options.out / name}.parquet: {len(table)} rows")


if __name__ == "__main__":
    main()
