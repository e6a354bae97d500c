"""The scripts under ``examples/``: those that need no server are run, all are held to what they promise."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
IN_PROCESS = {
    "qdrant": "qdrant_client",
    "langchain_store": "langchain_huggingface",
    "llama_index_store": "llama_index.embeddings.huggingface",
}
SERVERS = ("postgres", "opensearch", "elastic", "embeddings_server")


@pytest.mark.parametrize("name", IN_PROCESS)
def test_examples_find_what_the_model_finds(name, tiny_model, tiny_model_path, monkeypatch, capsys):
    pytest.importorskip(IN_PROCESS[name], reason=f"{IN_PROCESS[name]} is not installed")
    monkeypatch.setattr(sys, "argv", [name, str(tiny_model_path), "disk"])
    found = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    texts = found["PASSAGES"]
    vectors = tiny_model().encode(["disk", *texts], normalize_embeddings=True)
    best = sorted(zip((vectors[1:] @ vectors[0]).tolist(), texts, strict=True), reverse=True)[:3]
    shown = [line.split(" ", 1) for line in capsys.readouterr().out.strip().splitlines()]
    assert [text for _, text in shown] == [text for _, text in best]
    assert [float(score) for score, _ in shown] == pytest.approx([score for score, _ in best], abs=1e-3)


@pytest.mark.parametrize("name", [*IN_PROCESS, *SERVERS])
def test_examples_are_short_and_say_what_to_install(name):
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    lines = [
        line for line in source.split('"""')[2].splitlines() if line.strip() and not line.startswith(("import", "from"))
    ]
    assert len(lines) <= 25
    assert f"python examples/{name}.py" in docstring
    assert "pip install" in docstring or "docker run" in docstring
    assert ("Not run by the tests" in docstring) == (name in SERVERS)


def test_no_example_is_forgotten():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*IN_PROCESS, *SERVERS}
