"""A run whose model goes to the Hub: a Hub on this machine, which keeps what it is sent."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import workbench

TOKEN = "hf_a_token_of_the_test"


class Hub(BaseHTTPRequestHandler):
    """Takes models of ``me`` from whoever has the token."""

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({"name": "me", "type": "user", "auth": {}} if self._may() else None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        asked: dict[str, Any] = self.server.__dict__.setdefault("asked", {})
        if not self._may():
            self._answer(None)
        elif self.path == "/api/repos/create":
            asked["created"] = json.loads(body)
            self._answer({"url": f"http://{self.headers['Host']}/me/model"})
        elif "/preupload/" in self.path:
            files = [one["path"] for one in json.loads(body)["files"]]
            regular = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in files]
            self._answer({"files": regular})
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            sent = [line["value"] for line in lines if line["key"] == "file"]
            asked.setdefault("commits", []).append({one["path"]: base64.b64decode(one["content"]) for one in sent})
            oid = "1" * 40
            self._answer({"commitUrl": f"http://{self.headers['Host']}/me/model/commit/{oid}", "commitOid": oid})
        else:
            self._answer({})

    def _chunks(self) -> bytes:
        """A body whose length is not told."""
        found = b""
        while self.headers.get("Transfer-Encoding") == "chunked" and (size := int(self.rfile.readline(), 16)):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found

    def _may(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _answer(self, content: Any) -> None:
        body = json.dumps(content if content is not None else {"error": "no such token"}).encode()
        self.send_response(200 if content is not None else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def recipe(tiny_model_path: Path, tmp_path: Path) -> Path:
    workbench.write_inputs(tmp_path / "inputs", count=30)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"name: pushed\nmodel: {tiny_model_path}\noutput: {tmp_path / 'run'}\nfilter: null\n"
        f"data: {{path: {tmp_path / 'inputs' / 'pairs.parquet'}, test: 0.2}}\n"
        "mine: {negatives: 0, target_negatives: 0}\n"
        "loss: {scale: 20}\ntrain: {max_steps: 1, batch_size: 4, push_to_hub: me/model}\n"
    )
    return path


def train(recipe: Path, endpoint: str, token: str | None, *more: str) -> subprocess.CompletedProcess[str]:
    """In a process that may use the network: libraries read the Hub's address when they are imported."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(recipe.parent / "hf"), "HF_HUB_DISABLE_XET": "1"}
    env |= {"NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1", **({"HF_TOKEN": token} if token else {})}
    env.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-m", "clearir", "train", str(recipe), *more], env=env, capture_output=True, text=True
    )


def test_the_model_and_its_card_are_pushed_once(hub: ThreadingHTTPServer, recipe: Path) -> None:
    address = f"http://127.0.0.1:{hub.server_port}"
    done = train(recipe, address, TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"model on the Hub: pushed to {address}/me/model" in done.stdout + done.stderr
    asked = hub.__dict__["asked"]
    assert asked["created"]["name"] == "model"
    # what it is called depends on the version of huggingface-hub
    assert asked["created"].get("visibility") == "private" or asked["created"].get("private") is True
    (sent,) = asked["commits"]
    model = recipe.parent / "run" / "model"
    assert {"README.md", "model.safetensors", "modules.json", "config.json"} <= sent.keys()
    assert not {"manifest.json", "training.json"} & sent.keys()
    for name, content in sent.items():
        assert content == (model / name).read_bytes()
    assert b"library_name: sentence-transformers" in sent["README.md"]
    again = train(recipe, address, TOKEN)
    assert f"model on the Hub: already at {address}/me/model" in again.stdout + again.stderr
    assert len(asked["commits"]) == 1
    for said in (done, again):
        assert TOKEN not in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "train.push_to_hub: me/model: there is no token for the Hub; run hf auth login, or set HF_TOKEN"),
        ("wrong", "train.push_to_hub: me/model: the Hub refuses"),
    ],
)
def test_who_may_not_push_learns_it_before_training(
    hub: ThreadingHTTPServer, recipe: Path, token: str | None, message: str
) -> None:
    done = train(recipe, f"http://127.0.0.1:{hub.server_port}", token)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (recipe.parent / "run" / "model").exists()


def test_without_a_network_it_is_said_before_training(recipe: Path) -> None:
    done = train(recipe, "http://127.0.0.1:9", TOKEN)
    assert done.returncode == 2
    assert "train.push_to_hub: me/model: the Hub cannot be reached" in done.stderr
    assert not (recipe.parent / "run" / "model").exists()


def test_a_name_without_an_owner_is_refused(recipe: Path) -> None:
    done = train(recipe, "http://127.0.0.1:9", TOKEN, "train.push_to_hub=model")
    assert done.returncode == 2
    assert "train.push_to_hub" in done.stderr
