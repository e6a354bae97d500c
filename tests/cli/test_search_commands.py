from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentence_transformers import MultiVectorEncoder

from clearir.models.reranker import Reranking
from clearir.search.index import load_info

pytest.importorskip("lancedb", reason="the extra search is not installed")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "c.jsonl"
    records = [{"body": f"passage {i}", "kind": "odd" if i % 2 else "even"} for i in range(10)]
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_index_and_search_and_filter(clearir, lines, tiny_model_path, tmp_path):
    options = ("--out", tmp_path / "i", "--cache", tmp_path / "c")
    status, shown, messages = clearir("index", tiny_model_path, lines, "columns.text=body", "language=fi", *options)
    assert status == 0, messages
    assert f"10 passages of {lines} (10 fi)" in shown
    assert f"search it: clearir search {tmp_path / 'i'}" in shown

    status, found, messages = clearir("search", tmp_path / "i", "passage 3", "-k", 2, "--json", "--filter", "kind=odd")
    assert status == 0, messages
    [answer] = map(json.loads, found.splitlines())
    assert answer["query"] == "passage 3"
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert {hit["fields"]["kind"] for hit in answer["hits"]} == {"odd"}


def test_a_model_of_late_interaction_is_indexed_and_searched(clearir, lines, late_model_path, tmp_path):
    index, options = tmp_path / "i", ("--cache", tmp_path / "c")
    status, shown, messages = clearir("index", late_model_path, lines, "columns.text=body", "--out", index, *options)
    assert status == 0, messages
    tokens = load_info(index).tokens
    assert "128 dimensions per token" in shown
    megabytes = tokens * 128 * 4 / 1e6
    assert f"exact: every token is compared, {tokens:,} vectors ({megabytes:.1f} MB)" in shown

    command = [sys.executable, "-m", "clearir", "search", str(index), "passage 3", "-k", "9", "--json"]
    done = subprocess.run([*command, "--filter", "kind=odd"], capture_output=True, text=True, check=True)
    [answer] = map(json.loads, done.stdout.splitlines())
    model = MultiVectorEncoder(str(late_model_path), device="cpu")
    texts = [f"passage {i}" for i in range(1, 10, 2)]
    asking, *passages = (model.encode_query("passage 3"), *model.encode_document(texts))
    expected = {
        text: float((asking @ one.T).max(dim=1).values.mean()) for text, one in zip(texts, passages, strict=True)
    }
    assert {hit["text"]: hit["score"] for hit in answer["hits"]} == pytest.approx(expected, abs=1e-4)
    assert [hit["text"] for hit in answer["hits"]] == sorted(expected, key=lambda text: -expected[text])


def test_finished_vectors_are_refused_with_a_model_of_late_interaction(
    clearir, lines, late_model_path, tiny_model_path, tmp_path
):
    corpus, vectors = tmp_path / "c.parquet", tmp_path / "vectors"
    pq.write_table(pa.table({"text": ["passage 1"]}), corpus)
    status, _, messages = clearir("encode", tiny_model_path, corpus, "--out", vectors)
    assert status == 0, messages
    status, _, messages = clearir("index", late_model_path, corpus, "--vectors", vectors, "--out", tmp_path / "i")
    assert (status, "leave out --vectors" in " ".join(messages.split())) == (2, True)


def loaded_by(*arguments: object) -> tuple[str, set[str]]:
    """What a command shows, and which of the modules that take long it imports."""
    code = """
import sys
from clearir.cli.app import main

try:
    main()
except SystemExit:
    pass
heavy = ("torch", "transformers", "sentence_transformers", "datasets", "sklearn", "scipy", "lancedb")
print("loaded", *[name for name in heavy if name in sys.modules])
"""
    command = [sys.executable, "-c", code, "search", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown, _, last = done.stdout.rpartition("loaded")
    return shown, set(last.split())


def test_help_waits_for_no_library() -> None:
    shown, loaded = loaded_by("--help")
    assert "Search an index" in shown
    assert loaded == set()


def test_a_query_to_an_exported_model_does_not_wait_for_torch(index_path: Path, exported_path: Path) -> None:
    asked = (index_path, "play chess", "-k", 1, "--json")
    shown, loaded = loaded_by(*asked, "--model", exported_path)
    assert loaded == {"lancedb"}
    other, loaded = loaded_by(*asked)
    assert {"lancedb", "torch"} <= loaded
    assert [hit["id"] for hit in json.loads(shown)["hits"]] == [hit["id"] for hit in json.loads(other)["hits"]]


def test_queries_typed_one_by_one(clearir, index_path):
    _, found, _ = clearir("search", index_path, "-k", 1, "--json", typed="гра в шахи\n\nedit text\n")
    assert [json.loads(line)["query"] for line in found.splitlines()] == ["гра в шахи", "edit text"]
    _, shown, _ = clearir("search", index_path, "--hybrid", typed="edit text\n")
    assert "6 passages of by hand" in shown
    assert "text editor" in shown


def test_a_wrong_query_does_not_end_the_typing(clearir, index_path, monkeypatch):
    monkeypatch.setattr("clearir.search.query.MAX_K", 5)
    status, shown, messages = clearir("search", index_path, "-k", 6, typed="one\ntwo\n")
    assert (status, messages.count("k is 6")) == (0, 2)
    assert "6 passages of by hand" in shown


def test_a_query_that_is_not_utf_8_is_said(clearir, index_path):
    status, shown, messages = clearir("search", index_path, "-k", 1, typed=b"caf\xe9\nedit text\n")
    assert status == 0
    assert "error: the query holds a byte that is not UTF-8" in messages
    assert "text editor" in shown
    status, _, messages = clearir("search", index_path, "caf\udce9")
    assert status == 2
    assert "the query holds a byte that is not UTF-8; type it again" in messages


def test_two_models_beside_each_other(clearir, index_path, other_index_path):
    status, shown, messages = clearir("search", index_path, "play chess", "--compare", other_index_path, "-k", 2)
    assert status == 0, messages
    assert "base" in shown
    assert "tuned" in shown
    _, found, _ = clearir("search", index_path, "x", "--compare", other_index_path, "--json")
    assert sorted(json.loads(found)) == ["base", "query", "tuned"]


def test_reranked_hits(clearir, index_path, other_index_path, exported_path, tiny_reranker_path, tmp_path):
    options = ("--rerank", tiny_reranker_path, "--top", 3)
    asked = ("search", index_path, "play chess", "-k", 4)
    _, found, _ = clearir(*asked, "--json")
    plain = [hit["id"] for hit in json.loads(found)["hits"]]
    status, found, messages = clearir(*asked, *options, "--json")
    assert status == 0, messages
    hits = json.loads(found)["hits"]
    scores = [hit["rerank_score"] for hit in hits]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert scores[3] is None
    assert {hit["id"] for hit in hits[:3]} == set(plain[:3])
    assert hits[3]["id"] == plain[3]
    _, light, _ = clearir(*asked, *options, "--model", exported_path, "--json")
    assert [hit["id"] for hit in json.loads(light)["hits"]] == [hit["id"] for hit in hits]
    _, shown, _ = clearir(*asked, *options)
    assert "reranker" in shown
    _, shown, _ = clearir("search", index_path, *options, typed="chess\n")
    assert f"reranker: {tiny_reranker_path}, for the first 3 passages of each query" in shown
    _, found, _ = clearir(*asked, *options, "--compare", other_index_path, "--json")
    sides = json.loads(found)
    assert all(sides[side][0]["rerank_score"] is not None for side in ("base", "tuned"))


def test_first_places_are_counted_behind_the_reranker(clearir, index_path, tiny_reranker_path, corpus, tmp_path):
    reranker = Reranking.load(str(tiny_reranker_path)).model
    texts = [one.content for one in corpus.passages]
    best = corpus.passages[reranker.rank("peli", texts)[0]["corpus_id"]]
    examples = tmp_path / "searches.json"
    examples.write_text(json.dumps([{"language": "fi", "query": "peli", "right": best.text}]), encoding="utf-8")
    status, shown, _ = clearir("search", index_path, "--examples", examples, "--rerank", tiny_reranker_path)
    assert status == 0
    assert [line.split()[1::2][:3] for line in shown.splitlines() if "Finnish" in line] == [["Finnish", "1", "1"]]


def test_the_page_is_served_with_a_reranker(clearir, index_path, tiny_reranker_path, monkeypatch):
    given: dict[str, Any] = {}
    monkeypatch.setattr("clearir.search.serve.serve", lambda folder, **options: given.update(options))
    status, _, messages = clearir("serve", index_path, "--rerank", tiny_reranker_path, "--top", 20)
    assert status == 0, messages
    assert (given["rerank"].name, given["rerank"].top) == (str(tiny_reranker_path), 20)
    assert given["rerank"].first_weight == 0
    clearir("serve", index_path, "--rerank", tiny_reranker_path, "--first-weight", 30)
    assert (given["rerank"].top, given["rerank"].first_weight) == (50, 30)
    clearir("serve", index_path)
    assert given["rerank"] is None
    status, _, messages = clearir("serve", "nowhere", "--rerank", "no/reranker")
    assert (status, "nowhere: no such folder" in messages) == (2, True)  # said before a reranker is loaded


@pytest.mark.parametrize("command", [("search", "INDEX", "q"), ("serve", "INDEX")])
def test_what_cannot_rerank_is_refused(clearir, index_path, tiny_model_path, command):
    words = [index_path if one == "INDEX" else one for one in command]
    status, _, messages = clearir(*words, "--rerank", tiny_model_path)
    assert (status, "not a reranker" in messages) == (2, True)
    status, _, messages = clearir(*words, "--top", "5")
    assert (status, "--top: no effect without --rerank" in messages) == (2, True)
    status, _, messages = clearir(*words, "--first-weight", "0")
    assert (status, "--first-weight: no effect without --rerank" in messages) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "nowhere", "q"), "nowhere: no such folder"),
        (("search", "INDEX", "q", "--filter", "sektion=x"), "did you mean 'section'?"),
        (("search", "INDEX", "q", "-k", "0"), "k is 0"),
        (("search", "INDEX", " "), "the query is empty"),
        (("index", "m", "missing.jsonl"), "missing.jsonl: no such file"),
        (("index", "m", "missing.jsonl", "--source", "tabel"), "did you mean 'table'?"),
        (("index", "m", "c.jsonl", "--source", "table", "colour=red"), "no option 'colour'"),
        (("index", "m", "c.jsonl", "columns=3"), "columns.text=body"),
        (("index", "m", "c.jsonl", "split=dev"), "name a source of rows with --source"),
    ],
)
def test_bad_input_is_one_message(clearir, index_path, arguments, words):
    status, _, messages = clearir(*(index_path if one == "INDEX" else one for one in arguments))
    assert status == 2
    assert words in messages.replace("\n", " ")


def test_examples_of_a_run_are_counted(clearir: Run, index_path: Path, other_index_path: Path, tmp_path: Path) -> None:
    examples = tmp_path / "searches.json"
    right = "edit photos and draw pictures"
    records = [{"language": "en", "query": right, "right": right}, {"language": "fi", "query": "peli"}]
    examples.write_text(json.dumps(records), encoding="utf-8")
    status, shown, _ = clearir("search", index_path, "--compare", other_index_path, "--examples", examples)
    assert status == 0
    assert [line.split()[:4] for line in shown.splitlines() if "English" in line] == [["│", "English", "│", "1"]]
    status, _, said = clearir("search", index_path, "chess", "--examples", examples)
    assert (status, "leave out the query" in said) == (2, True)


def test_examples_of_a_run_bring_what_it_has_measured(
    clearir: Run, index_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("clearir.search.serve.serve", lambda folder, **options: given.update(options, folder=folder))
    examples = tmp_path / "searches.json"
    examples.write_text('[{"language": "fi", "query": "peli"}]', encoding="utf-8")
    status, _, messages = clearir("serve", index_path, "--examples", examples, "--title", "games")
    assert status == 0, messages
    assert (given["folder"], given["run"], given["title"]) == (str(index_path), tmp_path, "games")
    assert [one.query for one in given["examples"]] == ["peli"]
    clearir("serve", index_path)
    assert given["run"] is None
