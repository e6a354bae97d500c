from __future__ import annotations

import json
import os
import subprocess

import pytest

from clearir.artifacts import (
    atomic_file,
    atomic_folder,
    fingerprint,
    path_fingerprint,
    read_json,
    run_stage,
    write_json,
)
from clearir.errors import InputError


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
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert [one.name for one in folder.iterdir()] == ["kept"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file.txt", "folder"]


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    for name in (f".folder.{child.pid}.abc", f".folder.{os.getpid()}.abc", ".folder.mine.abc"):
        (tmp_path / name).mkdir()
    (tmp_path / f".file.json.{child.pid}.abc.json").touch()
    with atomic_folder(tmp_path / "folder"), atomic_file(tmp_path / "file.json"):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"folder", "file.json", f".folder.{os.getpid()}.abc", ".folder.mine.abc"}


def test_a_folder_that_a_killed_process_had_taken_away_comes_back(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    old = tmp_path / f".folder.{child.pid}.abc.old"
    old.mkdir()
    (old / "kept").touch()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder"):
        raise RuntimeError
    assert (tmp_path / "folder" / "kept").exists()


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_folder(folder) as temporary:
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
    with pytest.raises(InputError, match="--overwrite"):
        run_stage(folder, {"a": 2}, make)
    assert (folder / "out").read_text() == "1"
    assert run_stage(folder, {"a": 2}, make, overwrite=True) is True
    assert (folder / "out").read_text() == "2"


def test_a_folder_of_something_else_is_not_written_into(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo.jpg").touch()
    with pytest.raises(InputError, match="holiday"):
        run_stage(folder, {}, lambda folder: None)
    assert (folder / "photo.jpg").exists()


def test_written_json_is_readable_by_people(tmp_path):
    write_json(tmp_path / "x.json", {"text": "hyvää"})
    assert "hyvää" in (tmp_path / "x.json").read_text(encoding="utf-8")
