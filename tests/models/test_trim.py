from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import xxhash
from word_models import KINDS, unigram, write_model

from clearir.models import trim as trimming
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.trim import NO_TEXTS, count_words, texts_of, trim
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import ClearirError, InputError
from clearir.support.texts import text_key

#: none of them with a word of WORDS that stands in no other
TEXTS = [" ".join(three) for three in product(["the", "cat", "hello", "or"], repeat=3)]


def is_held_out(text: str) -> bool:
    return xxhash.xxh3_64_intdigest(text_key(text).encode()) % 10 == 0


def a_text(held_out: bool, word: str) -> str:
    """A text with this word that is held out, or is not."""
    return next(
        text for i in range(1000) if is_held_out(text := f"the {'cat ' * (i % 40)}{word} {'or ' * i}.") == held_out
    )


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "whole", unigram(), prompts={"query": "", "document": "hello "})


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_smaller_model_with_the_same_vectors(kind, corpus, tmp_path):
    path = write_model(tmp_path / "whole", KINDS[kind]())
    trimmed = trim(str(path), tmp_path / "small", corpus=[corpus])
    assert trimmed.words < trimmed.words_before
    assert trimmed.megabytes <= trimmed.megabytes_before
    assert trimmed.lowest_cosine == pytest.approx(1)
    assert trimmed.held_out is not None
    assert trimmed.held_out.texts == sum(map(is_held_out, TEXTS))
    assert (trimmed.held_out.lost, trimmed.held_out.texts_with_lost) == (0, 0)
    assert trimmed.held_out.lowest_cosine == pytest.approx(1)
    small, whole = (load_model(one, device="cpu") for one in (tmp_path / "small", path))
    np.testing.assert_allclose(encode(small, TEXTS), encode(whole, TEXTS), atol=1e-6)


def test_words_that_only_held_out_texts_have_are_counted_as_lost_and_kept(model, corpus, tmp_path):
    text = a_text(True, "నమస్తే")
    corpus.write_text("\n".join([*TEXTS, text]))
    trimmed = trim(str(model), tmp_path / "small", corpus=[corpus], max_lost=0.5)
    backend = unigram()
    words = sum(len(backend.encode(one).ids) for one in [*TEXTS, text] if is_held_out(one))
    assert trimmed.held_out.lost == pytest.approx(1 / words)
    assert trimmed.held_out.texts_with_lost == pytest.approx(1 / (sum(map(is_held_out, TEXTS)) + 1))
    assert trimmed.held_out.lowest_cosine < 0.9999
    assert trimmed.lowest_cosine == pytest.approx(1)  # of the model that was written
    assert "▁నమస్తే" in load_model(tmp_path / "small", device="cpu").tokenizer.get_vocab()


def test_too_many_lost_words_are_refused_and_nothing_is_written(model, corpus, tmp_path):
    corpus.write_text("\n".join([*TEXTS, a_text(True, "నమస్తే")]))
    with pytest.raises(InputError, match=r"held-out texts would be lost, more than 0\.10%.*--max-lost 0\.\d"):
        trim(str(model), tmp_path / "small", corpus=[corpus], max_lost=0.001)
    assert not (tmp_path / "small").exists()
    trim(str(model), tmp_path / "small", corpus=[corpus], languages=["te", "en"], max_lost=0.001)  # as it advises


def test_the_words_of_the_prompts_stay(model, corpus, tmp_path):
    corpus.write_text("cat")
    trimmed = trim(str(model), tmp_path / "small", corpus=[corpus])
    small = load_model(tmp_path / "small", device="cpu")
    assert "▁hello" in small.tokenizer.get_vocab()
    assert small.prompts["document"] == "hello "
    assert trimmed.held_out is None


def test_languages_alone_keep_their_scripts(model, tmp_path):
    trimmed = trim(str(model), tmp_path / "small", languages=["te"])
    kept = load_model(tmp_path / "small", device="cpu").tokenizer.get_vocab()
    assert "▁నమస్తే" in kept
    assert "▁cat" not in kept
    assert (trimmed.held_out, trimmed.lowest_cosine) == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "name texts such as yours with --corpus FILE, or --languages te,en"),
        ({"languages": ["xx"]}, "xx"),
        ({"languages": ["zgh-Zsye"]}, "--corpus FILE"),
    ],
)
def test_what_cannot_be_kept_is_one_message(model, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        trim(str(model), tmp_path / "small", **options)


def test_a_corpus_without_texts_is_refused(model, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match="holds no texts"):
        trim(str(model), tmp_path / "small", corpus=[tmp_path / "empty.txt"])


def test_vectors_that_are_not_the_same_are_no_model(model, corpus, tmp_path, monkeypatch):
    whole = trimming.WordTable.keep

    def wrong(table, network, kept):
        whole(table, network, kept)
        network.transformers_model.get_input_embeddings().weight.data.neg_()

    monkeypatch.setattr(trimming.WordTable, "keep", wrong)
    with pytest.raises(ClearirError, match="nothing was written"):
        trim(str(model), tmp_path / "small", corpus=[corpus])
    assert not (tmp_path / "small").exists()


def test_the_same_again_is_there_already_and_other_settings_are_not_replaced(model, corpus, tmp_path):
    first = trim(str(model), tmp_path / "small", corpus=[corpus])
    before = (tmp_path / "small" / MANIFEST).stat().st_mtime_ns
    assert trim(str(model), tmp_path / "small", corpus=[corpus]) == first
    assert (tmp_path / "small" / MANIFEST).stat().st_mtime_ns == before
    corpus.write_text("cat")
    with pytest.raises(InputError, match="--overwrite"):
        trim(str(model), tmp_path / "small", corpus=[corpus])
    assert trim(str(model), tmp_path / "small", corpus=[corpus], overwrite=True).words < first.words


# -- the texts of a corpus ---------------------------------------------------------------------------------------------


def test_all_texts_of_a_table_but_ids_languages_and_addresses(tmp_path):
    row = {"Passage ID": "p7", "query": "a cat", "negatives": ["b", "c"], "language": "te", "number": 3, "note": None}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({**row, "query": "d"}))
    assert list(texts_of(tmp_path / "rows.jsonl")) == ["a cat", "b", "c", "d", "b", "c"]
    assert list(texts_of(tmp_path / "rows.jsonl", ["query"])) == ["a cat", "d"]
    with pytest.raises(InputError, match=r"rows.jsonl:1: no column 'text'; the columns are Passage ID, query"):
        list(texts_of(tmp_path / "rows.jsonl", ["text"]))
    assert {"passage_id", "language"} <= set(NO_TEXTS)


def test_lines_of_a_plain_file_are_texts_without_their_ends(tmp_path):
    (tmp_path / "texts.txt").write_text("a cat\r\n\nthe\n")
    assert list(texts_of(tmp_path / "texts.txt")) == ["a cat", "", "the"]


def test_a_bad_line_has_a_place(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text"')
    with pytest.raises(InputError, match=r"rows.jsonl:2: not JSON"):
        list(texts_of(tmp_path / "rows.jsonl"))


def test_each_text_counts_once_with_and_without_prompts():
    backend = unigram()
    kept = next(text for text in TEXTS if not is_held_out(text))
    seen = count_words([kept, f" {kept.upper()}  ", kept], backend, ["", "hello "])
    assert seen.counts.sum() == len(backend.encode(kept).ids) + len(backend.encode(f"hello {kept}").ids)
    assert (seen.held_out, seen.held_out_counts.sum(), seen.sample) == ([], 0, [kept])


def test_only_so_many_are_held_out(monkeypatch):
    monkeypatch.setattr(trimming, "_MOST_HELD_OUT", 2)
    seen = count_words(TEXTS, unigram(), [])
    assert len(seen.held_out) == 2 < sum(map(is_held_out, TEXTS))
    assert seen.counts.sum() + seen.held_out_counts.sum() == sum(len(unigram().encode(one).ids) for one in TEXTS)


def test_the_sample_does_not_depend_on_the_order(monkeypatch):
    monkeypatch.setattr(trimming, "_SAMPLE", 5)
    one, other = (count_words(texts, unigram(), []) for texts in (TEXTS, TEXTS[::-1]))
    assert sorted(one.sample) == sorted(other.sample)
    assert len(one.held_out_sample) == 5
    assert len(one.sample) == 10


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_shows_sizes_and_what_is_lost(clearir, model, corpus, tmp_path):
    corpus.write_text("\n".join([*TEXTS, a_text(True, "నమస్తే")]))
    words = ["trim", str(model), "--corpus", str(corpus), "--out", str(tmp_path / "small")]
    status, _, errors = clearir(*words)
    assert status == 2
    assert "--max-lost" in errors
    status, shown, _ = clearir(*words, "--max-lost", "0.5")
    assert status == 0
    for line in (
        "words ",
        "weights, MB",
        "held-out texts, with the words of the other texts",
        "texts with a lost word",
    ):
        assert line in shown
    assert max(map(len, shown.splitlines())) <= 80
