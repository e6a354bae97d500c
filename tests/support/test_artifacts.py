from __future__ import annotations

import json
import os
import subprocess

import pytest

from clearir.support.artifacts import (
    _machine,
    _sweep,
    atomic_file,
    atomic_folder,
    differences,
    fingerprint,
    model_content,
    path_fingerprint,
    read_json,
    run_stage,
    write_json,
)
from clearir.support.errors import InputError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a" / "file.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(RuntimeError), atomic_folder(folder, mark="kept") as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert [one.name for one in folder.iterdir()] == ["kept"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file.txt", "folder"]


@pytest.fixture
def gone() -> str:
    """How a process that is gone marks what it is writing: its machine and its number."""
    child = subprocess.Popen(["true"])
    child.wait()
    return f"{_machine()}-{child.pid}"


def test_what_a_killed_process_left_is_swept_away(tmp_path, gone):
    kept = [f".folder.{_machine()}-{os.getpid()}.abc", ".folder.mine.abc"]
    for name in (f".folder.{gone}.abc", *kept):
        (tmp_path / name).mkdir()
    (tmp_path / f".file.json.{gone}.abc.json").touch()
    with atomic_folder(tmp_path / "folder"), atomic_file(tmp_path / "file.json"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file.json", *kept}


def test_what_another_machine_writes_on_a_shared_disk_is_not_judged_by_this_ones_processes(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "folder") as theirs, atomic_file(tmp_path / "file.json") as theirs_too:
        monkeypatch.setattr("socket.gethostname", lambda: "another")
        monkeypatch.setattr("psutil.pid_exists", lambda number: False)  # there is no such process here
        _machine.cache_clear()
        for name in ("folder", "file.json"):
            _sweep(tmp_path / name)
        assert theirs.exists()
        assert theirs_too.exists()
        monkeypatch.undo()
        _machine.cache_clear()


def test_a_folder_that_a_killed_process_had_taken_away_comes_back(tmp_path, gone):
    old = tmp_path / f".folder.{gone}.abc.old"
    old.mkdir()
    (old / "kept").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder", mark="kept"):
        raise RuntimeError
    assert (tmp_path / "folder" / "kept").exists()


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_folder(folder, mark="old") as temporary:
        (temporary / "new").touch()
    assert [one.name for one in folder.iterdir()] == ["new"]


def test_a_result_has_the_rights_of_any_other_file(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_file(tmp_path / "result"):
        pass
    assert (tmp_path / "result").stat().st_mode == plain.stat().st_mode


def test_fingerprints(tmp_path):
    assert fingerprint({"a": 1, "b": "ä"}) == fingerprint({"b": "ä", "a": 1}) != fingerprint({"a": 2, "b": "ä"})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
        (tmp_path / name / ".hidden").write_text(name)
    assert path_fingerprint(tmp_path / "one") == path_fingerprint(tmp_path / "two")
    (tmp_path / "two" / "file").write_text("y")
    assert path_fingerprint(tmp_path / "one") != path_fingerprint(tmp_path / "two")


def test_json_errors_name_file_and_line(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": 1,\n "b": }')
    with pytest.raises(InputError, match=r"broken\.json:2: not JSON"):
        read_json(tmp_path / "broken.json")
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'"\xe9"')
    with pytest.raises(InputError, match="byte 1 is not UTF-8"):
        read_json(tmp_path / "latin.json")


def test_a_finished_stage_is_skipped_and_another_one_refused(tmp_path):
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "out").write_text(str(len(calls)))
        return {"n": len(calls)}

    folder = tmp_path / "stage"
    assert run_stage(folder, {"a": 1}, make) is True
    assert run_stage(folder, {"a": 1}, make) is False
    assert json.loads((folder / "manifest.json").read_text())["result"] == {"n": 1}
    with pytest.raises(InputError, match=r"other settings \(a is 1 there and 2 here\);.*--overwrite"):
        run_stage(folder, {"a": 2}, make)
    assert (folder / "out").read_text() == "1"
    assert run_stage(folder, {"a": 2}, make, overwrite=True) is True
    assert (folder / "out").read_text() == "2"


def test_a_folder_of_something_else_is_not_written_into(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo.jpg").touch()
    for overwrite in (False, True):
        with pytest.raises(InputError, match="holiday holds something that clearir did not write"):
            run_stage(folder, {}, lambda folder: None, overwrite=overwrite)
        with pytest.raises(InputError, match=r"photo\.jpg holds something"):
            run_stage(folder / "photo.jpg", {}, lambda folder: None, overwrite=overwrite)
    assert [path.name for path in folder.iterdir()] == ["photo.jpg"]
    assert [path.name for path in tmp_path.iterdir()] == ["holiday"]


def test_what_came_there_in_the_meantime_is_not_replaced(tmp_path):
    folder = tmp_path / "folder"
    with pytest.raises(InputError, match="folder holds something"), atomic_folder(folder):
        folder.mkdir()
        (folder / "photo.jpg").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (folder / "photo.jpg").exists()


def test_differences_name_the_settings_that_people_know():
    there = {"train": {"learning_rate": 5e-5, "epochs": 1.0}, "mined": "0123456789abcdef", "merge": None, "old": 1}
    wanted = {"train": {"learning_rate": 1e-4, "epochs": 1.0}, "mined": "f123456789abcdef", "merge": {"weight": 0.5}}
    assert differences(there, wanted) == (
        "train.learning_rate is 5e-05 there and 0.0001 here, other mined, old is 1 there and not set here, "
        "merge.weight is not set there and 0.5 here"
    )
    assert differences({"a": [1, 2]}, {"a": (1, 2)}) == "another version wrote it"
    many = {str(number): 1 for number in range(6)}
    assert differences({}, many).endswith("3 is not set there and 1 here, 2 more")


def test_a_model_is_known_by_what_it_is_loaded_from(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    first = model_content(model)
    for beside in ("README.md", "manifest.json", ".cache"):
        (model / beside).write_text("of no weight")
    assert model_content(model) == first
    (model / "model.safetensors").write_bytes(b"others")
    assert model_content(model) != first
    (model / "model.safetensors").write_bytes(b"weights")
    assert model_content(model) == first
    (model / "model.safetensors").rename(model / "pytorch.safetensors")
    assert model_content(model) != first


def test_written_json_is_readable_by_people(tmp_path):
    write_json(tmp_path / "x.json", {"text": "hyvää"})
    assert "hyvää" in (tmp_path / "x.json").read_text(encoding="utf-8")
