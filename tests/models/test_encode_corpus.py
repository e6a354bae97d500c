"""Vectors in Parquet: made here or by Ray, they are the same, and index and mine read them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clearir.data.passages import read_corpus
from clearir.data.rows import Row
from clearir.models import encode_corpus as module
from clearir.models.encode import encode
from clearir.models.encode_corpus import Worker, encode_corpus, shards_of
from clearir.models.load import Loading, load_model
from clearir.models.ready_vectors import ReadyVectors
from clearir.settings import MineSettings
from clearir.support.errors import InputError, MissingExtraError
from clearir.training.mine import mine

WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Two files, 30 and 13 passages with titles, in row groups of 8; one has neither title nor text."""
    folder = tmp_path_factory.mktemp("corpus")
    number = 0
    for name, rows in (("a", 30), ("b", 13)):
        table = {
            "id": [f"p{number + i}" for i in range(rows)],
            "title": ["" if number + i == 5 else WORDS[i % 8] for i in range(rows)],
            "text": [
                "" if number + i == 5 else f"{WORDS[i % 5]} {number + i} {WORDS[i % 3] * (i % 4)}" for i in range(rows)
            ],
        }
        table["text"][5] = table["text"][5] if number else ""
        pq.write_table(pa.table(table), folder / f"{name}.parquet", row_group_size=8)
        number += rows
    return folder


@pytest.fixture(scope="module", autouse=True)
def ten_rows_a_shard() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_ROWS", 10)
        yield


@pytest.fixture(scope="module")
def vectors(corpus, tiny_model_path, tmp_path_factory) -> Path:
    """What the local engine makes of the corpus."""
    out = tmp_path_factory.mktemp("vectors") / "local"
    done = encode_corpus(corpus, str(tiny_model_path), out)
    assert (done.passages, done.shards, done.computed) == (42, 5, 5)  # 10 + 10 + 10 and 10 + 3 rows
    return out


def parts(folder: Path) -> dict[str, pa.Table]:
    return {path.name: pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))}


def test_every_passage_has_the_vector_of_its_content(corpus, vectors, tiny_model_path):
    table = pa.concat_tables(parts(vectors).values())
    passages = read_corpus(corpus).passages
    assert table["id"].to_pylist() == [passage.id for passage in passages]
    assert len(passages) == 42
    assert passages[0].content.startswith("amber ")
    expected = encode(load_model(tiny_model_path), [passage.content for passage in passages])
    np.testing.assert_allclose(np.array(table["vector"].to_pylist()), expected, atol=1e-6)


def test_a_shard_that_is_there_is_not_computed_again(corpus, vectors, tiny_model_path, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write, written = Worker.write, []

    def stop_after_two(self, shard):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard.number)
        return write(self, shard)

    monkeypatch.setattr(Worker, "write", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, str(tiny_model_path), out)
    assert not out.exists()
    monkeypatch.undo()
    done = encode_corpus(corpus, str(tiny_model_path), out)
    assert (done.shards, done.computed) == (5, 3)
    assert parts(out) == parts(vectors)
    assert encode_corpus(corpus, str(tiny_model_path), out).computed == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(InputError, match="--overwrite"):
        encode_corpus(corpus, str(tiny_model_path), out, loading=Loading(passage_prompt="passage: "))


@pytest.mark.parametrize("columns", ["body", {"body": "text"}])
def test_wrong_columns_are_refused_before_a_model_is_loaded(corpus, tmp_path, columns):
    with pytest.raises(InputError, match="columns: 'body'"):
        encode_corpus(corpus, "no-such-model", tmp_path / "out", columns=columns)


def test_what_is_ready_is_not_encoded(corpus, vectors, tiny_model_path):
    ready = ReadyVectors.open(vectors)
    model = load_model(tiny_model_path)
    texts = [passage.content for passage in read_corpus(corpus).passages]
    assert len(ready) == 42
    seen: list[str] = []
    preprocess = model.preprocess
    model.preprocess = lambda batch, **how: seen.extend(batch) or preprocess(batch, **how)
    some = [texts[40], "another text", texts[0], texts[17]]
    found = encode(model, some, ready=ready)
    assert seen == ["another text"]
    np.testing.assert_allclose(found, encode(model, some), atol=1e-6)


def test_mining_takes_ready_vectors(tiny_model_path, tmp_path):
    rows = [
        Row(f"{WORDS[i % 8]} {i}", f"about {WORDS[i % 5]} {i}", target_query=f"x {i}", language="fi") for i in range(20)
    ]
    pq.write_table(pa.table({"text": [row.passage for row in rows]}), tmp_path / "passages.parquet")
    encode_corpus(tmp_path / "passages.parquet", str(tiny_model_path), tmp_path / "vectors")
    model = load_model(tiny_model_path)
    how = MineSettings(negatives=1, target_negatives=1, window=(1, 5))
    ready = ReadyVectors.open(tmp_path / "vectors")
    assert mine(rows, model, how, ready=ready).rows == mine(rows, model, how).rows
    with pytest.raises(InputError, match="another prompt"):
        mine(rows, model, how, ready=ready, prompts={"passage": "passage: "})


def test_an_index_takes_ready_vectors(corpus, vectors, tiny_model_path, tmp_path):
    pytest.importorskip("lancedb")
    from clearir.search.index import build_index

    passages, name, cache = read_corpus(corpus), str(tiny_model_path), tmp_path / "cache"
    info, _ = build_index(passages, name, tmp_path / "index", cache=cache, ready=ReadyVectors.open(vectors))
    assert info.passages == 42
    assert not cache.exists(), "nothing was encoded"
    with pytest.raises(InputError, match="another max_seq_length"):
        build_index(
            passages,
            name,
            tmp_path / "other",
            cache=cache,
            ready=ReadyVectors.open(vectors),
            loading=Loading(max_seq_length=8),
        )


def test_rows_are_read_from_the_middle_of_a_file(corpus):
    from clearir.data.sources.files import parquet_rows

    file = corpus / "a.parquet"
    assert [shard.first for shard in shards_of(corpus, 10)] == [0, 10, 20, 0, 10]
    for first, count in ((0, 30), (7, 2), (8, 8), (15, 15), (29, 1)):
        found = [(place, record["id"]) for place, record in parquet_rows(file, first=first, count=count)]
        expected = [(f"{file}, row {i + 1}", f"p{i}") for i in range(first, first + count)]
        assert found == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.jsonl", b'{"text": "x"}', "only Parquet"), ("a.parquet", b"PAR1", "not a whole Parquet file")],
)
def test_other_files_are_refused(tiny_model_path, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        encode_corpus(tmp_path / name, str(tiny_model_path), tmp_path / "out")


@pytest.mark.parametrize("texts", [[], ["", " "]])
def test_a_corpus_without_texts_is_refused_and_leaves_nothing(tiny_model_path, tmp_path, texts):
    file = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), file)
    with pytest.raises(InputError, match=r"empty\.parquet: no passages; check"):
        encode_corpus(file, str(tiny_model_path), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.parquet"]


def test_a_folder_without_vectors_is_refused(corpus):
    with pytest.raises(InputError, match="clearir encode MODEL CORPUS"):
        ReadyVectors.open(corpus)


def test_without_ray_the_message_says_what_to_install(corpus, tiny_model_path, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # import ray fails
    with pytest.raises(MissingExtraError, match=r"clearir\[ray\]"):
        encode_corpus(corpus, str(tiny_model_path), tmp_path / "out", engine="ray")


def test_two_workers_of_ray_make_the_same_and_one_may_be_killed(corpus, tiny_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD_ROWS", 2)
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray[data]")
    local = tmp_path / "local"
    encode_corpus(corpus, str(tiny_model_path), local)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    killed: list[int] = []

    def kill_one() -> None:
        """As soon as the first shards are there, with many to come."""
        while len(list(tmp_path.glob(".by-ray.shards/*/part-*.parquet"))) < 3:
            time.sleep(0.01)
        ours = psutil.Process().children(recursive=True)
        worker = next(one for one in ours if "_RayWorker" in " ".join(one.cmdline()))
        worker.kill()
        killed.append(worker.pid)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        done = encode_corpus(corpus, str(tiny_model_path), tmp_path / "by-ray", engine="ray", workers=2)
    finally:
        ray.shutdown()
    thread.join(10)
    assert len(killed) == 1
    assert (done.passages, done.shards) == (42, 22)
    ours, theirs = parts(local), parts(tmp_path / "by-ray")
    assert ours.keys() == theirs.keys()
    for name, table in ours.items():
        assert table.select(["id", "key"]) == theirs[name].select(["id", "key"])
        # Ray gives a worker one thread: the sums are of another order.
        vectors = [np.array(one["vector"].to_pylist()) for one in (table, theirs[name])]
        np.testing.assert_allclose(*vectors, atol=1e-6)


def test_a_cluster_without_processors_is_refused(corpus, tiny_model_path, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install ray[data]")
    ray.init(num_cpus=0, num_gpus=0, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    try:
        with pytest.raises(InputError, match="neither GPUs nor CPUs; start its workers"):
            encode_corpus(corpus, str(tiny_model_path), tmp_path / "by-ray", engine="ray", workers=2)
    finally:
        ray.shutdown()
