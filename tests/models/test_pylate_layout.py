"""What clearir saves, loaded by PyLate; what PyLate saves, loaded by clearir: always the same token vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules.dense import Dense

from clearir.models.kind import kind_of
from clearir.models.load import load_late_interaction, model_fingerprint
from clearir.models.prompts import prompts_of
from clearir.models.pylate_layout import save_late_interaction
from clearir.settings import LATE_INTERACTION

QUERIES = ["abc", "de f", "a query of more than twelve tokens"]
DOCUMENTS = ["amber a birch", "a", "it is a document and has far more than nine tokens"]
#: a token of the documents, and words that are no token
SKIPPED = ["a", "no token of it"]


def with_prompts(model: Any) -> None:
    model.prompts.update(query="q: ", document="p: ")
    model.max_seq_length = 20


def with_lengths(model: Any) -> None:
    model[0].query_length, model[0].document_length = 7, 9


def with_expansion(model: Any, attend: bool = False) -> None:
    model[0].query_expansion = {"strategy": "fixed", "attend": attend, "length": 12}
    model[0].document_length = 9


def with_expansion_attended_to(model: Any) -> None:
    with_expansion(model, attend=True)


def with_ignored_words(model: Any) -> None:
    model[2].skiplist_words = SKIPPED
    model[2].resolve_with_tokenizer(model.tokenizer)


def with_two_layers(model: Any) -> None:
    model.insert(2, Dense(128, 8, activation_function=torch.nn.Tanh(), module_input_name="token_embeddings"))


def with_residual(model: Any) -> None:
    model.insert(2, Dense(128, 128, module_input_name="token_embeddings", use_residual=True))


CHANGES = (
    with_prompts,
    with_lengths,
    with_expansion,
    with_expansion_attended_to,
    with_ignored_words,
    with_two_layers,
    with_residual,
)


@dataclass(frozen=True)
class Saved:
    model: MultiVectorEncoder
    folder: Path


def vectors(model: MultiVectorEncoder) -> list[list[torch.Tensor]]:
    return [model.encode_query(QUERIES), model.encode_document(DOCUMENTS)]


def assert_same(found: list[list[Any]], expected: list[list[torch.Tensor]]) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(torch.as_tensor(one), other, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def saved(tiny_model_path, tmp_path_factory) -> dict[Callable[[Any], None], Saved]:
    """A model after each of the changes, and its folder."""
    found = {}
    for change in CHANGES:
        model = load_late_interaction(tiny_model_path, device="cpu")
        with torch.random.fork_rng():
            change(model)
        model.similarity_fn_name = "meanmaxsim"
        folder = tmp_path_factory.mktemp(change.__name__) / "model"
        assert save_late_interaction(model, folder) is None
        found[change] = Saved(model, folder)
    return found


@pytest.fixture(scope="module")
def pylates(in_pylate, saved) -> dict[str, Any]:
    """The vectors that PyLate gives, by folder."""
    asked = {"queries": QUERIES, "documents": DOCUMENTS, "prompts": True}
    return json.loads(in_pylate("encode", said={str(one.folder): asked for one in saved.values()}))


@pytest.mark.parametrize("change", CHANGES)
def test_pylate_gives_the_same_vectors(saved, pylates, change):
    assert_same(pylates[str(saved[change].folder)], vectors(saved[change].model))


@pytest.mark.parametrize("change", CHANGES)
def test_sentence_transformers_gives_the_same_vectors(saved, change):
    model, folder = saved[change].model, saved[change].folder
    assert kind_of(str(folder)) == LATE_INTERACTION
    plain = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    assert_same(vectors(plain), vectors(model))
    assert plain.similarity_fn_name == "meanmaxsim"
    assert plain.max_seq_length == model.max_seq_length
    assert_same(vectors(load_late_interaction(folder, device="cpu")), vectors(model))


def test_the_changes_are_such_that_vectors_show_them(saved):
    lengths = {change: [[len(one) for one in side] for side in vectors(saved[change].model)] for change in CHANGES}
    # [CLS] and [SEP] count, and so does each letter
    assert lengths[with_prompts] == [[2 + 2 + 3, 2 + 2 + 3, 20], [2 + 2 + 5 + 1 + 5, 2 + 2 + 1, 20]]
    assert lengths[with_lengths] == [[5, 5, 7], [9, 3, 9]]
    assert lengths[with_expansion] == [[12, 12, 12], [9, 3, 9]]
    assert lengths[with_ignored_words][1][:2] == [2 + 4 + 0 + 5, 2]  # without the a of amber and of a
    assert vectors(saved[with_two_layers].model)[0][0].shape == (5, 8)


def test_a_new_model_is_the_same_model_when_it_is_loaded(tiny_model_path, tmp_path):
    model = load_late_interaction(tiny_model_path, device="cpu", query_prompt="q: ", passage_prompt="p: ")
    save_late_interaction(model, tmp_path / "late")
    again = load_late_interaction(tmp_path / "late", device="cpu")
    assert model_fingerprint(again) == model_fingerprint(model)
    assert prompts_of(again) == prompts_of(model)


def test_a_further_training_can_read_more_of_a_text(tiny_model_path, tmp_path):
    save_late_interaction(load_late_interaction(tiny_model_path, device="cpu", max_seq_length=8), tmp_path / "late")
    for length in (8, 20):
        again = load_late_interaction(tmp_path / "late", device="cpu", max_seq_length=length)
        assert [len(one) for one in again.encode_document(DOCUMENTS)] == [min(2 + 11, length), 3, length]


def test_what_pylate_saved_keeps_its_prefixes_when_it_is_saved_again(in_pylate, tiny_model_path, tmp_path):
    """PyLate puts [Q] and [D] before texts unasked, and so it has to do with what clearir made of its model."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    in_pylate("new", tiny_model_path.parent / "bert", theirs)
    model = load_late_interaction(theirs, device="cpu")
    assert (model.prompts["query"], model[0].query_expansion["length"]) == ("[Q] ", 32)
    assert save_late_interaction(model, ours) is None
    asked = {"queries": QUERIES, "documents": DOCUMENTS, "prompts": False}
    found = json.loads(in_pylate("encode", said={str(one): asked for one in (theirs, ours)}))
    for folder in (theirs, ours):
        assert_same(found[str(folder)], vectors(model))


def shorter_queries(model: Any) -> None:
    model[0].query_expansion = {"strategy": "min", "length": 12}


def other_token(model: Any) -> None:
    model[0].query_expansion = {"strategy": "fixed", "length": 12, "token": "[SEP]"}


def ignored_in_queries(model: Any) -> None:
    model[2].skiplist_tasks = ["query", "document"]


def one_token_alone(model: Any) -> None:
    model[2].keep_only_token_ids = [7]


def no_unit_length(model: Any) -> None:
    del model[3]


def no_limit(model: Any) -> None:
    model.max_seq_length = 10**30


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        (shorter_queries, "a query expansion other than by mask tokens to one length"),
        (other_token, "a query expansion other than by mask tokens to one length"),
        (ignored_in_queries, "ignored words other than those of documents"),
        (one_token_alone, "ignored words other than those of documents"),
        (no_unit_length, "modules other than a transformer and dense layers"),
        (no_limit, "no limit on the length of a text"),
    ],
)
def test_what_pylate_does_not_know_is_said_and_saved_for_sentence_transformers(
    tiny_model_path, tmp_path, change, lacking
):
    model = load_late_interaction(tiny_model_path, device="cpu")
    change(model)
    assert save_late_interaction(model, tmp_path / "late") == lacking
    plain = MultiVectorEncoder(str(tmp_path / "late"), device="cpu", local_files_only=True)
    assert_same([plain.encode_query(["abc"])], [model.encode_query(["abc"])])
