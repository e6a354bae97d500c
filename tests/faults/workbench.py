"""Every command that writes, with inputs so small that it takes a second, and what has to be the same in its output."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TEXT = """amber anchor basil beacon candle canyon cedar clover copper coral cotton cradle desert falcon fennel garden
ginger glacier granite hammer harbor hollow island ivory jasmine kettle ladder lantern lemon lichen lilac marble meadow
mirror needle nettle olive orchard oyster paddle pepper pillow pocket quartz raven ribbon saddle saffron sparrow spruce
summit thistle thunder timber tunnel velvet walnut willow window winter"""
WORDS = _TEXT.split()
# A translator that turns the alphabet by 13 letters and takes its time.
SLOW = "import codecs, sys, time; t = sys.stdin.read(); time.sleep(0.03); sys.stdout.write(codecs.encode(t, 'rot13'))"
RECIPE = """
name: fault
model: {model}
output: {out}
data: {{path: {rows}, test: 0.2}}
filter: {{language: false}}
mine: {{negatives: 1, target_negatives: 1, window: [1, 20]}}
# One way of computing, whatever memory is free: two runs are equal to the last bit.
loss: {{memory_budget: 0}}
train: {{max_steps: 8, batch_size: 8, save_steps: 1, log_steps: 1}}
"""
PREPARED = RECIPE + "translate: {{backend: command, command: {command}, batch_size: 8, languages: [eo]}}\n"


@dataclass(frozen=True)
class Command:
    """A command line and its output.

    Attributes:
        name: of the command.
        arguments: behind ``clearir``.
        outputs: the final names that it writes, which are whole or absent.
        content: of a finished output, by name: what two runs have in common.
    """

    name: str
    arguments: list[str]
    outputs: list[Path]
    content: Callable[[], dict[str, str]]


def write_inputs(folder: Path, count: int = 60) -> None:
    """Rows in English, the same with target queries, a corpus, and a program that translates."""
    from clearir.data.rows import Row, Rows

    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    passages = [" ".join(draw.choices(WORDS, k=14)).capitalize() + "." for _ in range(count * 2 // 3)]
    rows = [
        Row(f"Where is the {' '.join(draw.sample(WORDS, 3))}?", draw.choice(passages), query_id=str(i))
        for i in range(count)
    ]
    with (folder / "rows.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"query": row.query, "passage": row.passage}) + "\n" for row in rows)
    pairs = [Row(row.query, row.passage, f"x {row.query[9:]}", "de", query_id=row.query_id) for row in rows]
    Rows(tuple(pairs)).to_parquet(folder / "pairs.parquet")
    with (folder / "corpus.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"id": i, "text": text, "n": i}) + "\n" for i, text in enumerate(passages))
    (folder / "translate.py").write_text(SLOW)


def commands(inputs: Path, model: Path, out: Path) -> dict[str, Command]:
    """Every command, with outputs below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    pairs = str(inputs / "pairs.parquet")
    translator = f"{sys.executable} -S {inputs / 'translate.py'}"
    values = {"model": model, "out": out / "run", "command": json.dumps(translator)}
    recipe, prepared = out / "train.yaml", out / "prepare.yaml"
    recipe.write_text(RECIPE.format(rows=pairs, **values))
    prepared.write_text(PREPARED.format(rows=inputs / "rows.jsonl", **values))
    cache = ["--cache", str(out / "cache")]
    table, mined, scores, index = (out / name for name in ("translated.parquet", "mined.parquet", "scores", "index"))
    told = [f"command={json.dumps(translator)}", "batch_size=8"]
    score = scores / f"{model.parent.name}--{model.name}.json"
    data = out / "run" / "prepared"
    stages = [out / "run" / name for name in ("rows", "mined", "model", "scores")]
    numbers = ["--negatives", "1", "--target-negatives", "1", "--window", "1,20"]
    every = [
        Command(
            "translate",
            ["translate", str(inputs / "rows.jsonl"), *told, "--to", "eo,ca", "--out", str(table)],
            [table],
            lambda: _bytes(table),
        ),
        Command(
            "mine",
            ["mine", pairs, "--model", str(model), "--out", str(mined), *numbers],
            [mined],
            lambda: _bytes(mined),
        ),
        Command("prepare", ["prepare", str(prepared)], [data], lambda: _folder(data)),
        Command("train", ["train", str(recipe)], stages, lambda: _run(out / "run")),
        Command(
            "evaluate",
            ["evaluate", str(model), "--data", pairs, "--out", str(scores), *cache],
            [score, scores / "texts.json"],
            lambda: _scores(score) | _bytes(scores / "texts.json"),
        ),
        Command(
            "index",
            ["index", str(model), str(inputs / "corpus.jsonl"), "--out", str(index), *cache],
            [index],
            lambda: _index(index),
        ),
    ]
    return {command.name: command for command in every}


def preload() -> None:
    """Import what the commands need, so that a fork of this process is at work at once. LanceDB does not like it."""
    import datasets
    import sentence_transformers
    import transformers

    import clearir.runs.train_run
    import clearir.search.index
    import clearir.training.trainer

    del datasets, sentence_transformers, transformers, clearir


def fork(arguments: list[str], log: Path) -> int:
    """Run a command in a process of its own; its number."""

    def run() -> None:
        from clearir.cli.app import main

        sys.argv = ["clearir", *arguments]
        main()

    return _fork(run, log)


def content_of(command: Command, log: Path) -> dict[str, str]:
    """`Command.content`, read by a process of its own: LanceDB's threads do not survive a fork."""
    answer = log.with_suffix(".content")
    process = _fork(lambda: answer.write_text(json.dumps(command.content())), log)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0:
        raise SystemExit(f"{command.name}: its output cannot be read; see {log}")
    content: dict[str, str] = json.loads(answer.read_text())
    return content


def _fork(work: Callable[[], Any], log: Path) -> int:
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        with log.open("ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


# -- what has to be the same ------------------------------------------------------------------------------------


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _bytes(file: Path) -> dict[str, str]:
    return {file.name: _sha(file.read_bytes())}


def _folder(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): _sha(file.read_bytes()) for file in files}


def _scores(file: Path) -> dict[str, str]:
    """All but the versions and the seconds."""
    document = json.loads(file.read_text())
    return {f"{file.name} {key}": _json(value) for key, value in document.items() if key != "environment"}


def _run(folder: Path) -> dict[str, str]:
    """A recipe's run: rows, negatives and weights byte for byte, the log of the loss, scores and searches."""
    training = json.loads((folder / "model" / "training.json").read_text())
    losses = [{key: value for key, value in entry.items() if "second" not in key} for entry in training["log"]]
    return {
        **_folder(folder / "rows" / "data"),
        **_bytes(folder / "mined" / "train.parquet"),
        **_bytes(folder / "model" / "model.safetensors"),
        "log": _json(losses),
        **_scores(folder / "scores" / "before.json"),
        **{key: value for key, value in _scores(folder / "scores" / "after.json").items() if " model" not in key},
        "report": str((folder / "report.html").is_file()),
    }


def _index(folder: Path) -> dict[str, str]:
    """Rows and vectors: LanceDB gives its files other names each time."""
    from clearir.search import store

    database = store.connect(folder)
    rows = database.open_table(store.PASSAGES).to_arrow().sort_by("id").to_pylist()
    return {"rows": _json(rows), "manifest": _json(store.read_manifest(database))}


def _json(value: Any) -> str:
    return _sha(json.dumps(value, sort_keys=True).encode())
