"""`clearir init --from TABLE`: what it says of a table, and that its recipe runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import clearir.losses.scale
from clearir.cli.first_recipe import FEWEST_PAIRS, write_recipe
from clearir.data.rows import Row
from clearir.data.sources.understand import Understood
from clearir.evaluation.compare import FEW
from clearir.runs.recipe import load_recipe
from clearir.support.errors import InputError

Run = Callable[..., tuple[int, str, str]]
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")


def wide(path: Path, rows: int, holes: int = 0) -> Path:
    """A spreadsheet of a translator: semicolons, a column per language, some cells empty."""
    draw = random.Random(0)
    lines = ["en;answer;sw;es"]
    for number in range(rows):
        query = " ".join(draw.sample(WORDS, 3))
        text = " ".join(draw.sample(WORDS, 8))
        swahili = "" if number < holes else f"je {query} {number}"
        lines.append(f"{query} {number};about {query} {number} {text};{swahili};que {query} {number}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_recipe_of_a_table_with_a_column_per_language_trains(
    clearir: Run, tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    wide(Path("faq.csv"), 60, holes=5)
    status, said, messages = clearir("init", "--from", "faq.csv", "--model", tiny_model_path)
    assert status == 0, messages
    for line in (
        "faq.csv: 120 rows (one per query and language), 60 passages",
        "en       query",
        "answer   passage",
        "sw       target_query (sw)",
        "Swahili            55         5",
        "Spanish            60",
        "next: clearir train recipe.yaml",
    ):
        assert line in said, said
    recipe = load_recipe(Path("recipe.yaml"))
    assert recipe.data.columns == {"query": "en", "target_query": ["sw", "es"]}
    assert recipe.model == str(tiny_model_path)
    assert "Swahili 5" in Path("recipe.yaml").read_text(), "what is not translated"
    short = ("train.max_steps=2", "train.max_seq_length=32", "filter=null", "loss.scale=20")
    status, said, messages = clearir("train", "recipe.yaml", *short)
    assert status == 0, messages
    assert Path("runs/faq/report.html").is_file()


def test_a_recipe_that_is_there_is_not_replaced(clearir: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wide(Path("faq.csv"), 20)
    Path("recipe.yaml").write_text("mine")
    status, _, messages = clearir("init", "--from", "faq.csv")
    assert status == 2
    assert "recipe.yaml: already exists; name another folder or add --overwrite" in messages
    assert Path("recipe.yaml").read_text() == "mine"
    assert clearir("init", "my", "--from", "faq.csv")[0] == 0
    assert load_recipe(Path("my/recipe.yaml")).data.path == "faq.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["columns.query=a"], "columns: no effect with the sample; for your own table add --from TABLE"),
        (["--model", "m"], "--model is for a recipe of your own table; add --from TABLE"),
        (["one", "two"], "one and two: give one folder"),
        (["--from", "none.csv"], "none.csv: no such file"),
        (["--from", "english.csv"], "no translated queries were found"),
        (["--from", "other.csv"], "columns.query=COLUMN"),
    ],
)
def test_what_cannot_be_done_is_said(
    clearir: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("english.csv").write_text("question,answer\nq,p\n")
    Path("other.csv").write_text("a,b\nq,p\n")
    status, _, messages = clearir("init", *arguments)
    assert status == 2
    assert message in messages
    assert not Path("recipe.yaml").exists()


def test_the_columns_that_are_not_understood_can_be_said(
    clearir: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.csv").write_text("a,b,c\nwhat is it?,It is this.,je ni nini?\n")
    said = ("columns.query=a", "columns.passage=b", "columns.target_query=c", "language=sw")
    status, _, messages = clearir("init", "my", *said, "--from", "other.csv")
    assert status == 0, messages
    recipe = load_recipe(Path("my/recipe.yaml"))
    assert recipe.data.columns == {"query": "a", "passage": "b", "target_query": "c"}
    assert recipe.data.language == "sw"


def understood(**counts: int) -> Understood:
    rows = tuple(Row(f"q{n}", f"p{n}", f"{code} {n}", code) for code, count in counts.items() for n in range(count))
    return Understood({}, {}, (), rows)


@pytest.mark.parametrize(
    ("counts", "test", "steps"),
    [
        # a tenth of 500 is FEW; 900 rows in batches of 32 are 29 steps, so 40 are taken
        ({"sw": 500, "es": 500}, 0.1, 40),
        # 5 * FEW: a fifth
        ({"sw": 250}, 0.2, 40),
        ({"sw": 40}, 0.3, 40),
        ({"sw": 3}, 0.3, 40),
        # 9,000 rows are 282 steps: one epoch
        ({"sw": 10_000}, 0.1, None),
    ],
)
def test_the_settings_follow_the_size_of_the_table(
    tmp_path: Path, counts: dict, test: float, steps: int | None
) -> None:
    assert FEW == 50
    written = write_recipe(tmp_path / "t.csv", understood(**counts), tmp_path, model="m")
    recipe = load_recipe(written.path)
    assert recipe.data.test == test
    assert recipe.train.max_steps == steps
    assert not recipe.mine.mines
    few = min(counts.values()) * test < FEW
    assert any("few test queries" in warning for warning in written.warnings) == few


def test_e5_of_the_hub_gets_its_prompts(tmp_path: Path) -> None:
    written = write_recipe(tmp_path / "t.csv", understood(sw=500), tmp_path, model="intfloat/multilingual-e5-base")
    assert load_recipe(written.path).prompts.query == "query: "
    again = write_recipe(tmp_path / "t.csv", understood(sw=500), tmp_path, model="BAAI/bge-m3", overwrite=True)
    assert load_recipe(again.path).prompts.query is None


def test_the_scale_of_e5_is_set_where_the_rows_are_too_few_to_find_it(tmp_path: Path) -> None:
    def scale(passages: int, **model: str) -> object:
        written = write_recipe(tmp_path / "t.csv", understood(sw=passages), tmp_path, overwrite=True, **model)
        return load_recipe(written.path).loss.scale

    assert FEWEST_PAIRS == clearir.losses.scale.FEW
    assert scale(44) == 100  # 30.8 of them are trained on
    assert scale(47) == "auto"  # 32.9
    assert scale(10, model="BAAI/bge-m3") == "auto"


def test_names_that_yaml_would_read_otherwise_stay_names(tmp_path: Path) -> None:
    folder = tmp_path / "a: b"
    written = write_recipe(folder / "no.csv", understood(sw=500), folder, model="m: x # y")
    recipe = load_recipe(written.path)
    assert (recipe.name, recipe.model) == ("no", "m: x # y")
    assert Path(str(recipe.data.path)).name == "no.csv"


def test_a_table_without_translations_is_no_recipe(tmp_path: Path) -> None:
    rows = (Row("q", "p"), Row("q2", "p2"))
    with pytest.raises(InputError, match="no translated queries were found"):
        write_recipe(tmp_path / "t.csv", Understood({}, {}, (), rows), tmp_path)
