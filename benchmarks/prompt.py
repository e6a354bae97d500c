"""How long a person waits for the first answer of `clearir search`, typed at its prompt in a terminal.

    python benchmarks/prompt.py artifacts/60k                         # five starts; see search.py --keep
    python benchmarks/prompt.py runs/demo/index --compare runs/demo/index-base

Two times a start: from the start of the process to the prompt, and from the query's last key to the answer. The query
is another one each time and is typed the moment the prompt is there.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PROMPT = b"query> "
QUERIES = ("kuinka salaan levyn", "гра в шахи", "Bilder bearbeiten", "клієнт бази даних", "tekstieditori")


def first_answer(command: list[str], query: str) -> tuple[float, float]:
    """Seconds from the start to the prompt, and from the query to the prompt after its answer."""
    ours, theirs = pty.openpty()
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "dumb"})
    os.close(theirs)
    try:
        _read_until_prompt(ours)
        prompted = time.perf_counter()
        os.write(ours, f"{query}\n".encode())
        shown = _read_until_prompt(ours)
        answered = time.perf_counter()
        assert b"score" in shown or b"tuned" in shown, shown.decode("utf-8", "replace")
        os.write(ours, b"\n")
        process.wait(20)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return prompted - begun, answered - prompted


def _read_until_prompt(terminal: int) -> bytes:
    shown = b""
    while not shown.rstrip(b"\x1b[?2004hl").endswith(PROMPT.rstrip()) and PROMPT not in shown[-64:]:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other side was closed
            part = b""
        if not part:
            sys.exit("clearir search ended: " + shown.decode("utf-8", "replace")[-500:])
        shown += part
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="folder of an index")
    parser.add_argument("--compare", help="index of the base model")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    given = parser.parse_args()

    command = [sys.executable, "-m", "clearir", "search", given.index]
    command += ["--compare", given.compare] if given.compare else []
    measured = [first_answer(command, QUERIES[number % len(QUERIES)]) for number in range(given.starts)]
    figures: dict[str, Any] = {"starts": given.starts}
    for name, times in zip(("prompt_s", "answer_s"), zip(*measured, strict=True), strict=True):
        figures[name] = {"median": round(statistics.median(times), 3), "max": round(max(times), 3)}
    figures["load"] = round(os.getloadavg()[0], 1)
    shown = Table("", "median s", "longest s", title=f"{given.starts} starts", title_justify="left")
    shown.add_row("start of the process to the prompt", *map(str, figures["prompt_s"].values()))
    shown.add_row("query to its answer, the first one", *map(str, figures["answer_s"].values()))
    Console().print(shown)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
