from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from word_models import KINDS, unigram, write_model, write_static

from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.word_table import WordTable
from clearir.support.errors import InputError

TEXTS = ["hello the cat", "hello", "the cat.", "నమస్తే hello", "cat cat the"]


def count(table: WordTable, texts: list[str]) -> np.ndarray:
    ids = [number for text in texts for number in table.backend.encode(text).ids]
    return np.bincount(ids, minlength=table.backend.get_vocab_size())


def pieces(table: WordTable, kept: np.ndarray) -> set[str]:
    return {table.backend.id_to_token(int(number)) for number in np.flatnonzero(kept)}


def cut(path, texts, scripts=()):
    network = load_model(path, device="cpu")
    table = WordTable.of(network, "m")
    table.keep(network, table.needed(count(table, texts), scripts))
    return network, table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [write_model, write_static])
def test_texts_without_a_lost_word_have_the_same_vectors(kind, write, tmp_path):
    path = write(tmp_path, KINDS[kind]())
    before = encode(load_model(path, device="cpu"), TEXTS)
    network, table = cut(path, TEXTS)
    assert network.tokenizer is not table.backend
    np.testing.assert_allclose(encode(network, TEXTS), before, atol=1e-6)
    network.save_pretrained(str(tmp_path / "cut"), create_model_card=False)
    again = load_model(tmp_path / "cut", device="cpu")
    np.testing.assert_allclose(encode(again, TEXTS), before, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_has_a_row_per_word_that_is_left(kind, tmp_path):
    path = write_model(tmp_path, KINDS[kind]())
    whole = load_model(path, device="cpu")
    network, table = cut(path, TEXTS)
    size = network.tokenizer.backend_tokenizer.get_vocab_size()
    embedding = network.transformers_model.get_input_embeddings()
    assert embedding.weight.shape == (size, 16)
    assert embedding.num_embeddings == network.transformers_model.config.vocab_size == size < len(count(table, TEXTS))
    old, new = whole.transformers_model.get_input_embeddings(), network.tokenizer.get_vocab()
    for piece, number in new.items():
        assert embedding.weight[number].equal(old.weight[whole.tokenizer.get_vocab()[piece]]), piece


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_special_words_keep_their_meaning(kind, tmp_path):
    path = write_model(tmp_path, KINDS[kind]())
    network, _ = cut(path, ["the cat"])
    pad = network.tokenizer.pad_token
    assert network.transformers_model.config.pad_token_id == network.tokenizer.convert_tokens_to_ids(pad)
    assert network.transformers_model.get_input_embeddings().padding_idx == network.tokenizer.pad_token_id
    whole = load_model(path, device="cpu").tokenizer
    for text in ("the cat", ""):
        expected = whole.convert_ids_to_tokens(whole(text)["input_ids"])
        assert network.tokenizer.convert_ids_to_tokens(network.tokenizer(text)["input_ids"]) == expected
    assert network.tokenizer.model_max_length == 64


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_word_is_read_as_smaller_ones(kind, tmp_path):
    network, _ = cut(write_model(tmp_path, KINDS[kind]()), ["the cat"])
    unknown = network.tokenizer.unk_token_id
    ids = network.tokenizer("hello")["input_ids"]
    assert unknown is None or unknown not in ids
    assert len(ids) > 3  # beside what stands before and after


def test_unigram_keeps_what_occurs_and_what_any_text_may_need(tmp_path):
    table = WordTable.of(load_model(write_model(tmp_path, unigram()), device="cpu"), "m")
    kept = pieces(table, table.needed(count(table, ["the cat"])))
    special = {"<s>", "</s>", "<pad>", "<unk>", "<mask>"}
    assert kept == special | {"▁the", "▁cat", "▁", "."} | set("abcdehlorstw")  # no letter of another script


def test_with_scripts_all_their_words_stay(tmp_path):
    table = WordTable.of(load_model(write_model(tmp_path, unigram()), device="cpu"), "m")
    kept = pieces(table, table.needed(None, ["Telu"]))
    assert {"▁నమస్తే", *"నమస్తే"} <= kept
    assert "▁cat" not in kept
    assert "я" not in kept
    assert "a" in kept  # ASCII is in any text
    assert "▁the▁cat" in pieces(table, table.needed(None, ["Latn"]))


def test_a_script_that_is_there_by_accident_is_none_in_use(tmp_path):
    table = WordTable.of(load_model(write_model(tmp_path, unigram()), device="cpu"), "m")
    counts = count(table, ["the cat"] * 600 + ["న"])  # one letter's word of 1,201
    kept = pieces(table, table.needed(counts))
    assert "న" in kept  # it occurs
    assert "మ" not in kept
    assert "మ" in pieces(table, table.needed(count(table, ["the cat"] * 100 + ["న"])))  # of 201


def test_byte_pairs_keep_what_kept_words_are_merged_of(tmp_path):
    table = WordTable.of(load_model(write_model(tmp_path, KINDS["BPE"]()), device="cpu"), "m")
    counts = count(table, ["hello"])
    assert pieces(table, counts > 0) == {"<s>", "</s>", "hello"}
    kept = pieces(table, table.needed(counts))
    assert {"he", "ll", "llo", "hello"} <= kept
    assert "cat" not in kept
    assert "st" not in kept


def test_a_table_that_another_part_shares_is_refused(tmp_path):
    network = load_model(write_model(tmp_path, unigram()), device="cpu")
    table = WordTable.of(network, "m")
    network[1].register_parameter("tied", network.transformers_model.get_input_embeddings().weight)
    with pytest.raises(InputError, match="shares the table"):
        table.keep(network, table.needed(count(table, ["cat"])))
    assert network.transformers_model.get_input_embeddings() is table.embedding


def test_a_tokenizer_of_another_kind_is_refused(tmp_path):
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "cat": 2}, unk_token="[UNK]"))
    network = load_model(write_static(tmp_path, backend), device="cpu")
    with pytest.raises(InputError, match="WordLevel; only Unigram, BPE, WordPiece"):
        WordTable.of(network, "m")


def test_settings_of_the_last_call_do_not_cut_texts(tmp_path):
    network = load_model(write_model(tmp_path, unigram()), device="cpu")
    network.tokenizer(["cat " * 50], truncation=True, max_length=4, padding="max_length")
    table = WordTable.of(network, "m")
    state = json.loads(table.backend.to_str())
    assert state["truncation"] is None
    assert state["padding"] is None
