"""docs/first-hour.md: its commands run as they are printed, and its output is what they print."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first-hour.md"
Run = Callable[..., tuple[int, str, str]]


def spreadsheet(path: Path) -> None:
    """The questions of the sample, with a column per language and one translation missing."""
    lines = (files("clearir.cli.sample") / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    translations: dict[tuple[str, str], dict[str, str]] = {}
    for row in map(json.loads, lines):
        translations.setdefault((row["query"], row["passage"]), {})[row["language"]] = row["target_query"]
    with path.open("w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, delimiter=";", lineterminator="\n").writerow
        write(["en", "answer", "sw", "de"])
        for number, ((query, passage), of) in enumerate(translations.items()):
            write([query, passage, "" if number == 2 else of["sw"], of["de"]])


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_the_commands_of_the_page_run_as_printed(
    clearir: Run,
    base: None,
    answer_of: Callable[[list[str]], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("lancedb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    spreadsheet(Path("faq.csv"))
    assert Path("faq.csv").read_text(encoding="utf-8").startswith(blocks("")[0])
    (typed,) = blocks("sh")
    first, *commands = [shlex.split(line) for line in typed.splitlines()]
    assert first[:2] == ["pip", "install"]
    assert len(commands) + 1 < 10
    *before, last = [words[1:] for words in commands]
    for words in before:
        if words[0] == "train":  # the tiny model reads no more, and learns nothing anyway
            words = [*words, "train.max_seq_length=32", "train.max_steps=2"]
        status, shown, messages = clearir(*words)
        assert status == 0, messages
        if words[0] == "init":
            shown_on_page = lines(blocks("text")[0])
            assert [line for line in lines(shown) if line in shown_on_page] == shown_on_page
    assert Path("runs/faq/report.html").is_file()
    pytest.importorskip("uvicorn")
    assert answer_of(last) == 200


def test_what_the_page_says_to_type_where_a_column_is_wrong(
    clearir: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spreadsheet(Path("faq.csv"))
    found = re.search(r"`(clearir init --from faq\.csv columns\.[^`]*)`", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    status, _, messages = clearir(*shlex.split(found[1])[1:])
    assert status == 0, messages
