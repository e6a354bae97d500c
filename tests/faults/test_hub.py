"""A Hub that is not there, that has no such model, that goes away in the middle of a download: one message each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import contextlib, io, json, pathlib, sys, time
from clearir.cli.app import main

_, table, *names = sys.argv
answers = {}
for name in names:
    sys.argv = ["clearir", "mine", table, "--model", name, "--out", table + ".out.parquet"]
    err, begun, status = io.StringIO(), time.monotonic(), 0
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            status = end.code
    answers[name] = [status, err.getvalue(), time.monotonic() - begun]
    assert pathlib.Path(table + ".out.parquet").exists() == (status == 0), err.getvalue()
print(json.dumps(answers))
"""


class Hub(BaseHTTPRequestHandler):
    """``some/whole`` can be had; of ``some/cut`` half the weights come, again and again; there is no other model."""

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        model: Path = self.server.model  # type: ignore[attr-defined]
        files = sorted(str(file.relative_to(model)) for file in model.rglob("*") if file.is_file())
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if name not in ("some/whole", "some/cut"):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif parts[0] == "api":
            facts: Any = {"id": name, "sha": "0" * 40, "siblings": [{"rfilename": file} for file in files]}
            if "tree" in parts:
                facts = [{"type": "file", "path": file, "size": 1, "oid": "0" * 40} for file in files]
            self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})
        elif (file := "/".join(parts[4:])) in files:
            content = (model / file).read_bytes()
            cut = name == "some/cut" and file == "model.safetensors"
            self._send(
                200,
                content,
                {"ETag": f'"{file.replace("/", "-")}"', "X-Repo-Commit": "0" * 40},
                len(content) // 2 if cut else None,
            )
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "0" * 40})

    def _send(self, status: int, body: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])
        self.close_connection = True


@pytest.fixture
def hub(tiny_model_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.model = tiny_model_path  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(endpoint: str, folder: Path, *names: str) -> dict[str, tuple[int, str, float]]:
    """Status, messages and seconds of mining with each model, in a process that may use the network."""
    table = folder / "rows.tsv"
    rows = "".join(f"what {i}\tthat {i}\twas {i}\tde\n" for i in range(30))
    table.write_text("query\tpassage\ttarget_query\tlanguage\n" + rows)
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    env |= {"NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(table), *names], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hub_that_cannot_be_reached(tmp_path):
    ((status, message, seconds),) = ask("http://127.0.0.1:9", tmp_path, "some/whole").values()
    assert status == 2
    assert message == (
        "error: some/whole: not a folder here, and it could not be had from the Hub, which cannot be reached; check "
        "the connection (and HF_HUB_OFFLINE), or give a local folder\n"
    )
    assert seconds < 60, "it was not tried again and again"


def test_a_hub_that_answers(hub, tmp_path):
    answers = ask(hub, tmp_path, "some/none", "some/cut", "some/whole")
    status, message, _ = answers["some/none"]
    assert (status, message.count("\n")) == (2, 1), message
    assert "some/none: not a folder here, and it could not be had from the Hub" in message
    status, message, _ = answers["some/cut"]
    assert (status, message.count("\n")) == (2, 1), message
    assert "some/cut: not a folder here, and it could not be had from the Hub" in message
    cached = list((tmp_path / "hf" / "hub" / "models--some--cut").rglob("model.safetensors"))
    assert cached == [], "half a file under its final name"
    assert answers["some/whole"][:2] == [0, ""], answers["some/whole"]
    assert (tmp_path / "rows.tsv.out.parquet").is_file()
