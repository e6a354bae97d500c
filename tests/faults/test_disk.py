"""A full disk, one that may not be written to, files cut off: one message, nothing half-written, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import workbench

from clearir.cli.app import main

NAMES = ("translate", "prepare", "mine", "train", "evaluate", "index")
NOBODY = 65534
Run = Callable[[list[str]], tuple[int, str]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    workbench.write_inputs(folder, count=30)
    return folder


@pytest.fixture
def run(monkeypatch, capsys) -> Run:
    """Exit status and messages of the command line."""

    def run(arguments: list[str]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["clearir", *arguments])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """A file that leaves so many bytes free."""
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - left)))
    return filler


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(name, inputs, tiny_model_path, small_disk, run):
    out = small_disk / "out"
    command = workbench.commands(inputs, tiny_model_path, out)[name]
    filler = fill(small_disk, left=40_000 if name == "train" else 4_000)
    status, message = run(command.arguments)
    assert status == 2, message
    assert "Traceback" not in message
    assert "no space left on the disk; free some" in message
    assert str(small_disk) in message
    assert not command.outputs[-1].exists()
    filler.unlink()
    assert run(command.arguments) == (0, ""), "once there is space, the same command ends well"
    assert command.content()


def test_a_full_disk_leaves_what_was_there(inputs, tiny_model_path, small_disk, run):
    command = workbench.commands(inputs, tiny_model_path, small_disk / "out")["mine"]
    run(command.arguments)
    before = command.content()
    fill(small_disk)
    assert run(command.arguments)[0] == 2, "it is there already"
    status, message = run([*command.arguments, "--overwrite", "--seed", "1"])
    assert (status, "no space left" in message) == (2, True)
    assert command.content() == before


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write and read everything; somebody else may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into; pytest's own is root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("name", NAMES)
def test_an_output_that_may_not_be_written(name, open_folder, tiny_model_path, run):
    inputs, model, out = open_folder / "inputs", open_folder / "model", open_folder / "out"
    workbench.write_inputs(inputs, count=30)
    shutil.copytree(tiny_model_path, model)
    (model / "model.safetensors").chmod(0o644)
    pytest.importorskip("lancedb")  # while it may be read
    command = workbench.commands(inputs, model, out)[name]
    out.chmod(0o555)
    try:
        with as_nobody():
            status, message = run(command.arguments)
    finally:
        out.chmod(0o755)
    assert status == 2, message
    assert "Traceback" not in message
    assert str(out) in message
    assert "; change its rights, or choose another place" in message
    assert not command.outputs[0].exists()


def test_an_input_that_may_not_be_read(open_folder, run):
    table = open_folder / "rows.jsonl"
    table.write_text('{"query": "a", "passage": "b"}\n')
    table.chmod(0)
    out = open_folder / "out"
    out.mkdir()
    out.chmod(0o777)
    with as_nobody():
        status, message = run(["translate", str(table), "command=cat", "--to", "eo", "--out", str(out / "t.parquet")])
    assert status == 2
    assert f"{table}: cannot be read" in message
    assert "Permission denied" in message


# -- files cut off ----------------------------------------------------------------------------------------------


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def test_a_model_cut_off(inputs, tiny_model_path, tmp_path, run):
    model = tmp_path / "model"
    shutil.copytree(tiny_model_path, model)
    cut(model / "model.safetensors")
    for name in ("mine", "train", "evaluate", "index"):
        command = workbench.commands(inputs, model, tmp_path / "out")[name]
        status, message = run(command.arguments)
        assert status == 2, message
        assert f"{model}: the weights cannot be read" in message.replace("\n", " ")
        assert not command.outputs[-1].exists()


@pytest.mark.parametrize("name", ["mine", "train", "evaluate"])
def test_a_table_cut_off(name, inputs, tiny_model_path, tmp_path, run):
    own = tmp_path / "inputs"
    shutil.copytree(inputs, own)
    cut(own / "pairs.parquet")
    command = workbench.commands(own, tiny_model_path, tmp_path / "out")[name]
    status, message = run(command.arguments)
    assert status == 2, message
    assert f"{own / 'pairs.parquet'}: not a whole Parquet file" in message
    assert not command.outputs[0].exists()


@pytest.mark.parametrize("name", ["translate", "index"])
def test_json_lines_cut_off(name, inputs, tiny_model_path, tmp_path, run):
    own = tmp_path / "inputs"
    shutil.copytree(inputs, own)
    for file in own.glob("*.jsonl"):
        file.write_bytes(file.read_bytes()[:-10])
    command = workbench.commands(own, tiny_model_path, tmp_path / "out")[name]
    status, message = run(command.arguments)
    assert status == 2, message
    assert ".jsonl:" in message
    assert "not JSON" in message
    assert not command.outputs[0].exists()
