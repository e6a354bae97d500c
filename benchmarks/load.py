"""Load test of `clearir serve` on loopback: so many requests by so many clients, then it stops.

    python benchmarks/load.py runs/demo/index --base runs/demo/index-base
    python benchmarks/load.py artifacts/60k --requests 2000 --clients 8 --out load.json   # see search.py --keep

Starts the server itself, without a limit of rate. Every query is another, so that each is encoded.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from rich.console import Console
from rich.table import Table

WORDS = """
    Programm Bilder bearbeiten Levy salaus tekstieditori гра шахи клієнт бази даних encrypt disk play music
    mail server photo viewer compiler kieli sähköposti Tabelle Spiel zeichnen пошук мережа
"""


def load(address: str, requests: int, clients: int, seed: int = 0) -> dict[str, Any]:
    """Ask ``requests`` times for ten passages, with ``clients`` connections at once, and measure."""
    place = urlsplit(address)
    words, draw = WORDS.split(), random.Random(seed)
    queries = [f"{' '.join(draw.choices(words, k=3))} {number}" for number in range(requests)]
    numbers, lock = itertools.count(), threading.Lock()
    times: list[float] = []
    statuses: Counter[str] = Counter()

    def client() -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
        while (number := next(numbers)) < requests:
            begun = time.perf_counter()
            try:
                connection.request("GET", f"/api/search?q={quote(queries[number])}")
                answer = connection.getresponse()
                found = json.loads(answer.read())
                status = str(answer.status) if found.get("results") else "no result"
            except (OSError, http.client.HTTPException, ValueError) as error:
                status = type(error).__name__
                connection.close()
            with lock:
                times.append(1000 * (time.perf_counter() - begun))
                statuses[status] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "requests": requests,
        "clients": clients,
        "answers": dict(statuses),
        "seconds": round(seconds, 2),
        "requests_a_second": round(requests / seconds, 1),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="folder of an index")
    parser.add_argument("--base", help="index of the base model: every query is answered by both")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    given = parser.parse_args()

    command = [sys.executable, "-m", "clearir", "serve", given.index, "--port", "0", "--rate", "0"]
    command += ["--base", given.base] if given.base else []
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = (server.stdout.readline() if server.stdout else "").split(" ")[0].strip()
        if not address.startswith("http"):
            sys.exit("the server did not start")
        measured = load(address, given.requests, given.clients)
    finally:
        server.terminate()
        server.wait()
    shown = Table(show_header=False)
    for name, value in measured.items():
        shown.add_row(name, str(value))
    Console().print(shown)
    if given.out:
        given.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if measured["answers"] == {"200": given.requests} else 1)


if __name__ == "__main__":
    main()
