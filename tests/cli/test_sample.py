"""What `clearir init` writes, and that the example of every command runs on it as `--help` prints it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template

import pytest

from clearir.cli.sample import BASE, FILES
from clearir.runs.recipe import load_recipe

Run = Callable[..., tuple[int, str, str]]
#: what examples need beside clearir: a module or a program
NEEDS = {"index": "lancedb", "search": "lancedb", "serve": "uvicorn", "export": "onnxruntime", "translate": "apertium"}
COMMANDS = (
    "init train study prepare translate evaluate compare suites report mine merge encode index search export trim"
)


@pytest.fixture
def folder(clearir: Run, base: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where `clearir init` was run; the test is in it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    status, _, messages = clearir("init")
    assert status == 0, messages
    return tmp_path / "here"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the run that several examples begin with, so that one of them trains."""
    return tmp_path_factory.mktemp("trained")


def example(clearir: Run, command: str) -> list[list[str]]:
    """The words of each line of a command's example, as a terminal of 80 columns shows them."""
    _, shown, _ = clearir(command, "--help")
    assert max(map(len, shown.splitlines())) <= 80
    block = re.search(r"Example, in an? .*?:\s*\n(.*?)╭─", shown, re.DOTALL)
    assert block is not None, shown
    lines = [shlex.split(line) for line in block[1].splitlines() if line.strip()]
    values = dict(line[0].split("=", 1) for line in lines if len(line) == 1 and "=" in line[0])
    commands = [line for line in lines if len(line) > 1]
    assert {line[0] for line in commands} == {"clearir"}, "a line is too long for a terminal"
    return [[Template(word).substitute(values) for word in line[1:]] for line in commands]


@pytest.mark.parametrize("command", COMMANDS.split())
def test_the_example_of_each_command_runs(clearir: Run, folder: Path, trained: Path, command: str) -> None:
    need(command)
    for words in example(clearir, command):
        if command == "init":
            words = [*words, "--overwrite"]  # it was run to come here
        whole_run = words == ["train", "recipe.yaml"]
        if whole_run and (trained / "runs").is_dir():
            shutil.copytree(trained / "runs", folder / "runs", symlinks=True)
        status, _, messages = clearir(*words)
        assert status == 0, messages
        if whole_run and not (trained / "runs").is_dir():
            shutil.copytree(folder / "runs", trained / "runs", symlinks=True)


def test_the_example_of_serve_answers(clearir: Run, folder: Path, answer_of: Callable[[list[str]], int]) -> None:
    need("serve")
    *before, last = example(clearir, "serve")
    for words in before:
        assert clearir(*words)[0] == 0
    assert answer_of(last) == 200


def need(command: str) -> None:
    """Skip where the extra or program that an example needs is not installed."""
    what = NEEDS.get(command)
    if what == "apertium":
        listed = subprocess.run([what, "-l"], capture_output=True, text=True).stdout if shutil.which(what) else ""
        if "eng-spa" not in listed:
            pytest.skip("Apertium is not installed; run: apt-get install apertium apertium-eng-spa")
    elif what is not None:
        pytest.importorskip(what)


def test_nothing_that_is_there_is_replaced_unasked(clearir: Run, folder: Path) -> None:
    (folder / "rows.jsonl").write_text("mine")
    (folder / "recipe.yaml").unlink()
    status, _, messages = clearir("init")
    assert status == 2
    assert "rows.jsonl, english.jsonl: already exist; name another folder or add --overwrite" in messages
    assert not (folder / "recipe.yaml").exists()
    status, shown, _ = clearir("init", "other")
    assert (status, shown.splitlines()[-1]) == (0, "next: cd other && clearir train recipe.yaml")
    assert sorted(path.name for path in (folder / "other").iterdir()) == sorted(FILES)


def test_where_the_package_of_the_base_is_missing_the_recipe_names_the_hub(
    clearir: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clearir.cli.sample.find_spec", lambda name: None)
    assert clearir("init", tmp_path)[0] == 0
    assert load_recipe(tmp_path / "recipe.yaml").model == "intfloat/multilingual-e5-small"


def test_the_sample_names_its_base(folder: Path) -> None:
    assert load_recipe(folder / "recipe.yaml").model == BASE
