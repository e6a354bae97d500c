from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from clearir.data.passages import Passage
from clearir.models.token_vectors import TokenVectors
from clearir.search import store
from clearir.search.store import Field

pytest.importorskip("lancedb", reason="the extra search is not installed")

from lancedb.expr import col, lit


def unit(rows: int, dimensions: int = 32, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


QUERY = unit(1, seed=1)[0]


def write(folder: Path, passages: list[Passage], vectors: np.ndarray | TokenVectors, chunk: int = 1000):
    given = iter(range(0, len(passages), chunk))

    def vectors_of(part):
        start = next(given)
        return vectors[start : start + len(part)]

    fields = store.fields_of(passages)
    table, tokens = store.write_passages(store.connect(folder), passages, fields, vectors_of, chunk=chunk)
    assert tokens == (sum(map(len, vectors.texts)) if isinstance(vectors, TokenVectors) else None)
    return table


def test_fields_have_the_kind_of_their_values_and_a_column_of_their_own():
    passages = [
        Passage("1", "a", fields={"year": 2020, "price": 1, "mixed": 1, "on": True, "text": "x", "größe": "L"}),
        Passage("2", "b", fields={"price": 0.5, "mixed": "one", "gr__e": "XL", "1st.": "y", "_distance": "z"}),
    ]
    assert store.fields_of(passages) == (
        Field("year", "year", "integer"),
        Field("price", "price", "number"),
        Field("mixed", "mixed", "text"),
        Field("on", "on", "boolean"),
        Field("text", "text_2", "text"),
        Field("größe", "gr__e", "text"),
        Field("gr__e", "gr__e_2", "text"),
        Field("1st.", "field_1st_", "text"),
        Field("_distance", "field_distance", "text"),
    )


def test_rows_come_back_nearest_first_whatever_the_chunks(tmp_path):
    passages = [Passage(str(i), f"text {i}") for i in range(25)]
    vectors = unit(25)
    table = write(tmp_path, passages, vectors, chunk=10)
    query = unit(1, seed=1)[0]
    rows = store.nearest(table, query, 5, ["id", "text"])
    order = np.argsort(-(vectors @ query))[:5]
    assert [row["id"] for row in rows] == [str(i) for i in order]
    np.testing.assert_allclose([row["_score"] for row in rows], (vectors @ query)[order], atol=1e-6)
    assert rows[0]["text"] == f"text {order[0]}"


def tokens(counts: list[int], dimensions: int = 32, seed: int = 0) -> list[np.ndarray]:
    return np.split(unit(sum(counts), dimensions, seed), np.cumsum(counts)[:-1])


def mean_maxsim(query: np.ndarray, passages: list[np.ndarray]) -> np.ndarray:
    """For each token of the query the largest cosine with a token of the passage; their mean."""
    return np.array([(query.astype(float) @ passage.T.astype(float)).max(axis=1).mean() for passage in passages])


@pytest.mark.parametrize("asking", [1, 2, 30])
def test_token_vectors_are_compared_by_mean_maxsim(tmp_path, asking):
    """200 passages of 1 to 40 tokens, written in chunks: all in the order of their exact scores, filtered or not."""
    counts = np.random.default_rng(0).integers(1, 41, 200).tolist()
    vectors = tokens(counts)
    passages = [Passage(str(i), f"text {i}", fields={"n": i}) for i in range(200)]
    table = write(tmp_path, passages, TokenVectors.of(vectors), chunk=70)
    query = unit(asking, seed=1)
    scores = mean_maxsim(query, vectors)
    for where, kept in ((None, np.arange(200)), (col("n") >= lit(150), np.arange(150, 200))):
        rows = store.nearest(table, query, 200, ["id"], where=where)
        assert sorted(int(row["id"]) for row in rows) == kept.tolist()
        np.testing.assert_allclose([row["_score"] for row in rows], np.sort(scores[kept])[::-1], atol=1e-6)
        np.testing.assert_allclose([row["_score"] for row in rows], scores[[int(row["id"]) for row in rows]], atol=1e-6)
        ids = store.nearest_ids(table, query, 10, where=where)
        again = store.rows_of(table, ids, ["id"], query)
        assert [row["id"] for row in again] == [row["id"] for row in rows[:10]]
        np.testing.assert_allclose([row["_score"] for row in again], [row["_score"] for row in rows[:10]], atol=1e-6)


def test_rows_come_in_the_order_of_their_ids(tmp_path):
    table = write(tmp_path, [Passage(str(i), f"text {i}") for i in range(25)], unit(25), chunk=10)
    ids = store.nearest_ids(table, QUERY, 5)
    rows, nearest = store.rows_of(table, ids, ["id"], QUERY), store.nearest(table, QUERY, 5, ["id"])
    assert [row["id"] for row in rows] == [row["id"] for row in nearest]
    np.testing.assert_allclose([row["_score"] for row in rows], [row["_score"] for row in nearest], atol=1e-6)
    assert store.rows_of(table, [], ["id"], QUERY) == []


def test_values_of_mixed_kinds_are_kept_as_text(tmp_path):
    passages = [Passage("1", "a", fields={"n": 1, "m": 1}), Passage("2", "b", fields={"n": "two", "m": 0.5})]
    table = write(tmp_path, passages, unit(2))
    rows = table.search().select(["id", "n", "m"]).to_list()
    assert [(row["n"], row["m"]) for row in rows] == [("1", 1.0), ("two", 0.5)]


def test_words_are_found_in_any_script_and_in_title_and_text(tmp_path):
    texts = ["гра в шахи", "東京都に住んでいる", "ภาษาไทยง่ายมาก", "cryptsetup: LUKS disks", "nothing"]
    passages = [Passage(str(i), text, title="Überschrift" if i == 4 else "") for i, text in enumerate(texts)]
    table = write(tmp_path, passages, unit(5))
    store.index_texts(table)
    for query, right in {"шахи": "0", "東京": "1", "ง่าย": "2", "luks": "3", "uberschrift": "4"}.items():
        found = store.rows_of(table, store.matching_ids(table, query, 3), ["id"], QUERY)
        assert [row["id"] for row in found] == [right]


def test_words_are_found_however_they_are_typed(tmp_path):
    texts = {
        "uk": "написав Лук'яненко для роботи",
        "pl": unicodedata.normalize("NFD", "autorem jest Żółć i zespół"),
        "fr": "Ce texte parle de l\u2019objet et d\u2019autres choses",
        "tr": "İstanbul'da ISPANAK",
        "de": "ein Donau\u00addampf\u00adschiff",
        "ar": "قَرَأَ كِتَابًا",
        "hi": "यह हिन्दी में है",
        "xx": "nothing of that kind",
    }
    passages = [Passage(code, text) for code, text in texts.items()]
    table = write(tmp_path, passages, unit(len(passages)))
    store.index_texts(table)
    asked = {
        "uk": ["Лук'яненко", "Лук\u2019яненко", "Лук\u02bcяненко", "Лукяненко"],
        "pl": [unicodedata.normalize(form, "Żółć") for form in ("NFC", "NFD")] + ["zolc"],
        "fr": ["objet", "l'objet", "l\u2019objet", "L\u02bcObjet"],
        "tr": ["istanbul", "İSTANBUL", "ıspanak", "ispanak"],
        "de": ["Donaudampfschiff", "donau\u00addampfschiff"],
        "ar": ["كتابا", "کتابا"],
        "hi": ["हिन्दी"],
    }
    for code, queries in asked.items():
        for query in queries:
            found = store.rows_of(table, store.matching_ids(table, query, 3), ["id"], QUERY)
            assert [row["id"] for row in found] == [code], query


@pytest.mark.parametrize(
    "query", ['"', "AND OR NOT", "title:шахи", "a*b?", "((", "\\", "'; DROP TABLE passages", "\x00", " "]
)
def test_a_query_for_words_has_no_syntax(tmp_path, query):
    table = write(tmp_path, [Passage("1", "chess")], unit(1))
    store.index_texts(table)
    assert store.matching_ids(table, query, 3) == []


def test_recall_of_the_approximate_index_on_vectors_without_structure(tmp_path):
    vectors = unit(20_000)
    table = write(tmp_path, [Passage(str(i), "x") for i in range(20_000)], vectors, chunk=20_000)
    made = store.index_vectors(table)
    assert made.recall >= 0.99
    queries = unit(50, seed=1)
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    found = [[int(row["id"]) for row in store.nearest(table, q, 10, ["id"], probes=made.probes)] for q in queries]
    assert np.mean([len(set(one) & set(right)) / 10 for one, right in zip(found, truth, strict=True)]) >= 0.98


def test_where_there_is_structure_few_partitions_are_probed(tmp_path, monkeypatch):
    """300 groups far apart: the neighbours of a vector are in its group."""
    centres = unit(300)
    vectors = np.repeat(centres, 100, axis=0) + 0.2 * unit(30_000, seed=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = write(tmp_path, [Passage(str(i), "x") for i in range(30_000)], vectors.astype(np.float32), chunk=30_000)
    monkeypatch.setattr(store, "ROWS_A_PARTITION", 1000)
    made = store.index_vectors(table)
    assert made.partitions == 30
    assert made.probes < 30
    assert made.recall >= 0.99


def test_nothing_finished_is_none(tmp_path):
    database = store.connect(tmp_path)
    assert store.read_manifest(database) is None
    store.write_manifest(database, {"a": "ä"})
    assert store.read_manifest(database) == {"a": "ä"}
