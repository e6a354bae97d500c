"""How long a person waits for the first answer of `clearir search`, on the command line and at its prompt.

    python benchmarks/prompt.py artifacts/60k                         # five starts; see search.py --keep
    python benchmarks/prompt.py runs/demo/index --compare runs/demo/index-base
    python benchmarks/prompt.py runs/demo/index --model runs/demo/onnx --imports    # an export of `clearir export`

One query on the command line, from start to end: seconds on the clock, and of the processor (user + system), which
other programs disturb less. Then at the prompt: from the start of the process to the prompt, and from the query's last
key to the answer; the query is another one each time and is typed the moment the prompt is there. With ``--imports``
first how long Python takes to import libraries alone.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import resource
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


IMPORTS = ("torch", "sentence_transformers", "lancedb", "onnxruntime")


def whole_process(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock and of the processor that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    clock = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    parser.add_argument("--model", help="where the model lies now, or an export of it")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--imports", action="store_true", help="measure imports alone too")
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    given = parser.parse_args()

    command = [sys.executable, "-m", "clearir", "search", given.index]
    command += ["--compare", given.compare] if given.compare else []
    command += ["--model", given.model] if given.model else []
    measured: dict[str, list[float]] = {}

    def note(*figures: tuple[str, float]) -> None:
        for name, seconds in figures:
            measured.setdefault(name, []).append(seconds)

    def note_process(name: str, words: list[str]) -> None:
        clock, processor = whole_process(words)
        note((name, clock), (f"{name}, of the processor", processor))

    for number in range(given.starts):
        query = QUERIES[number % len(QUERIES)]
        for module in IMPORTS if given.imports else ():
            note_process(f"import {module}", [sys.executable, "-c", f"import {module}"])
        note_process("one query on the command line", [*command, query])
        prompt, answer = first_answer(command, query)
        note(("start of the process to the prompt", prompt), ("query to its answer, the first one", answer))
    shown = Table("", "median s", "longest s", title=f"{given.starts} starts", title_justify="left")
    figures: dict[str, Any] = {"starts": given.starts, "load": round(os.getloadavg()[0], 1)}
    for name, seconds in measured.items():
        figures[name] = {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3)}
        shown.add_row(name, *map(str, figures[name].values()))
    Console().print(shown)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
