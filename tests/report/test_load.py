from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clearir.losses.objectives import TERMS as OF_OBJECTIVES
from clearir.report.load import TERMS, load_run, load_scores
from clearir.report.markdown import to_markdown
from clearir.support.errors import InputError


@pytest.fixture
def folder(run_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(run_folder, tmp_path / "example")


def test_everything_of_a_folder_is_read(run_folder: Path) -> None:
    run = load_run(run_folder)
    assert run.name == "example"
    assert run.files == ("scores/before.json", "scores/after.json")
    assert run.settings["loss"] == {"alpha": 0.4, "beta": 0.2}
    assert run.training is not None
    assert (run.training.steps, run.training.log[0]["step"]) == (60, 5)
    assert run.data is not None
    assert run.data.topped_up == [0, 4]
    assert [search.language for search in run.searches] == ["de", "ar"]
    assert run.searches[0].after[0].passage == "tool that plays music"
    assert run.texts is not None


def test_languages_come_by_amount_of_training_data(run_folder: Path) -> None:
    assert load_run(run_folder).languages == ["de", "es", "vi", "zh", "ar", "hi"]


def test_every_term_of_an_objective_has_a_title() -> None:
    assert set(TERMS) == {"loss", *OF_OBJECTIVES}


def test_the_terms_that_were_logged_are_shown(folder: Path) -> None:
    file = folder / "model" / "training.json"
    record = json.loads(file.read_text())
    record["log"] = [{"step": step, "loss": 1.5, "direct": step / 10, "retain": 0.25} for step in (5, 10)]
    file.write_text(json.dumps(record))
    run = load_run(folder)
    assert run.training is not None
    assert run.training.curve("direct") == [(5, 0.5), (10, 1.0)]
    assert run.training.curve("reverse") == []
    assert "| step | loss | direct | retain |" in to_markdown(run)
    assert "| 10 | 1.500 | 1.000 | 0.250 |" in to_markdown(run)


def test_scores_are_enough(folder: Path) -> None:
    for part in ("model/training.json", "data.json", "searches.json", "recipe.yaml", "scores/texts.json"):
        (folder / part).unlink()
    run = load_run(folder)
    assert (run.name, run.settings, run.training, run.data, run.searches, run.texts) == (
        "example",
        {},
        None,
        None,
        (),
        None,
    )
    assert run.languages == ["ar", "de", "es", "hi", "vi", "zh"]


def test_two_files_of_scores_are_a_run(run_folder: Path) -> None:
    before, after = run_folder / "scores" / "before.json", run_folder / "scores" / "after.json"
    run = load_scores(before, after)
    assert run.files == (str(before), str(after))
    assert run.texts is not None
    assert run.name == "sentence-transformers/all-MiniLM-L6-v2 and runs/demo/model on packages"


def test_a_folder_of_scores_is_a_run(run_folder: Path, folder: Path) -> None:
    run = load_run(run_folder / "scores")
    assert run.files == (str(run_folder / "scores" / "before.json"), str(run_folder / "scores" / "after.json"))
    assert run.texts is not None
    shutil.copy(folder / "scores" / "after.json", folder / "scores" / "third.json")
    with pytest.raises(
        InputError, match=r"needs two files of scores, before and after, but there are 3: .*third\.json"
    ):
        load_run(folder / "scores")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_run(tmp_path / "nowhere")


def test_no_scores(folder: Path) -> None:
    (folder / "scores" / "after.json").unlink()
    with pytest.raises(InputError, match=r"no scores/after\.json; finish the run"):
        load_run(folder)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("scores/before.json", "{", r"before\.json:1: not JSON"),
        ("scores/texts.json", "{}", r"texts\.json: not a clearir-texts"),
        ("model/training.json", '{"log": 3, "seconds": 1, "steps": 2}', r"training\.json: log: "),
        ("model/training.json", "[]", r"training\.json: "),
        ("data.json", '{"languages": {"de": {"train": "many"}}}', r"data\.json: languages\.de\.train: "),
        ("searches.json", '[{"language": "de"}]', r"searches\.json: 0\.query: "),
        ("recipe.yaml", "a: [", r"recipe\.yaml: cannot be read"),
        ("recipe.yaml", "- a", r"recipe\.yaml: not a mapping"),
    ],
)
def test_a_broken_part_is_named(folder: Path, part: str, content: str, message: str) -> None:
    (folder / part).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_run(folder)


def test_keys_of_later_versions_are_passed_over(folder: Path) -> None:
    (folder / "data.json").write_text('{"languages": {}, "weather": "fine"}', encoding="utf-8")
    assert load_run(folder).data is not None
