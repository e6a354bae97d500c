"""Keys stand in no output, log or message."""

from __future__ import annotations

import codecs
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import workbench

from clearir.cli.app import main

KEY = "sk-this-is-a-secret-0123456789"


class _Endpoint(BaseHTTPRequestHandler):
    """A chat model that turns the alphabet by 13 letters, and repeats the key that it got in its headers."""

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.add(self.headers["Authorization"])  # type: ignore[attr-defined]
        text = codecs.encode(body["messages"][1]["content"], "rot13")
        answer = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("X-Key", self.headers["Authorization"])
        self.end_headers()
        self.wfile.write(answer)


def test_the_key_stands_nowhere(tiny_model_path, tmp_path, monkeypatch, capfd, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", KEY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.keys = set()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    workbench.write_inputs(tmp_path / "inputs", count=20)
    out = tmp_path / "out"
    backend = {"backend": "openai", "model": "tiny", "base_url": f"http://127.0.0.1:{server.server_port}/v1"}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: keys\nmodel: {tiny_model_path}\noutput: {out / 'run'}\n"
        f"data: {{path: {tmp_path / 'inputs' / 'rows.jsonl'}, test: 0.2}}\n"
        f"translate: {json.dumps({**backend, 'languages': ['de']})}\n"
        "mine: {negatives: 1, target_negatives: 1, window: [1, 10]}\n"
        "train: {max_steps: 1, batch_size: 4, save_steps: 1}\n"
    )
    options = [f"{key}={value}" for key, value in backend.items() if key != "backend"]
    translate = ["translate", str(tmp_path / "inputs" / "rows.jsonl"), *options, "--backend", "openai", "--to", "de"]
    try:
        for arguments in (
            [*translate, "--out", str(out / "t.parquet")],
            ["prepare", str(recipe)],
            ["train", str(recipe)],
        ):
            monkeypatch.setattr(sys, "argv", ["clearir", *arguments])
            main()
    finally:
        server.shutdown()
        server.server_close()
    assert server.keys == {f"Bearer {KEY}"}, "the endpoint got it"  # type: ignore[attr-defined]
    files = [file for file in out.rglob("*") if file.is_file()]
    assert {"README.md", "manifest.json", "report.html", "model.safetensors"} <= {file.name for file in files}
    for file in files:
        assert KEY.encode() not in file.read_bytes(), file
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err + caplog.text
