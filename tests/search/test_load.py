"""The server as the command line starts it: a small load test, and kill -9."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lancedb", reason="the extra search is not installed")
pytest.importorskip("uvicorn", reason="the extra ui is not installed")


def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
    """A server and its address."""
    command = [sys.executable, "-m", "clearir", "serve", *map(str, arguments), "--port", "0", "--rate", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "CLEARIR_TOKEN"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    return server, server.stdout.readline().split(" ")[0]


@pytest.fixture(scope="module")
def address(index_path: Path, other_index_path: Path) -> Iterator[str]:
    server, place = start(index_path, "--base", other_index_path)
    yield place
    server.terminate()
    assert server.wait(20) in (0, -15)


def test_no_request_fails(address: str, module_at: Callable[[Path], Any]) -> None:
    module = module_at(Path(__file__).resolve().parents[2] / "benchmarks" / "load.py")
    measured = module.load(address, requests=200, clients=8)
    assert measured["answers"] == {"200": 200}
    assert 0 < measured["p50_ms"] <= measured["p95_ms"] <= measured["p99_ms"]


def test_it_listens_on_loopback_alone(address: str) -> None:
    port = int(address.rsplit(":", 1)[1].strip("/"))
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_killing_server_and_indexing_together_loses_nothing(index_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    shutil.copytree(index_path, folder)
    server, place = start(folder)
    with urllib.request.urlopen(f"{place}api/search?q=chess") as answer:
        wanted = json.load(answer)["results"]
    indexing = [sys.executable, str(Path(__file__).with_name("indexing.py")), str(folder), "200000"]
    run = subprocess.Popen(indexing, stdout=subprocess.DEVNULL)
    while not any(tmp_path.glob(".index.*/passages.lance")):
        assert run.poll() is None
        time.sleep(0.002)
    for process in (server, run):
        process.kill()
        process.wait()

    server, place = start(folder)
    with urllib.request.urlopen(f"{place}api/search?q=chess") as answer:
        assert json.load(answer)["results"] == wanted
    server.kill()
    server.wait()


def test_a_body_without_end_is_cut_off(address: str) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    request = urllib.request.Request(f"{address}api/search", data=endless(), method="POST")
    with pytest.raises((urllib.error.HTTPError, OSError)) as caught:
        urllib.request.urlopen(request, timeout=20)
    assert getattr(caught.value, "code", 413) == 413
