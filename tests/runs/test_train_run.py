"""A whole run on a table of one's own, with a tiny model; the real one is `make demo`."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from clearir.cli.console import console
from clearir.cli.tables import show_run
from clearir.data.prepared import read_part
from clearir.evaluation.compare import compare
from clearir.report.load import load_run
from clearir.runs import train_run
from clearir.runs.recipe import Recipe, load_recipe
from clearir.runs.study_run import study
from clearir.support.artifacts import read_json
from clearir.support.errors import InputError

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")


def reverse(text: str) -> str:
    return " ".join(word[::-1] for word in text.split())


@pytest.fixture(scope="module")
def recipe_path(tiny_model_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    draw = random.Random(0)
    lines = []
    for i in range(90):
        query = " ".join(draw.sample(WORDS, 3))
        lines.append(
            {
                "query": f"{query} {i}",
                "passage": f"about {query} {i} and {' '.join(draw.sample(WORDS, 3))}",
                "target_query": f"{reverse(query)} {i}",
                "target_passage": f"tuoba {reverse(query)} {i}",
                "language": ("de", "uk", "fi")[i % 3],
                "passage_id": f"p{i}",
                "query_id": f"q{i}",
            }
        )
    lines.append(lines[0])  # the same row twice
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    recipe = {
        "name": "tiny",
        "model": str(tiny_model_path),
        "output": str(folder / "out"),
        "data": {"source": "table", "path": str(folder / "rows.jsonl"), "test": {"de": 8, "uk": 6, "fi": 4}},
        "filter": None,  # words turned round are in no language
        "mine": {"negatives": 1, "target_negatives": 1, "window": [1, 10]},
        "train": {"max_steps": 6, "batch_size": 6, "save_steps": 2, "log_steps": 2, "learning_rate": 0.001},
        "loss": {"cached": False},
        "searches": [{"language": "fi", "query": "rebma hcrib"}],
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recipe(recipe_path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="module")
def finished(recipe):
    """The finished run and what it said."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        compared = []
        patch.setattr("clearir.report.load.compare", lambda *scores: compared.append(1) or compare(*scores))
        run = train_run.run(recipe, say=said.append)
        with console.capture():
            show_run(run, Path(recipe.output))
    assert len(compared) == 1, "which takes seconds for many directions"
    return run, said


def test_every_output_is_there(recipe, finished):
    names = {path.name for path in Path(recipe.output).iterdir() if not path.name.startswith(".")}
    assert names >= {"rows", "mined", "model", "scores", "data.json", "recipe.yaml", "searches.json", "report.md"}
    assert load_recipe(Path(recipe.output) / "recipe.yaml") == recipe


def test_the_run_knows_its_sizes(finished):
    run, _ = finished
    assert {language: sizes["test"] for language, sizes in run.data.languages.items()} == {"de": 8, "uk": 6, "fi": 4}
    assert sum(sum(sizes.values()) for sizes in run.data.languages.values()) == 90
    assert run.data.duplicates == 1
    assert run.data.negatives == [1, 1]
    assert run.training.steps == 6
    assert sum(run.training.rows_by_language.values()) == 6 * 6


def test_the_scale_is_said_and_written_down(recipe, finished):
    _, said = finished
    (line,) = [line for line in said if line.startswith("scale ")]
    written = read_json(Path(recipe.output) / "model" / "training.json")["scale"]
    assert written["auto"]
    assert line.startswith(f"scale {written['used']:g} (found from {written['pairs']} pairs)")
    assert read_json(Path(recipe.output) / "model" / "manifest.json")["result"]["scale"] == written["used"]


def test_the_held_out_rows_were_not_trained_on(recipe, finished):
    from clearir.data.rows import Rows

    test = {row.passage for row in read_part(Path(recipe.output) / "rows", "test")}
    seen = Rows.from_parquet(Path(recipe.output) / "mined" / "train.parquet").rows
    assert len(test) == 18
    assert not test & {text for row in seen for text in (row.passage, *row.negatives)}


def test_each_direction_is_scored_on_the_test_queries(finished):
    run, _ = finished
    for scores in (run.before, run.after):
        assert len(scores.directions["en->en"].query_ids) == 18
        assert len(scores.directions["fi->en"].query_ids) == 4
        assert len(scores.directions["uk->uk"].query_ids) == 6
    assert run.before.model_hash != run.after.model_hash


def test_the_report_and_the_card_hold_the_scores(recipe, finished):
    run, _ = finished
    figure = f"{100 * run.after.mean('fi->en'):.1f}"
    assert figure in (Path(recipe.output) / "report.md").read_text(encoding="utf-8")
    card = (Path(recipe.output) / "model" / "README.md").read_text(encoding="utf-8")
    assert figure in card
    assert "max_steps: 6" in card


@pytest.mark.parametrize(("given", "kept"), [({}, 20), ({"filter": None}, 30)])
def test_prepare_and_train_take_the_same_rows_of_a_recipe(tiny_model_path, tmp_path, given, kept):
    rows = [
        {
            "query": f"Where is bridge {n}?",
            "passage": f"Bridge {n} stands in town {3 * n} by a river.",
            "target_query": f"Где мост {n}?" if n % 3 else f"Gdje je most {n}?",
            "language": "ru",
        }
        for n in range(30)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe = Recipe.model_validate(
        {
            "name": "same",
            "model": str(tiny_model_path),
            "output": str(tmp_path / "out"),
            "data": {"path": str(tmp_path / "rows.jsonl"), "test": 0.1},
            "mine": {"negatives": 0, "target_negatives": 0},
        }
        | given
    )
    said: list[str] = []
    train_run.prepare_rows(recipe, say=said.append)
    prepared = train_run.prepare_data(recipe)
    parts = ("train", "dev", "test")
    of_train = [read_part(Path(recipe.output) / "rows", part) for part in parts]
    assert [read_part(prepared.folder, part) for part in parts] == of_train
    assert sum(map(len, of_train)) == kept
    assert any("dropped rows: wrong script 10;" in line for line in said) == (kept == 20)


def test_searches_show_both_models(recipe, finished):
    (search,) = json.loads((Path(recipe.output) / "searches.json").read_text(encoding="utf-8"))
    assert len(search["before"]) == len(search["after"]) == 3


def test_held_out_queries_are_answered_and_the_right_passage_is_marked(recipe, finished):
    path = Path(recipe.output) / "searches.json"
    kept = path.read_text(encoding="utf-8")
    try:
        train_run.answer_searches(recipe.model_copy(update={"searches": 2}))
        run = load_run(Path(recipe.output))
    finally:
        path.write_text(kept, encoding="utf-8")
    assert [search.language for search in run.searches] == ["de", "de", "fi", "fi", "uk", "uk"]
    test = {row.target_query: row for row in read_part(Path(recipe.output) / "rows", "test")}
    for search in run.searches:
        row = test[search.query]
        assert (search.meaning, search.right) == (row.query, row.passage)
        for hit in [*search.before, *search.after]:
            assert hit.right == (hit.passage == row.passage)
            assert {one.query for one in test.values() if one.passage == hit.passage} == {hit.question}
    with console.capture() as captured:
        show_run(run, Path(recipe.output))
    assert f"({run.searches[0].meaning})" in captured.get()
    assert "among all test passages, the right passage ranks first for" in " ".join(captured.get().split())


def test_a_second_run_does_nothing_again(recipe, finished):
    stamp = (Path(recipe.output) / "model" / "model.safetensors").stat().st_mtime_ns
    said: list[str] = []
    again = train_run.run(recipe, say=said.append)
    assert [line for line in said if "written to" in line] == []
    assert (Path(recipe.output) / "model" / "model.safetensors").stat().st_mtime_ns == stamp
    assert again.after.summary() == finished[0].after.summary()


def test_the_trained_weights_are_mixed_with_the_base(recipe_path, recipe, finished, tmp_path):
    shutil.copytree(recipe.output, tmp_path / "out")
    merged = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", "merge.weight=0.25"])
    run = train_run.run(merged, overwrite=True)
    base, trained, mixed = (
        load_file(folder / "model.safetensors")
        for folder in (Path(recipe.model), tmp_path / "out" / "trained", tmp_path / "out" / "model")
    )
    assert all(
        torch.allclose(value, 0.75 * base[name] + 0.25 * trained[name], atol=1e-7) for name, value in mixed.items()
    )
    assert run.training.steps == finished[0].training.steps
    assert "weight: 0.25" in (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")

    unheld = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", "merge.retention=0.5"])
    with pytest.raises(InputError, match=r"data\.dev=0\.1"):
        train_run.train_model(unheld, overwrite=True)


def test_a_recipe_with_adapters(recipe_path, recipe, finished, tmp_path):
    pytest.importorskip("peft", reason="the extra lora is not installed")
    shutil.copytree(recipe.output, tmp_path / "out")
    lora = [f"output={tmp_path / 'out'}", "train.lora.r=4", "train.learning_rate=0.01"]
    with pytest.raises(InputError, match=r"model holds .*train\.lora\.r is not set there and 4 here"):
        train_run.run(load_recipe(recipe_path, lora))
    said: list[str] = []
    run = train_run.run(load_recipe(recipe_path, lora), overwrite=True, say=said.append)
    assert [line.partition(":")[0] for line in said if "written to" in line] == ["model", "scores"]
    assert run.training.steps == 6
    assert run.before.summary() == finished[0].before.summary()
    base, whole = (
        load_file(folder / "model.safetensors") for folder in (Path(recipe.model), tmp_path / "out" / "model")
    )
    changed = {name for name, weight in whole.items() if not torch.equal(weight, base[name])}
    assert len(changed) == 12, "six layers of each of the two"

    alone = train_run.run(load_recipe(recipe_path, [*lora, "train.lora.merge=false"]), overwrite=True)
    assert (tmp_path / "out" / "model" / "adapter_model.safetensors").is_file()
    assert alone.after.summary() == run.after.summary(), "the same model, saved in another way"
    assert "adapters (LoRA) alone" in (tmp_path / "out" / "model" / "README.md").read_text(encoding="utf-8")

    keys = [*lora, "train.lora.merge=false", "merge.weight=0.25"]
    train_run.run(load_recipe(recipe_path, keys), overwrite=True)
    mixed = load_file(tmp_path / "out" / "model" / "model.safetensors")
    assert mixed.keys() == base.keys()
    for name, weight in mixed.items():
        torch.testing.assert_close(weight, 0.75 * base[name] + 0.25 * whole[name])
    assert (tmp_path / "out" / "trained" / "adapter_model.safetensors").is_file()


def test_the_weight_is_chosen_on_the_dev_rows(recipe_path, tmp_path):
    held = load_recipe(recipe_path, [f"output={tmp_path}", "data.dev.de=6", "merge.retention=0.5", "train.max_steps=1"])
    for stage in (train_run.prepare_rows, train_run.mine_rows, train_run.train_model):
        stage(held)
    facts = read_json(tmp_path / "model" / "merge.json")
    dev = read_part(tmp_path / "rows", "dev")
    assert facts["choice"]["suite"] == f"{held.name} dev"
    assert len(dev) == 6
    assert facts["weight"] == facts["choice"]["weight"]
    assert [one["weight"] for one in facts["choice"]["tried"]] == [tenth / 10 for tenth in range(11)]


def test_other_settings_need_a_word(recipe_path, recipe, finished, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(recipe.output, copy)
    changed = load_recipe(recipe_path, [f"output={copy}", "train.learning_rate=0.002"])
    with pytest.raises(InputError, match="--overwrite"):
        train_run.run(changed)
    said: list[str] = []
    train_run.run(changed, overwrite=True, say=said.append)
    assert [line.partition(":")[0] for line in said if "written to" in line] == ["model", "scores"]


def test_a_teacher_decides_the_model_and_not_the_negatives(recipe_path, recipe, finished, tmp_path):
    copy, teacher = tmp_path / "out", tmp_path / "teacher"
    shutil.copytree(recipe.output, copy)
    shutil.copytree(recipe.model, teacher)
    taught = load_recipe(recipe_path, [f"output={copy}", "loss.objective=mimo", f"loss.teacher={teacher}"])
    train_run.run(taught, overwrite=True)
    weights = load_file(teacher / "model.safetensors")
    save_file({name: value + 0.1 for name, value in weights.items()}, teacher / "model.safetensors")
    said: list[str] = []
    train_run.run(taught, overwrite=True, say=said.append)
    assert [line.partition(":")[0] for line in said if "written to" in line] == ["model", "scores"]


KILLED = """
import multiprocessing, signal, sys
import datasets, sentence_transformers  # once for all processes
from clearir.cli import app
from tiny_bert import end_in_step

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background leaves out

def run(*moment):
    if moment:
        end_in_step(*moment)
    app.main()

ended = []
for moment in ((1,), (4,), (5, signal.SIGINT), ()):  # checkpoints stand after steps 2, 4 and 6
    process = multiprocessing.get_context("fork").Process(target=run, args=moment)
    process.start()
    process.join()
    ended.append(process.exitcode)
assert ended == [-signal.SIGKILL, -signal.SIGKILL, 130, 0], ended
"""


def test_settings_that_change_no_output_do_no_work(recipe_path, recipe, finished, tmp_path):
    shutil.copytree(recipe.output, tmp_path / "out")
    keys = ["train.log_steps=1", "train.save_steps=1", "train.report_to=[]", "train.epochs=5", "loss.memory_budget=1"]
    said: list[str] = []
    run = train_run.run(load_recipe(recipe_path, [f"output={tmp_path / 'out'}", *keys]), say=said.append)
    assert [line for line in said if "written to" in line] == []
    assert run.training == finished[0].training
    mined = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", "mine.window=[1, 5]"])
    with pytest.raises(InputError, match=r"mined holds .* \(mine\.window is \[1, 10\] there and \[1, 5\] here\)"):
        train_run.run(mined)


def test_other_weights_under_the_name_of_the_base_are_another_base(recipe_path, recipe, finished, tmp_path):
    shutil.copytree(recipe.output, tmp_path / "out")
    base = tmp_path / "base"
    shutil.copytree(recipe.model, base)
    moved = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", f"model={base}"])
    (base / "README.md").write_text("# Read me")
    said: list[str] = []
    train_run.run(moved, say=said.append)
    assert [line for line in said if "written to" in line] == [], "the same model, in another folder"

    weights = load_file(base / "model.safetensors")
    save_file({name: weight + 0.1 for name, weight in weights.items()}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"mined holds output made with other settings \(other model\)"):
        train_run.run(moved)
    train_run.run(moved, overwrite=True, say=said.append)
    assert [line.partition(":")[0] for line in said if "written to" in line] == ["negatives", "model", "scores"]


def test_two_runs_into_one_folder_at_once_are_refused(recipe_path, tmp_path):
    out = load_recipe(recipe_path, [f"output={tmp_path / 'out'}"])
    other = out.model_copy(update={"train": out.train.model_copy(update={"learning_rate": 0.002})})
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()

    def first() -> None:
        with train_run.writing(out):
            held.set()
            done.wait(60)

    process = fork.Process(target=first)
    process.start()
    assert held.wait(60)
    for work in (train_run.run, train_run.prepare_data, study):
        with pytest.raises(InputError, match="out: another process is writing it"):
            work(other, overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock"}
    done.set()
    process.join()
    train_run.prepare_rows(other)


def test_the_report_of_scores_of_another_model_is_refused(recipe_path, recipe, finished, tmp_path):
    shutil.copytree(recipe.output, tmp_path / "out")
    load_run(tmp_path / "out")
    model = tmp_path / "out" / "model" / "model.safetensors"
    shutil.copyfile(Path(recipe.model) / "model.safetensors", model)
    with pytest.raises(InputError, match=r"out/scores: not the scores of the model in .*out/model; .*clearir train"):
        load_run(tmp_path / "out")
    again = load_recipe(recipe_path, [f"output={tmp_path / 'out'}"])
    with pytest.raises(InputError, match=r"scores holds output made with other settings \(other scored\)"):
        train_run.run(again)
    shutil.rmtree(tmp_path / "out" / "model")
    assert load_run(tmp_path / "out").after.summary() == finished[0].after.summary()


def test_a_killed_run_ends_with_the_same_scores(recipe_path, finished, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, "train", str(recipe_path), f"output={out}"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("stopped; run the same command again to resume") == 1
    assert "stopped at step 4 of 6; the same command goes on after step 4" in done.stdout
    assert done.stdout.count("training goes on after step 2 of 6") == 1
    assert done.stdout.count("training goes on after step 4 of 6") == 1
    run = load_run(out)
    for name, direction in finished[0].after.directions.items():
        assert run.after.directions[name].values == direction.values


def test_a_table_without_translations_says_what_to_run(recipe_path, tmp_path):
    (tmp_path / "english.jsonl").write_text(
        "\n".join(json.dumps({"query": f"q {i}", "passage": f"text {i}"}) for i in range(20)), encoding="utf-8"
    )
    changed = load_recipe(
        recipe_path, [f"data.path={tmp_path / 'english.jsonl'}", "data.test=0.1", f"output={tmp_path}/o"]
    )
    with pytest.raises(InputError, match="no target query"):
        train_run.run(changed)


def test_rows_and_rows_seen_have_a_word_each_and_are_the_same_everywhere(recipe_path, recipe, finished):
    run, _ = finished
    lines = [json.loads(line) for line in (recipe_path.parent / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    for language, held_out in recipe.data.test.items():
        rows = len({line["query_id"] for line in lines if line["language"] == language}) - held_out
        seen = run.training.rows_by_language[language]
        assert run.rows_by_language[language] == rows != seen
        with console.capture() as captured:
            show_run(run, Path(recipe.output))
        assert f"{rows} rows" in captured.get()
        assert f"{seen} rows" not in captured.get()
        page = " ".join((Path(recipe.output) / "report.html").read_text(encoding="utf-8").split())
        assert f"<td>{rows}</td><td>0</td><td>{held_out}</td><td>{seen}</td>" in page
        assert f"{rows} training rows" in page
    assert sum(run.training.rows_by_language.values()) == 6 * 6
    report = (Path(recipe.output) / "report.md").read_text(encoding="utf-8")
    assert "6 steps" in report
    assert "36 rows seen" in report


def test_the_terminal_shows_table_retention_searches_and_paths(recipe, finished):
    run, _ = finished
    with console.capture() as captured:
        show_run(run, Path(recipe.output))
    shown = captured.get()
    print(shown)
    for language in ("German", "Ukrainian", "Finnish"):
        assert language in shown
    before, after = (100 * scores.mean("en->en") for scores in (run.before, run.after))
    assert f"en->en over all queries: {before:.1f} -> {after:.1f}" in shown
    assert f"retention {after / before:.1%}" in " ".join(shown.split())
    assert "Finnish: rebma hcrib" in shown
    assert str(Path(recipe.output) / "model") in shown.replace("\n", "")
    assert "significantly better in" in " ".join(shown.split())


def test_prepare_makes_a_data_set_with_negatives(recipe_path, tmp_path):
    from datasets import load_dataset

    prepared = train_run.prepare_data(load_recipe(recipe_path, [f"output={tmp_path / 'out'}"]))
    loaded = load_dataset(str(prepared.folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 72, "test": 18}
    assert all(loaded["train"]["negative_1"])
    assert all(loaded["train"]["target_negative_1"])


def test_evaluation_texts_are_kept_out_of_training(recipe_path, tmp_path):
    lines = (recipe_path.parent / "rows.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    (tmp_path / "evaluation.jsonl").write_text("\n".join(lines), encoding="utf-8")
    overrides = [f"output={tmp_path / 'out'}", f"decontaminate=[{tmp_path / 'evaluation.jsonl'}]"]
    train_run.prepare_rows(load_recipe(recipe_path, overrides))
    kept = {row.passage for part in train_run.PARTS for row in read_part(tmp_path / "out" / "rows", part)}
    dropped = {json.loads(line)["passage"] for line in lines}
    assert len(dropped) == 10
    assert not dropped & kept


@pytest.mark.parametrize(
    ("epochs", "accumulate", "steps"),
    [(0.5, 1, 6), (1, 1, 12), (3, 1, 36), (3, 2, 18)],  # 72 rows to train on, in batches of 6
)
def test_epochs_count_once(recipe_path, tmp_path, epochs, accumulate, steps):
    keys = {"output": tmp_path, "train.max_steps": "null", "train.epochs": epochs, "train.accumulate": accumulate}
    recipe = load_recipe(recipe_path, [f"{key}={value}" for key, value in keys.items()])
    train_run.build(recipe)
    training = read_json(tmp_path / "model" / "training.json")
    assert training["steps"] == steps
    assert sum(training["rows_by_language"].values()) == 72 * epochs


def test_torchrun_makes_the_whole_run_with_one_writer(recipe_path, tmp_path):
    out = tmp_path / "out"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "clearir", "train", str(recipe_path), f"output={out}", "train.max_steps=null"]
    command.append("train.epochs=0.5")  # of 72 rows, 2 x 6 a step: 3 steps
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    for stage in ("rows", "negatives", "model", "scores"):
        assert done.stdout.count(f"{stage}: written to") == 1, done.stdout
    assert "a step of training: 2 processes x 6 rows = 12 rows" in done.stdout
    run = load_run(out)
    assert run.training.steps == 3
    assert sum(run.training.rows_by_language.values()) == 3 * 2 * 6
    assert f"{100 * run.after.mean('fi->en'):.1f}" in (out / "report.md").read_text(encoding="utf-8")
    assert {path.name for path in out.glob(".*")} <= {".rows.work"}, "no checkpoints and nothing half-written"


@pytest.mark.parametrize("content", ["frage,antwort\nq,p\n", "query,passage\n,p\n"])
def test_a_set_that_takes_no_options_is_not_advised_to_take_some(tmp_path, content):
    table = tmp_path / "evaluation.csv"
    table.write_text(content)
    with pytest.raises(InputError, match=r"a set that a recipe names so takes no options: rename the columns, or take"):
        train_run.named_suite(str(table))
