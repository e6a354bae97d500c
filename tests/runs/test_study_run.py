"""A study of two objectives and two seeds, with the tiny model."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from clearir.cli.console import console
from clearir.cli.tables import show_study
from clearir.data.prepared import read_part
from clearir.evaluation.scores import Scores
from clearir.models.encode import encode
from clearir.models.load import load_model, model_fingerprint
from clearir.models.shift import language_vectors
from clearir.report.study_table import BASE, Result
from clearir.runs.recipe import load_recipe
from clearir.runs.study_run import TEST, loss_of, study
from clearir.settings import LossSettings
from clearir.support.errors import InputError
from clearir.training.batches import by_language

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")
SUM = "0.5*forward+0.5*direct"


def backwards(text: str) -> str:
    return " ".join(word[::-1] for word in text.split())


def table(path: Path, count: int, seed: int, *, target_passages: bool = False) -> str:
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        query = " ".join(draw.sample(WORDS, 3))
        passage = f"about {query} {i} and {' '.join(draw.sample(WORDS, 3))}"
        row = {
            "query": f"{query} {i}",
            "passage": passage,
            "target_query": f"{backwards(query)} {i}",
            "language": "de",
        }
        rows.append(row | {"target_passage": backwards(passage)} if target_passages else row)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def recipe_path(tiny_model_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    other = table(folder / "other.jsonl", 12, 1, target_passages=True)
    content = {
        "name": "tiny",
        "model": str(tiny_model_path),
        "output": str(folder / "out"),
        "data": {"source": "table", "path": table(folder / "rows.jsonl", 40, 0), "test": {"de": 10}},
        "filter": None,  # words turned round are in no language
        "mine": {"negatives": 1, "target_negatives": 1, "window": [1, 10]},
        "train": {"max_steps": 2, "batch_size": 6, "save_steps": 2, "log_steps": 1, "learning_rate": 0.01},
        "loss": {"cached": False},
        "study": {
            "objectives": ["infonce", SUM],
            "seeds": 2,
            "also": [other],
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(recipe_path):
    said: list[str] = []
    return study(load_recipe(recipe_path), say=said.append), said


@pytest.fixture(scope="module")
def out(recipe_path, finished) -> Path:
    return recipe_path.parent / "out"


def test_every_run_has_its_folder_and_result(out, recipe_path):
    names = {"base-0", "base-1", "infonce-0", "infonce-1", "0.5forward+0.5direct-0", "0.5forward+0.5direct-1"}
    assert {path.name for path in (out / "runs").iterdir() if not path.name.startswith(".")} == names
    one = Result.load(out / "runs" / "0.5forward+0.5direct-1" / "result.json")
    assert (one.objective, one.seed, one.steps) == (SUM, 1, 2)
    assert one.settings["weights"] == {"forward": 0.5, "direct": 0.5}
    assert one.settings["train"]["max_steps"] == 2
    also = load_recipe(recipe_path).study.also[0]
    assert set(one.kinds) == {TEST, also}
    scores = Scores.load(out / "runs" / "0.5forward+0.5direct-1" / "scores" / "scores.json")
    assert one.kinds[TEST] == scores.summary()
    assert one.directions[TEST]["de->en"] == scores.mean("de->en")
    [elsewhere] = (out / "runs" / "0.5forward+0.5direct-1").glob("scores-*/scores.json")
    everything = Scores.load(elsewhere).pools["de->all"]  # the rows' one language; the test rows have no such passages
    metrics = ("ndcg@10", "complete@10", "bridge@10", "max@r")
    assert one.pools == {also: {metric: everything.mean(metric) for metric in metrics}}
    base = Result.load(out / "runs" / "base-1" / "result.json")
    assert (base.objective, base.steps, base.settings["weights"]) == (BASE, None, None)
    assert base.kinds != one.kinds


def test_objectives_of_a_seed_share_rows_and_seeds_do_not(out):
    def of(run: str, key: str) -> str:
        settings = json.loads((out / "runs" / run / "scores" / "manifest.json").read_text())["settings"]
        return settings["training"]["mined"] if key == "mined" else settings["texts"]

    for key in ("mined", "texts"):
        assert of("infonce-0", key) == of("0.5forward+0.5direct-0", key)
        assert of("infonce-0", key) != of("infonce-1", key)


def test_the_table_says_what_the_results_say(out, finished, recipe_path):
    lines, _ = finished
    assert len(lines) == (2 + 4) * 3  # kinds of direction in both suites; base and objectives
    assert "max@r" in (out / "study.md").read_text(encoding="utf-8")
    line = next(one for one in lines if (one.suite, one.kind, one.objective) == (TEST, "x->en", "infonce"))
    values = [Result.load(out / "runs" / f"infonce-{seed}" / "result.json").kinds[TEST]["x->en"] for seed in (0, 1)]
    assert line.score.mean == pytest.approx(sum(values) / 2)
    with console.capture() as captured:
        show_study(lines, out)
    shown = captured.get()
    assert "infonce" in shown
    assert "over base" in shown
    assert "## in domain" in (out / "study.md").read_text(encoding="utf-8")
    assert (out / "study.png").read_bytes()[:4] == b"\x89PNG"
    assert len(json.loads((out / "study.json").read_text())) == len(lines)


def test_a_run_that_is_gone_is_made_again_alone_and_the_same(out, finished, recipe_path):
    recipe = load_recipe(recipe_path)
    before = Result.load(out / "runs" / "infonce-1" / "result.json")
    others = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/scores*/scores.json")}
    shutil.rmtree(out / "runs" / "infonce-1")
    shutil.rmtree(out / "runs" / "infonce-0" / "model")  # finished runs need no model
    said: list[str] = []
    lines = study(recipe, say=said.append)
    written = [line for line in said if "written to" in line]
    assert len(written) == 3, written  # a model, and the scores of two suites
    assert all("infonce-1" in line for line in written)
    assert not (out / "runs" / "infonce-0" / "model").exists()
    again = {path: path.stat().st_mtime_ns for path in others}
    assert {path.parent.parent.name for path in others if again[path] != others[path]} == {"infonce-1"}
    assert Result.load(out / "runs" / "infonce-1" / "result.json").kinds == before.kinds
    assert lines == finished[0]


def test_an_objective_is_also_tried_merged_with_the_base(out, recipe_path, finished):
    overrides = [f"study.objectives=[infonce, infonce+merge, '{SUM}']", "study.seeds=1", "merge.weight=0.5"]
    lines = study(load_recipe(recipe_path, overrides))
    assert "infonce+merge" in {line.objective for line in lines}
    one = Result.load(out / "runs" / "infonce+merge-0" / "result.json")
    assert one.settings["merge"] == {"weight": 0.5, "retention": 0.995}
    assert Result.load(out / "runs" / "infonce-0" / "result.json").settings["merge"] is None
    base, tuned, merged = (
        load_file(folder / "model.safetensors")
        for folder in (
            Path(load_recipe(recipe_path).model),
            out / "runs" / "infonce-0" / "model",
            out / "runs" / "infonce+merge-0" / "model",
        )
    )
    for name, value in merged.items():
        torch.testing.assert_close(value, (base[name] + tuned[name]) / 2)
    study(load_recipe(recipe_path))  # the table of the other tests


def test_an_objective_at_two_scales(out, recipe_path, finished):
    lines = study(load_recipe(recipe_path, ["study.objectives=[infonce, infonce@50]", "study.seeds=1"]))
    found, set_ = (Result.load(out / "runs" / f"{name}-0" / "result.json") for name in ("infonce", "infonce@50"))
    assert (found.settings["loss"]["scale"], found.scale) == ("auto", 20)  # of 12 rows none can be found
    assert (set_.settings["loss"]["scale"], set_.scale) == (50, 50)
    assert found.directions[TEST] != set_.directions[TEST]
    used = "Scales: infonce 20, infonce@50 50."
    assert used in (out / "study.md").read_text(encoding="utf-8")
    with console.capture() as captured:
        show_study(lines, out)
    assert used in captured.get()
    written = json.loads((out / "study.json").read_text())
    assert {(one["objective"], *one["scales"]) for one in written} == {("base",), ("infonce", 20), ("infonce@50", 50)}
    study(load_recipe(recipe_path))  # the table of the other tests


def test_an_objective_is_also_tried_with_one_language_a_batch(out, recipe_path, finished, monkeypatch):
    seen = []

    def noted(rows, *others):
        seen.append(others)
        return by_language(rows, *others)

    monkeypatch.setattr("clearir.training.train.by_language", noted)
    lines = study(load_recipe(recipe_path, ["study.objectives=[infonce, infonce+one-language]", "study.seeds=1"]))
    assert "infonce+one-language" in {line.objective for line in lines}
    assert seen == [(6, 0)]
    one = Result.load(out / "runs" / "infonce+one-language-0" / "result.json")
    assert one.settings["train"]["one_language_a_batch"] is True
    assert Result.load(out / "runs" / "infonce-0" / "result.json").settings["train"]["one_language_a_batch"] is False
    study(load_recipe(recipe_path))  # the table of the other tests


def test_objectives_train_adapters_where_the_recipe_says_so(recipe_path, finished, tmp_path):
    pytest.importorskip("peft", reason="the extra lora is not installed")
    keys = [f"output={tmp_path}", "train.lora.r=2", "study.objectives=[infonce, infonce+merge]", "study.seeds=1"]
    study(load_recipe(recipe_path, [*keys, "merge.weight=0.5"]))
    one = Result.load(tmp_path / "runs" / "infonce-0" / "result.json")
    assert one.settings["train"]["lora"] == {"r": 2, "alpha": 32, "targets": None, "merge": True}
    base, tuned, merged = (
        load_file(folder / "model.safetensors")
        for folder in (
            Path(load_recipe(recipe_path).model),
            tmp_path / "runs" / "infonce-0" / "model",
            tmp_path / "runs" / "infonce+merge-0" / "model",
        )
    )
    name = "encoder.layer.0.attention.self.query.weight"
    assert torch.linalg.matrix_rank(tuned[name] - base[name], rtol=1e-3) == 2
    for name, value in merged.items():
        torch.testing.assert_close(value, (base[name] + tuned[name]) / 2)


def test_models_are_also_tried_with_passages_shifted_by_language(recipe_path, tmp_path):
    rows = table(tmp_path / "rows.jsonl", 40, 0, target_passages=True)
    names = ["infonce", "infonce+shift", "base+shift", "infonce+merge+shift@0.5"]
    keys = [f"data.path={rows}", f"output={tmp_path}", "study.seeds=1", "study.also=[]", "merge.weight=0.5"]
    recipe = load_recipe(recipe_path, [*keys, f"study.objectives={json.dumps(names)}"])
    lines = study(recipe)
    assert {line.objective for line in lines} == {BASE, *names}
    assert {line.objective for line in lines if line.scales} == {"infonce", "infonce+shift", "infonce+merge+shift@0.5"}

    pairs = [(row.passage, row.target_passage) for row in read_part(tmp_path / "seeds" / "0" / "rows", "train")]
    assert len(pairs) == 30  # all but the test rows
    texts = ["amber birch", "rebma hcrib"]
    for name, model, alpha in [
        ("infonce", tmp_path / "runs" / "infonce-0" / "model", 1),
        ("base", recipe.model, 1),
        ("infonce+merge", tmp_path / "runs" / "infonce+merge-0" / "model", 0.5),
    ]:
        suffix = "+shift" if alpha == 1 else "+shift@0.5"
        folder = tmp_path / "runs" / f"{name}{suffix}-0"
        plain, served = load_model(model, device="cpu"), load_model(folder / "model", device="cpu")
        moved = encode(plain, texts) - alpha * language_vectors(plain, {"de": pairs})["de"]
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        np.testing.assert_allclose(encode(served, texts, language="de"), moved, atol=1e-5)
        scores, result = Scores.load(folder / "scores" / "scores.json"), Result.load(folder / "result.json")
        assert scores.model_hash == model_fingerprint(served)
        assert (result.settings["shift"], result.steps) == (alpha, None if name == BASE else 2)
        assert set(result.pools) == {TEST}

    said: list[str] = []
    assert study(recipe, say=said.append) == lines
    assert not [line for line in said if "written to" in line]


def test_nothing_is_trained_where_no_row_has_a_translated_passage(recipe_path, tmp_path):
    recipe = load_recipe(recipe_path, [f"output={tmp_path}", "study.objectives=[infonce, infonce+shift]"])
    with pytest.raises(InputError, match=r"\+shift needs passages and their translations, .* add that column"):
        study(recipe)
    assert not (tmp_path / "runs").exists()


def test_what_is_unknown_is_said_before_anything_runs(recipe_path, tmp_path):
    for objective, words in [
        ("infonec", "did you mean 'infonce'"),
        ("0.5*foward", "did you mean 'forward'"),
        ("x*forward", "is no WEIGHT"),
        ("0.3*forward+0.2*forward", "'forward' stands twice; add its weights up and write it once"),
        ("infonce+merge", "merge is judged on dev rows, and none are held out"),
        ("infonce@", "infonce@: give a number above 0, or auto"),
        ("infonce@-20", "give a number above 0, or auto"),
        ("infonce+shift@2", r"write \+shift at its end, .* at most 1: infonce\+shift@0.6"),
        ("infonce+shift+merge", r"infonce\+shift\+merge: write \+shift at its end"),
        ("base+merge+shift", "base"),
        ("base", "base"),
        ("infonce@2o+merge", "infonce@2o: give a number above 0, or auto"),
    ]:
        recipe = load_recipe(recipe_path, [f"output={tmp_path / 'out'}", f"study.objectives=['{objective}']"])
        with pytest.raises(InputError, match=words):
            study(recipe)
    assert not (tmp_path / "out").exists()


def test_the_teacher_stays_where_a_term_asks_for_one():
    settings = LossSettings(objective="clear-plus", teacher="m")
    assert loss_of(settings, "mimo").teacher == loss_of(settings, "0.5*direct+1*retain").teacher == "m"
    assert loss_of(settings, "infonce").teacher is None


def test_the_rest_of_the_loss_stays():
    settings = LossSettings(objective="clear", alpha=0.3, beta=0.1, scale=50)
    assert loss_of(settings, "clear") == settings
    assert loss_of(settings, "clear-no-kl").term_weights() == pytest.approx({"forward": 0.7, "reverse": 0.3})
    hybrid = loss_of(settings, "hybrid")
    assert (hybrid.scale, hybrid.term_weights()) == (50, {"forward": 0.5, "direct": 0.5})
    assert loss_of(hybrid, "0.2*kl + 0.8*forward").term_weights() == {"kl": 0.2, "forward": 0.8}


def test_an_objective_may_have_a_scale_of_its_own():
    settings = LossSettings(objective="clear", alpha=0.3, beta=0.1)
    assert settings.scale == "auto"
    assert loss_of(settings, "clear@20") == settings.model_copy(update={"scale": 20})
    assert loss_of(LossSettings(scale=20), "hybrid@auto").scale == "auto"
    summed = loss_of(settings, "0.2*kl+0.8*forward@12.5")
    assert (summed.scale, summed.term_weights()) == (12.5, {"kl": 0.2, "forward": 0.8})
