from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from clearir.data.passages import Corpus, Passage, read_corpus
from clearir.models.load import Loading, load_late_interaction
from clearir.models.ready_vectors import ReadyVectors
from clearir.search import store
from clearir.search.index import IndexInfo, build_index, load_info, write_index
from clearir.search.query import Searcher
from clearir.search.store import Field
from clearir.support.errors import InputError

pytest.importorskip("lancedb", reason="the extra search is not installed")

INFO = IndexInfo("by hand", 0, {}, (), "model", "hash", 8)


def unit(rows: int, dimensions: int = 8) -> np.ndarray:
    vectors = np.random.default_rng(rows).standard_normal((rows, dimensions), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def numbered(count: int) -> Corpus:
    return Corpus("numbers", tuple(Passage(str(i), f"text {i}") for i in range(count)))


def test_an_index_tells_what_it_is_of(index_path, tiny_model_path):
    info = load_info(index_path)
    assert (info.corpus, info.passages, info.languages) == ("by hand", 6, {"en": 4, "fi": 1, "uk": 1})
    assert [field.name for field in info.fields] == ["section", "size", "free", "o'hara"]
    assert (info.model, info.dimensions, info.max_seq_length) == (str(tiny_model_path.resolve()), 16, 64)
    assert (info.probes, info.recall) == (None, None)


def test_prompts_and_length_are_kept(corpus, tiny_model_path, tmp_path):
    how = Loading(query_prompt="query: ", passage_prompt="passage: ", max_seq_length=12)
    info, new = build_index(corpus, str(tiny_model_path), tmp_path / "index", cache=tmp_path / "cache", loading=how)
    assert new
    assert info == load_info(tmp_path / "index")
    assert (info.query_prompt, info.passage_prompt, info.max_seq_length) == ("query: ", "passage: ", 12)


def test_the_passages_of_an_index_are_known_by_what_they_are(tmp_path):
    def hash_of(texts: list[str], name: str) -> str:
        corpus = Corpus(name, tuple(Passage(str(n), text) for n, text in enumerate(texts)))
        return write_index(corpus, INFO, lambda part: unit(len(part)), tmp_path / name)[0].corpus_hash

    assert hash_of(["a", "b"], "one") == hash_of(["a", "b"], "two") != hash_of(["a", "c"], "three")


def test_the_same_again_is_there_already(corpus, index_path, tiny_model_path, tmp_path):
    before = (index_path / "manifest.json").stat().st_mtime_ns
    info, new = build_index(corpus, str(tiny_model_path), index_path, cache=tmp_path)
    assert not new
    assert info == load_info(index_path)
    assert (index_path / "manifest.json").stat().st_mtime_ns == before


def test_an_index_of_something_else_is_kept_unless_told(tmp_path):
    write_index(numbered(3), INFO, lambda part: unit(len(part)), tmp_path / "i")
    with pytest.raises(InputError, match="--overwrite"):
        write_index(numbered(4), INFO, lambda part: unit(len(part)), tmp_path / "i")
    write_index(numbered(4), INFO, lambda part: unit(len(part)), tmp_path / "i", overwrite=True)
    assert store.connect(tmp_path / "i").open_table("passages").count_rows() == 4


def test_many_passages_get_an_approximate_index(tmp_path):
    made, _ = write_index(numbered(300), INFO, lambda part: unit(len(part)), tmp_path / "i", exact_below=200)
    assert (made.probes, made.partitions, made.recall) == (1, 1, 1.0)
    made, _ = write_index(numbered(300), INFO, lambda part: unit(len(part)), tmp_path / "j", exact_below=300)
    assert made.probes is None


def test_a_failure_leaves_nothing(tmp_path):
    def fail(part):
        raise InputError("no vectors")

    with pytest.raises(InputError, match="no vectors"):
        write_index(numbered(3), INFO, fail, tmp_path / "i")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", ["nothing", "empty", "file"])
def test_what_is_no_index(tmp_path, make):
    if make == "empty":
        (tmp_path / "i").mkdir()
    elif make == "file":
        (tmp_path / "i").write_text("x")
    with pytest.raises(InputError, match="make one with: clearir index"):
        load_info(tmp_path / "i")


def test_an_index_of_another_version(tmp_path):
    write_index(numbered(3), INFO, lambda part: unit(len(part)), tmp_path / "i")
    database = store.connect(tmp_path / "i")
    store.clear(database)
    store.write_manifest(database, {"info": {"format": 0}})
    with pytest.raises(InputError, match="an index of format 0"):
        load_info(tmp_path / "i")


# -- a model of late interaction: a vector for each token


def test_an_index_of_token_vectors_tells_what_it_is_of(late_index_path, late_model_path, corpus):
    info = load_info(late_index_path)
    assert (info.model, info.dimensions, info.max_seq_length) == (str(late_model_path.resolve()), 128, 64)
    assert (info.query_prompt, info.passage_prompt, info.probes, info.recall) == ("q: ", "p: ", None, None)
    model = MultiVectorEncoder(str(late_model_path), device="cpu")
    vectors = model.encode_document([one.content for one in corpus.passages])
    assert info.tokens == sum(map(len, vectors))
    rows = store.connect(late_index_path).open_table("passages").to_arrow()["vector"].to_pylist()
    for row, expected in zip(rows, vectors, strict=True):
        np.testing.assert_allclose(np.array(row), expected.cpu(), atol=1e-6)


def test_the_same_token_vectors_again_are_there_already(corpus, late_index_path, late_model_path, tmp_path):
    info, new = build_index(corpus, str(late_model_path), late_index_path, cache=tmp_path)
    assert not new
    assert info == load_info(late_index_path)


def test_token_vectors_are_written_in_chunks_and_encoded_once(corpus, late_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "TOKEN_CHUNK", 4)
    first = Corpus("first", corpus.passages[:4])
    build_index(first, str(late_model_path), tmp_path / "first", cache=tmp_path / "cache")
    assert cached(tmp_path / "cache") == 4
    seen: list[str] = []
    preprocess = MultiVectorEncoder.preprocess
    monkeypatch.setattr(
        MultiVectorEncoder,
        "preprocess",
        lambda self, batch, **how: (seen.extend(batch), preprocess(self, batch, **how))[1],
    )
    info, _ = build_index(corpus, str(late_model_path), tmp_path / "whole", cache=tmp_path / "cache", exact_below=3)
    assert sorted(seen) == sorted(one.content for one in corpus.passages[4:])
    assert (info.passages, info.probes) == (6, None)


def test_a_model_that_reads_longer_passages_than_queries_is_known_again(corpus, late_model_path, tmp_path):
    model = load_late_interaction(late_model_path, device="cpu", max_seq_length=8)
    model[0].document_length = 40
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    for limit in (None, 8):
        out = tmp_path / str(limit)
        info, _ = build_index(
            corpus, str(tmp_path / "model"), out, cache=tmp_path / "cache", loading=Loading(max_seq_length=limit)
        )
        assert info.max_seq_length == 8
        assert Searcher.open(out)._model[0].document_length == (limit or 40)


def test_vectors_of_passages_are_refused_where_tokens_have_them(corpus, late_model_path, tmp_path):
    ready = ReadyVectors(tmp_path / "vectors", {})
    with pytest.raises(InputError, match=r"--vectors .*vectors: these are one vector for each passage.*leave out"):
        build_index(corpus, str(late_model_path), tmp_path / "i", cache=tmp_path, ready=ready)
    assert not (tmp_path / "i").exists()


# -- object storage, where no folder can be renamed


def test_a_uri_is_written_and_read(tmp_path):
    uri = (tmp_path / "bucket").as_uri()
    fields = (Field("n", "n", "integer"),)
    corpus = Corpus("c", (Passage("1", "a", fields={"n": 1}), Passage("2", "b")))
    made, new = write_index(corpus, replace(INFO, fields=fields), lambda part: unit(len(part)), uri)
    assert new
    assert load_info(uri) == made
    assert not write_index(corpus, replace(INFO, fields=fields), lambda part: unit(len(part)), uri)[1]


def test_a_uri_without_its_manifest_is_not_finished_and_is_made_again(tmp_path):
    uri = (tmp_path / "bucket").as_uri()

    def stop_at_the_second(part):
        if part[0].id != "0":
            raise KeyboardInterrupt
        return unit(len(part))

    with pytest.raises(KeyboardInterrupt):
        write_index(numbered(4), INFO, stop_at_the_second, uri, chunk=2)
    with pytest.raises(InputError, match="no finished index"):
        load_info(uri)
    write_index(numbered(4), INFO, lambda part: unit(len(part)), uri, chunk=2)
    assert store.connect(uri).open_table("passages").count_rows() == 4
    with pytest.raises(InputError, match="another index"):
        write_index(numbered(5), INFO, lambda part: unit(len(part)), uri)


# -- killed in the middle


def test_killing_an_indexing_loses_nothing(tiny_model_path, tmp_path):
    """Killed while it encodes: nothing under the final name; again: what was encoded is not encoded again."""
    corpus = tmp_path / "c.txt"
    corpus.write_text("".join(f"passage number {i} of the corpus\n" for i in range(3000)), encoding="utf-8")
    out, cache = tmp_path / "index", tmp_path / "cache"
    command = [sys.executable, "-m", "clearir", "index", str(tiny_model_path), str(corpus)]
    command += ["--out", str(out), "--cache", str(cache)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while cached(cache) < 200:
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    encoded = cached(cache)
    assert 200 <= encoded < 3000
    assert not out.exists()

    again, new = build_index(read_corpus(corpus), str(tiny_model_path), out, cache=cache)
    assert new
    assert again.passages == 3000
    assert cached(cache) == 3000  # nothing twice, nothing lost
    whole = tmp_path / "whole"
    build_index(read_corpus(corpus), str(tiny_model_path), whole, cache=tmp_path / "other")
    one, other = (store.connect(p).open_table("passages").to_arrow() for p in (out, whole))
    assert one.drop_columns("vector") == other.drop_columns("vector")
    both = [np.stack(table["vector"].to_numpy(zero_copy_only=False)) for table in (one, other)]
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)


@pytest.fixture(scope="module")
def overwriting() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """A function that starts replacing an index by one of 3,000 passages, in a process of its own."""
    script = Path(__file__).with_name("indexing.py")
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), str(folder), "3000"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(run)
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        return run

    yield start
    for run in started:
        run.kill()
        run.wait()


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.2, 0.3])
def test_killing_what_replaces_an_index_leaves_the_old_one(seconds, overwriting, module_at, tmp_path):
    """The kill falls on any phase; the script under tests/faults does the same with a model and many more kills."""
    module = module_at(Path(__file__).with_name("indexing.py"))
    folder = tmp_path / "i"
    module.write(str(folder), 50)
    run = overwriting(folder)
    time.sleep(seconds)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = load_info(folder).passages
    assert kept in (50, 3000)
    assert store.connect(folder).open_table("passages").count_rows() == kept
    module.write(str(folder), 3000)
    assert load_info(folder).probes == 1
    assert store.connect(folder).open_table("passages").count_rows() == 3000
    assert [path.name for path in tmp_path.iterdir()] == ["i"]  # nothing half-written


def cached(folder: Path) -> int:
    import sqlite3

    files = list(folder.glob("*.sqlite"))
    if not files:
        return 0
    try:
        with sqlite3.connect(f"{files[0].as_uri()}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.OperationalError:  # the table is not there yet
        return 0
