"""What the studies found, for the documentation: docs/results/ from their runs, docs/results.md from docs/results/.

    clearir study recipes/studies/debian.yaml               # and so on: minutes to an hour each
    python benchmarks/results.py --collect artifacts/studies # their results -> docs/results/STUDY/*.json
    python benchmarks/results.py                             # docs/results/ -> tables and pictures of docs/results.md

In docs/results.md a table stands between ``<!-- study NAME -->`` and ``<!-- end -->`` and is written anew; all other
text stays. `tests/test_results.py` checks that the page holds what the results say.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from clearir.artifacts import atomic_file
from clearir.report.markdown import grid
from clearir.report.study import BASE, Line, Result, cells, draw, head, note, suites, summarise
from clearir.report.text import markdown

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULTS = ROOT / "docs" / "results.md", ROOT / "docs" / "results"
PLACE = re.compile(r"(<!-- study (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def collect(studies: Path) -> None:
    """Copy ``STUDY/runs/RUN/result.json`` to ``docs/results/STUDY/RUN.json``."""
    for file in sorted(studies.glob("*/runs/*/result.json")):
        target = RESULTS / file.parents[2].name / f"{file.parent.name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def lines_of(study: Path) -> list[Line]:
    """Means and intervals of a folder of results, over the seeds that every objective has."""
    results = [Result.load(file) for file in sorted(study.glob("*.json"))]
    objectives = sorted({one.objective for one in results} - {BASE}, key=lambda name: (name != "clear", name))
    seeds = set.intersection(*({one.seed for one in results if one.objective == name} for name in (BASE, *objectives)))
    return summarise([one for one in results if one.seed in seeds], objectives)


def section(lines: list[Line], picture: str) -> str:
    """The tables of a study, one a suite, and its picture."""
    columns = head(lines)
    parts = [note(lines)]
    for suite in suites(lines):
        rows = [cells(line, len(columns)) for line in lines if line.suite == suite]
        named = [[markdown(row[0]), markdown(row[1]), *row[2:]] for row in rows]
        title = Path(suite.partition(":")[0]).stem
        parts += [f"**{markdown(title)}**", grid([markdown(one) for one in columns], named, numbers=False)]
    return "\n\n".join([*parts, f"![scores of each objective]({picture})"]) + "\n"


def filled(page: str) -> str:
    """The page with its tables written anew; pictures go to docs/results."""

    def write(place: re.Match[str]) -> str:
        name = place["name"]
        lines = lines_of(RESULTS / name)
        with atomic_file(RESULTS / f"{name}.png") as temporary:
            draw(lines, temporary)
        return f"{place[1]}\n{section(lines, f'results/{name}.png')}\n{place[3]}"

    return PLACE.sub(write, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", type=Path, help="folder of the studies' outputs")
    options = parser.parse_args()
    if options.collect is not None:
        collect(options.collect)
    with atomic_file(PAGE) as temporary:
        temporary.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
