from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    "init",
    "train",
    "study",
    "prepare",
    "translate",
    "mine",
    "merge",
    "evaluate",
    "compare",
    "suites",
    "report",
    "encode",
    "index",
    "search",
    "serve",
    "export",
)


def clearir(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clearir", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "rows.jsonl"
    lines = [
        {"query": f"query {i}", "passage": f"passage {i} text", "target_query": f"kysymys {i}", "language": "fi"}
        for i in range(20)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example(command):
    shown = clearir(command, "--help")
    assert shown.returncode == 0
    assert "Example, in a" in shown.stdout
    assert f"  clearir {command}" in shown.stdout


def test_help_does_not_wait_for_torch():
    code = "import sys, clearir.cli.app; print([m for m in ('torch', 'datasets', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_command_and_the_module_are_the_same():
    beside = Path(sys.executable).with_name("clearir")
    both = [clearir("--version").stdout, subprocess.run([beside, "--version"], capture_output=True, text=True).stdout]
    assert both[0] == both[1] != ""


def test_mine_writes_rows_with_negatives(table, tiny_model_path, tmp_path):
    from clearir.data.rows import Rows

    arguments = ("mine", table, "--model", tiny_model_path, "--out", tmp_path / "mined.parquet", "--window", "1,10")
    arguments += ("--cache", tmp_path / "cache")
    done = clearir(*arguments, "--negatives", 2, "--target-negatives", 1)
    assert done.returncode == 0, done.stderr
    assert Rows.from_parquet(tmp_path / "mined.parquet").num_negatives == (2, 1)
    again = clearir(*arguments)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_mine_reads_texts_as_encode_did(table, tiny_model_path, tmp_path):
    """Prompts, length, cache and vectors are options of both, and what a refusal advises can be typed."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from typer.testing import CliRunner

    from clearir.cli.app import app

    def run(*arguments: object) -> Exception | None:
        return CliRunner().invoke(app, [*map(str, arguments)]).exception

    passages = [json.loads(line)["passage"] for line in table.read_text(encoding="utf-8").splitlines()]
    pq.write_table(pa.table({"text": passages}), tmp_path / "passages.parquet")
    vectors, cache = tmp_path / "vectors", tmp_path / "cache"
    reading = ("--passage-prompt", "passage: ", "--max-seq-length", 24)
    assert run("encode", tiny_model_path, tmp_path / "passages.parquet", "--out", vectors, *reading) is None
    mine = ("mine", table, "--model", tiny_model_path, "--window", "1,10", "--negatives", 1, "--target-negatives", 1)
    mine += ("--cache", cache, "--vectors", vectors, "--query-prompt", "query: ")
    assert "add --passage-prompt 'passage: '" in str(run(*mine, "--out", tmp_path / "a.parquet"))
    assert "add --max-seq-length 24" in str(run(*mine, "--out", tmp_path / "a.parquet", *reading[:2]))
    assert run(*mine, "--out", tmp_path / "a.parquet", *reading) is None
    assert [path.suffix for path in cache.iterdir()] == [".sqlite"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "missing.yaml"), "missing.yaml: No such file"),
        (("train",), "Missing argument"),
        (("tarin",), "No such command"),
        (("mine", "missing.csv", "--model", "m", "--out", "o.parquet"), "missing.csv"),
        (("merge", "one", "two", "--out", "o"), "give --weight"),
        (("report", "nowhere"), "nowhere: no such folder"),
        (("evaluate", "no-such-model-here", "--suite", "nothing"), "nothing"),
    ],
)
def test_bad_input_is_one_message_and_status_2(tmp_path, arguments, words):
    done = clearir(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_window_that_is_none_is_said(table, tmp_path):
    done = clearir("mine", table, "--model", "m", "--out", tmp_path / "o.parquet", "--window", "ten")
    assert done.returncode == 2
    assert "write the first and the last rank" in done.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--window", "20,10"), "the window, ranks 20 to 10, holds fewer ranks than negatives are to be drawn"),
        (("--window", "0,10"), "--window: Input should be greater than or equal to 1 (got 0)"),
        (("--negatives", "-1"), "--negatives: Input should be greater than or equal to 0 (got -1)"),
        (("--max-score", "2"), "--max-score: Input should be less than or equal to 1 (got 2.0)"),
        (("--mine-target", "x"), "--mine-target: Input should be 'bridge' or 'target' (got 'x')"),
    ],
)
def test_settings_of_mining_that_cannot_work_are_refused_before_anything_is_read(tmp_path, option, message):
    done = clearir("mine", tmp_path / "none.csv", "--model", "m", "--out", tmp_path / "o.parquet", *option)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_only_training_runs_in_several_processes():
    env = {**os.environ, "LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "clearir", "mine", "rows.jsonl"]
    first = subprocess.run(command, capture_output=True, text=True, env=env)
    second = subprocess.run(command, capture_output=True, text=True, env={**env, "RANK": "1"})
    assert (first.returncode, second.returncode) == (2, 2)
    assert "clearir mine runs in one process" in first.stderr
    assert second.stderr == ""
