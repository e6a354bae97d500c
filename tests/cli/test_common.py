"""Options that a way of running a command would not heed are refused, and outputs never stand in each other's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clearir.cli.common import score_names, slugs
from clearir.evaluation.registry import load_suite
from clearir.evaluation.scores import Scores
from clearir.support.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [
        {"query": f"query {i}", "passage": f"passage {i}", "target_query": f"kysymys {i}", "language": "fi"}
        for i in range(4)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("command", "beside"),
    [
        *(
            (("evaluate", "m", "--mteb", "XQuADRetrieval", *option), "--mteb")
            for option in (
                ("--suite", "xquad"),
                ("--data", "rows.jsonl"),
                ("--task", "bitext"),
                ("--split", "dev"),
                ("--pools", "pair"),
                ("--rerank", "r"),
                ("--top", "20"),
                ("--cache", "c"),
            )
        ),
        *(
            (("evaluate", "m", "--task", "bitext", "--data", "rows.jsonl", *option), "--task bitext")
            for option in (("--suite", "xquad"), ("--passage-prompt", "p: "))
        ),
        *(
            (("merge", "a", "b", "--out", "o", "--weight", "0.5", *option), "--weight")
            for option in (
                ("--split", "dev"),
                ("--retention", "0.995"),
                ("--query-prompt", "q: "),
                ("--passage-prompt", "p: "),
            )
        ),
        (("encode", "m", "corpus.parquet", "--workers", "2"), "--engine local"),
    ],
)
def test_an_option_that_would_not_be_heeded_is_refused(clearir, tmp_path, monkeypatch, command, beside):
    monkeypatch.chdir(tmp_path)
    status, _, messages = clearir(*command)
    option = [word for word in command if word.startswith("--")][-1]
    assert status == 2
    assert f"error: {option}: no effect with {beside}" in messages
    assert list(tmp_path.iterdir()) == []


def test_a_table_has_no_split(clearir, table, tmp_path):
    status, _, messages = clearir("evaluate", "m", "--data", table, "--split", "dev", "--out", tmp_path / "s")
    assert status == 2
    assert "which has no parts; leave it out" in messages


def test_bitext_is_scored_compared_and_reported(clearir, tiny_model_path, tmp_path):
    names = [tmp_path / "menu.en", tmp_path / "menu.fi"]
    for name, word in zip(names, ("query", "kysymys"), strict=True):
        name.write_text("".join(f"{word} {i}\n" for i in range(5)), encoding="utf-8")
    models = [tmp_path / "one", tmp_path / "two"]
    for model in models:
        model.symlink_to(tiny_model_path)
    options = ("--task", "bitext", "--out", tmp_path / "scores", "--cache", tmp_path / "cache")
    status, shown, messages = clearir("evaluate", *models, *options, "--data", names[0], "--data", names[1])
    assert status == 0, messages
    assert all(f"{metric} x 100" in " ".join(shown.split()) for metric in ("accuracy", "f1"))
    status, shown, messages = clearir("compare", tmp_path / "scores")
    assert status == 0, messages
    assert "on menu.en menu.fi: accuracy x 100" in " ".join(shown.split())
    status, _, messages = clearir("report", tmp_path / "scores", "--formats", "html,md,csv,tex")
    assert status == 0, messages
    report = (tmp_path / "scores" / "report.md").read_text(encoding="utf-8")
    assert "Finding English translations of sentences in Finnish, before and after training" in report
    assert "right page" not in report
    assert "en->en" not in report
    assert "right page" not in (tmp_path / "scores" / "report.html").read_text(encoding="utf-8").casefold()


def test_what_bitext_needs_is_said(clearir, table, tmp_path):
    for typed, message in (
        (("--task", "bitext"), "nothing to score on; give --data NAME.en --data NAME.om"),
        (("--task", "sts", "--data", table), "--task 'sts'; write one of retrieval, bitext, or use --mteb for a task"),
        (("--data", table, "--data", table), "--data: 2 paths; give one, or add --task bitext"),
    ):
        status, _, messages = clearir("evaluate", "m", *typed, "--out", tmp_path / "scores")
        assert status == 2
        assert message in messages


def test_tasks_of_mteb_are_scored_and_stored(clearir, mteb_task, tiny_model_path, tmp_path, monkeypatch):
    sentences = {"sentence1": ["a dog", "a cat", "a cow"], "sentence2": ["dogs", "a car", "cows"], "score": [5, 0, 4]}
    task = mteb_task("STS", {"en": {"test": sentences}})
    monkeypatch.setattr("mteb.get_task", lambda name: task)
    models = [tmp_path / "one", tmp_path / "two"]
    for model in models:
        model.symlink_to(tiny_model_path)
    out = tmp_path / "scores"
    status, shown, messages = clearir("evaluate", *models, "--mteb", "TinySTS", "--out", out)
    assert status == 0, messages
    found = [json.loads((out / f"{tmp_path.name}--{name}--TinySTS.json").read_text()) for name in ("one", "two")]
    assert [one["model"] for one in found] == [str(model) for model in models]
    assert found[0]["scores"] == found[1]["scores"]
    assert "difference" in shown
    status, _, messages = clearir("evaluate", *models, "--mteb", "TinySTS", "--out", out)
    assert status == 2
    assert "already exists; choose another --out or add --overwrite" in messages


def test_suites_in_one_part_have_no_split(tmp_path):
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "corpus.jsonl").write_text('{"_id": "d", "text": "a text"}\n')
    (shop / "queries.jsonl").write_text('{"_id": "q", "text": "a query"}\n')
    (shop / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    (tmp_path / "xquad").mkdir()
    (tmp_path / "xquad" / "xquad.en.json").write_text("{}")
    (tmp_path / "belebele").mkdir()
    (tmp_path / "belebele" / "eng_Latn.jsonl").write_text("{}")
    (tmp_path / "mkqa").mkdir()
    (tmp_path / "mkqa" / "mkqa.jsonl").write_text("{}")
    (tmp_path / "debian").mkdir()
    assert load_suite(str(shop)).languages == ["en"]
    with pytest.raises(InputError, match=r"no qrels/dev\.tsv"):
        load_suite(str(shop), split="dev")
    for name in ("xquad", "belebele", "mkqa", "debian"):
        with pytest.raises(InputError, match="no split 'dev'; the published files are one part"):
            load_suite(name, tmp_path / name, split="dev")


def test_models_with_one_name_get_a_file_each(clearir, table, tiny_model_path, tmp_path):
    models = []
    for folder in ("a", "b", "c"):
        (tmp_path / folder / "run").mkdir(parents=True)
        models.append(tmp_path / folder / "run" / "model")
        models[-1].symlink_to(tiny_model_path)
    out = tmp_path / "scores"
    status, _, messages = clearir("evaluate", *models, "--data", table, "--out", out, "--cache", tmp_path / "cache")
    assert status == 0, messages
    files = {path.name: Scores.load(path).model for path in out.glob("run*.json")}
    assert files == {
        "run--model.json": str(models[0]),
        "run--model-2.json": str(models[1]),
        "run--model-3.json": str(models[2]),
    }


def test_file_names_are_never_taken_twice():
    assert slugs(["m", "m", "m-2", "./m", "M"]) == ["m", "m-2", "m-2-2", "m-3", "M-4"]
    assert slugs(["texts"]) == ["texts-2"]  # texts.json lies beside the scores
    assert score_names(["a/m", "b"], None, 50) == [["a--m"], ["b"]]
    names = score_names(["a/m", "b"], "org/r", 20)
    assert names == [["a--m", "a--m+org--r-top20"], ["b", "b+org--r-top20"]]
    assert score_names(["b"], "org/r", 20, 100.0) == [["b", "b+org--r-top20-first100"]]


def test_reranked_scores_stand_beside_those_of_the_model_alone(
    clearir, table, tiny_model_path, tiny_reranker_path, tmp_path
):
    models = [tmp_path / "one", tmp_path / "two"]
    for model in models:
        model.symlink_to(tiny_model_path)
    reranker = tmp_path / "judge"
    reranker.symlink_to(tiny_reranker_path)
    out, cache = tmp_path / "scores", tmp_path / "cache"
    options = ("--data", table, "--out", out, "--cache", cache, "--rerank", reranker, "--top", 2)
    status, shown, messages = clearir("evaluate", *models, *options)
    assert status == 0, messages
    found = {path.name: Scores.load(path) for path in out.glob("*.json") if path.name != "texts.json"}
    parent = tmp_path.name
    first = f"{parent}--one.json"
    reranked = f"{parent}--one+{parent}--judge-top2.json"
    assert set(found) == {first, reranked, first.replace("one", "two"), reranked.replace("one", "two")}
    assert found[first].model == str(models[0])
    assert found[reranked].model == f"{models[0]} + {reranker} (top 2)"
    # Beyond the first two nothing moves
    for before, after in zip(
        found[first].directions["fi->en"].ranks, found[reranked].directions["fi->en"].ranks, strict=True
    ):
        assert before == after or {before, after} <= {1, 2}
    assert f"intervals: clearir compare {out / first} {out / reranked}" in shown
    status, shown, messages = clearir("compare", out / first, out / reranked)
    assert status == 0, messages
    assert f"{models[0]} + {reranker} (top 2) compared with {models[0]}".replace(" ", "") in "".join(shown.split())
    status, _, messages = clearir("evaluate", *models, *options)
    assert status == 2
    assert f"{first} already exists" in messages


def test_what_cannot_rerank_is_refused_before_anything_is_scored(clearir, table, tiny_model_path, tmp_path):
    options = ("--data", table, "--out", tmp_path / "scores", "--cache", tmp_path / "cache")
    for wrong, message in (
        (("--rerank", tiny_model_path), "a model that gives a vector for each text, not a reranker"),
        (("--rerank", tmp_path / "none"), "none: no such folder"),
        (("--top", "5"), "--top: no effect without --rerank"),
        (("--rerank", "r", "--top", "0"), "greater than or equal to 1"),
    ):
        status, _, messages = clearir("evaluate", tiny_model_path, *options, *wrong)
        assert status == 2
        assert message in " ".join(messages.split())
    assert not list(tmp_path.glob("scores/*.json"))


def test_a_reranker_is_not_scored_alone(clearir, table, tiny_reranker_path, tmp_path):
    options = ("--data", table, "--out", tmp_path / "scores", "--cache", tmp_path / "cache")
    status, _, messages = clearir("evaluate", tiny_reranker_path, *options)
    assert status == 2
    assert f"Use it beside one: clearir evaluate MODEL --rerank {tiny_reranker_path}" in messages
