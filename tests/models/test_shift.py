"""Passages minus the vector of their language, by hand and in every place that encodes passages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clearir.data.passages import Corpus, Passage
from clearir.data.rows import Row
from clearir.models.encode import encode, encode_by_language
from clearir.models.encode_corpus import encode_corpus
from clearir.models.load import load_model, model_fingerprint
from clearir.models.one_way import languages_of
from clearir.models.ready_vectors import ReadyVectors
from clearir.models.shift import language_vectors, shifted
from clearir.models.vector_cache import vector_key
from clearir.settings import LossSettings, TrainSettings
from clearir.support.errors import InputError
from clearir.training.train import train

#: to: Tongan, and a method of torch's modules
PAIRS = {"hi": [("a cat", "tac a"), ("a dog", "god a")], "to": [("a cat", "xyz")], "fi": []}
TEXTS = ["one two", "three", "four five six"]


def unit(vectors: Any) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


@pytest.fixture
def model(tiny_model_path: Path) -> Any:
    return load_model(tiny_model_path, device="cpu", query_prompt="q ", passage_prompt="p ")


@pytest.fixture
def saved(model: Any, tmp_path: Path) -> Path:
    shifted(model, language_vectors(model, PAIRS)).save_pretrained(str(tmp_path / "shifted"), create_model_card=False)
    return tmp_path / "shifted"


def test_a_languages_vector_is_the_mean_difference_over_its_pairs(model: Any) -> None:
    cat, tac, dog, god, xyz = unit(model.encode([f"p {text}" for text in ("a cat", "tac a", "a dog", "god a", "xyz")]))
    found = language_vectors(model, {**PAIRS, "hi": [*PAIRS["hi"], PAIRS["hi"][0]]})  # a pair counts once
    assert set(found) == {"hi", "to"}
    np.testing.assert_allclose(found["hi"], (tac - cat + god - dog) / 2, atol=1e-6)
    np.testing.assert_allclose(found["to"], xyz - cat, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_a_passage_loses_the_vector_of_its_language_and_has_unit_length(model: Any, alpha: float) -> None:
    vectors = {"hi": np.linspace(-0.2, 0.3, 16, dtype=np.float32), "to": np.full(16, 0.1, np.float32)}
    result = shifted(model, vectors, alpha=alpha)
    plain = unit(model.encode(TEXTS))
    for language, vector in vectors.items():
        expected = unit(plain - alpha * vector)
        np.testing.assert_allclose(encode(result, TEXTS, language=language), expected, atol=1e-6)
        np.testing.assert_allclose(result.encode(TEXTS, task=language), expected, atol=1e-6)
        assert abs(expected - plain).max() > 0.01
    assert not languages_of(model)  # stays as it was
    np.testing.assert_allclose(encode(model, TEXTS, language="hi"), plain, atol=1e-6)


def test_queries_and_unknown_languages_stay_as_they_are(model: Any, saved: Path) -> None:
    result = load_model(saved, device="cpu")
    assert languages_of(result) == {"hi", "to"}
    plain = unit(model.encode(TEXTS))
    for language in (None, "fi", "en", "hi-Latn"):
        np.testing.assert_allclose(encode(result, TEXTS, language=language), plain, atol=1e-6)
        np.testing.assert_allclose(result.encode(TEXTS, task=language), plain, atol=1e-6)
    np.testing.assert_allclose(result.encode_query(TEXTS), unit(model.encode_query(TEXTS)), atol=1e-6)
    np.testing.assert_allclose(result.encode_document(TEXTS), unit(model.encode_document(TEXTS)), atol=1e-6)


ALONE = """
import json, sys
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
tasks = ("hi", "to", "fi")
vectors = {task: model.encode(["one two"], prompt_name="document", task=task)[0].tolist() for task in tasks}
assert not any(name.partition(".")[0] == "clearir" for name in sys.modules)
print(json.dumps(vectors))
"""


def test_the_saved_model_needs_sentence_transformers_alone(model: Any, saved: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE, str(saved)], capture_output=True, text=True, check=True)
    vectors, plain = language_vectors(model, PAIRS), unit(model.encode("p one two"))
    expected = {"hi": unit(plain - vectors["hi"]), "to": unit(plain - vectors["to"]), "fi": plain}
    found = json.loads(done.stdout.splitlines()[-1])
    for language, vector in expected.items():
        np.testing.assert_allclose(found[language], vector, atol=1e-5)


def test_it_is_another_model(model: Any, saved: Path) -> None:
    vectors = language_vectors(model, PAIRS)
    renamed = {"km": vectors["hi"], "to": vectors["to"]}
    found = [model, shifted(model, vectors), shifted(model, vectors, alpha=0.5), shifted(model, renamed)]
    assert len({model_fingerprint(one) for one in found}) == 4
    assert model_fingerprint(load_model(saved)) == model_fingerprint(found[1])


def test_a_model_that_cuts_vectors_is_shifted_before_they_are_cut(model: Any) -> None:
    whole = language_vectors(model, PAIRS)
    model.truncate_dim = 4
    vectors = language_vectors(model, PAIRS)
    np.testing.assert_allclose(vectors["hi"], whole["hi"], atol=1e-6)
    model.truncate_dim = None
    expected = unit(unit(unit(model.encode(TEXTS)) - whole["hi"])[:, :4])
    model.truncate_dim = 4
    np.testing.assert_allclose(encode(shifted(model, vectors), TEXTS, language="hi"), expected, atol=1e-5)


def test_what_cannot_be_shifted_or_trained_is_said(model: Any, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no language to shift"):
        shifted(model, {})
    with pytest.raises(InputError, match="routes for hi, to already"):
        shifted(load_model(saved), {"fi": np.zeros(16, np.float32)})
    rows = [Row(query="a", passage="b", target_query="c", language="fi")]
    with pytest.raises(InputError, match=r"shifted: it subtracts a vector from passages in hi, to .*shift what comes"):
        train(rows, str(saved), tmp_path / "out", TrainSettings(max_steps=1), LossSettings())


# -- wherever passages are encoded


def test_a_vectors_key_has_the_route_only_where_there_is_one() -> None:
    # of caches that users have
    assert vector_key("a cat", "p ", 64).hex() == "84d8ec198659fef754e4a64301e8380c"
    assert len({vector_key("a cat", "p ", 64, route) for route in (None, "hi", "to")}) == 3


def test_the_cache_knows_the_language_where_it_matters(model: Any, saved: Path, tmp_path: Path) -> None:
    result = load_model(saved, device="cpu")
    seen: list[int] = []
    for one in (model, result):
        one[0].register_forward_pre_hook(lambda *_: seen.append(1))

    def runs(one: Any, language: str | None) -> int:
        before = len(seen)
        found = encode(one, ["a cat"], language=language, cache=tmp_path)
        np.testing.assert_array_equal(found, encode(one, ["a cat"], language=language, cache=tmp_path))
        return len(seen) - before

    assert [runs(model, language) for language in (None, "hi", "to")] == [1, 0, 0]
    assert [runs(result, language) for language in (None, "hi", "to", "fi")] == [1, 1, 1, 0]


def test_texts_of_several_languages_keep_their_order(saved: Path) -> None:
    result = load_model(saved, device="cpu")
    texts, languages = ["a cat", "a cat", "b", "a cat", "b"], ["hi", "fi", "to", None, "hi"]
    expected = [encode(result, [text], language=language)[0] for text, language in zip(texts, languages, strict=True)]
    np.testing.assert_allclose(encode_by_language(result, texts, languages), expected, atol=1e-6)
    assert encode_by_language(result, [], []).shape == (0, 16)


def test_a_corpus_and_an_index_are_encoded_by_language(saved: Path, tmp_path: Path) -> None:
    result = load_model(saved, device="cpu")
    texts, languages = ["a cat", "god", "xyz", "a cat"], ["hi", "hi", "to", "fi"]
    expected = encode_by_language(result, texts, languages, prompt="p ")
    assert abs(expected[0] - expected[3]).max() > 0.01  # one text, two languages
    table = {"id": ["1", "2", "3", "4"], "text": texts, "language": languages}
    pq.write_table(pa.table(table), tmp_path / "corpus.parquet")
    encode_corpus(tmp_path / "corpus.parquet", str(saved), tmp_path / "vectors")
    found = pq.read_table(tmp_path / "vectors" / "part-00000.parquet")["vector"].to_pylist()
    np.testing.assert_allclose(found, expected, atol=1e-6)

    ready, seen = ReadyVectors.open(tmp_path / "vectors"), []
    result[0].register_forward_pre_hook(lambda *_: seen.append(1))
    np.testing.assert_allclose(
        encode_by_language(result, texts, languages, prompt="p ", ready=ready), expected, atol=1e-6
    )
    assert not seen

    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search import store
    from clearir.search.index import build_index

    passages = [Passage(*of, language=language) for *of, language in zip(table["id"], texts, languages, strict=True)]
    build_index(Corpus("by hand", tuple(passages)), str(saved), tmp_path / "index", cache=tmp_path / "cache")
    rows = store.connect(tmp_path / "index").open_table("passages").to_arrow().sort_by("id").to_pydict()
    np.testing.assert_allclose(rows["vector"], expected, atol=1e-3)
