"""Rerankers that are made of an encoder: which layers are kept, and what the new head tells apart."""

from __future__ import annotations

import math

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tiny_bert import write_model

from clearir.models.load import load_model, model_fingerprint
from clearir.models.new_reranker import HeadFit, _fitted, fit_head, with_new_head
from clearir.models.reranker import load_reranker, score_pairs
from clearir.support.errors import InputError

#: the right passage has a z, the wrong ones have none
LISTS = [(f"{one}?", [f"{one} z {one}", f"{one} y {one}", f"{one} x"]) for one in "abcdefghijklmnop"]


def new(path, **options):
    return load_reranker(path, new_head=True, device="cpu", **options)


def saved(model, path):
    model.save_pretrained(str(path), create_model_card=False)
    return path


def right_first(model):
    scores = score_pairs(model, [(query, passage) for query, passages in LISTS for passage in passages])
    return (scores.reshape(len(LISTS), -1).argmax(1) == 0).mean()


def test_a_new_head_follows_from_its_seed_and_the_encoder_stays(tiny_model_path, caplog):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (new(tiny_model_path, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.num_labels == 1
    assert model_fingerprint(one) == model_fingerprint(same) != model_fingerprint(other)
    encoder = load_model(tiny_model_path, device="cpu")[0].model.state_dict()
    kept = one.transformers_model.state_dict()
    assert all(torch.equal(kept[name], encoder[name]) for name in encoder)
    assert not caplog.records


def test_the_head_tells_passages_apart_and_the_rest_is_left_as_it_was(tiny_model_path):
    model = new(tiny_model_path)
    before = {name: value.clone() for name, value in model.transformers_model.state_dict().items()}
    fit = fit_head(model, LISTS)
    assert right_first(model) == 1
    assert (fit.of, fit.lists, fit.chance) == (2, 16, math.log(3))
    assert len(fit.cross_entropy) == 2
    assert min(fit.cross_entropy) == fit.cross_entropy[fit.layers - 1] < fit.chance
    left = model.transformers_model.state_dict()
    assert all(torch.equal(left[name], before[name]) for name in left)
    assert model.training == new(tiny_model_path).training


def test_layers_that_know_nothing_are_left_out_and_the_saved_model_has_none_of_them(tmp_path):
    encoder = load_model(write_model(tmp_path), device="cpu")
    torch.nn.init.zeros_(encoder[0].model.encoder.layer[1].output.LayerNorm.weight)  # the same for every text
    model = new(saved(encoder, tmp_path / "blind"))
    fit = fit_head(model, LISTS)
    assert (fit.layers, fit.of) == (1, 2)
    assert fit.cross_entropy[1] == pytest.approx(math.log(3), abs=1e-3)
    assert right_first(model) == 1
    again = CrossEncoder(str(saved(model, tmp_path / "cut")), device="cpu")
    assert again.transformers_model.config.num_hidden_layers == len(again.transformers_model.encoder.layer) == 1
    pairs = [(query, passage) for query, passages in LISTS[:3] for passage in passages]
    assert score_pairs(again, pairs) == pytest.approx(score_pairs(model, pairs), rel=1e-4)


def test_a_network_without_a_list_of_layers_keeps_them_all(tiny_model_path, monkeypatch):
    monkeypatch.setattr("clearir.models.new_reranker._layers_of", lambda network: None)
    model = new(tiny_model_path)
    fit = fit_head(model, LISTS)
    assert (fit.layers, fit.of, len(fit.cross_entropy)) == (2, 2, 1)
    assert right_first(model) == 1


def test_a_list_of_types_of_layers_is_cut_too(tiny_model_path):
    model = new(tiny_model_path)
    model.transformers_model.config.layer_types = ["full_attention", "full_attention"]
    fit = fit_head(model, LISTS)
    assert len(model.transformers_model.config.layer_types) == fit.layers


def test_the_head_is_the_least_of_cross_entropy_and_penalty():
    # One list of two passages, of one dimension: 1 and -1, whose standard deviation is sqrt(2). Scaled they are
    # s = 1 / sqrt(2) and -s, so the cost is ln(1 + exp(-2 s w)) + 0.1 w^2, least where 2 s / (1 + exp(2 s w)) = 0.2 w.
    weight, bias = _fitted(torch.tensor([[[1.0], [-1.0]]]), 0.1)
    w, s = float(weight) * math.sqrt(2), 1 / math.sqrt(2)
    assert 2 * s / (1 + math.exp(2 * s * w)) == pytest.approx(0.2 * w, rel=1e-3)
    assert bias == 0


def test_the_mean_score_is_0():
    vectors = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0)) + 7
    weight, bias = _fitted(vectors, 0.1)
    assert float((vectors @ weight + bias).mean()) == pytest.approx(0, abs=1e-4)


def test_a_dimension_that_does_not_vary_gets_no_weight():
    vectors = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    vectors[..., 2] = 5
    assert float(_fitted(vectors, 0.1)[0][2]) == pytest.approx(0, abs=1e-6)


def test_more_lists_than_needed_are_drawn_by_the_seed(tiny_model_path, monkeypatch):
    monkeypatch.setattr("clearir.models.new_reranker.LISTS", 6)
    one, same, other = (new(tiny_model_path) for _ in range(3))
    assert fit_head(one, LISTS, seed=1).lists == 6
    fit_head(same, LISTS, seed=1)
    fit_head(other, LISTS, seed=2)
    assert model_fingerprint(one) == model_fingerprint(same) != model_fingerprint(other)


def test_two_lists_are_enough_and_one_is_not(tiny_model_path):
    assert fit_head(new(tiny_model_path), LISTS[:2]).lists == 2
    with pytest.raises(InputError, match="a new head needs at least 2 rows with hard negatives"):
        fit_head(new(tiny_model_path), LISTS[:1])


def test_lists_without_wrong_passages_are_refused(tiny_model_path):
    with pytest.raises(InputError, match=r"no hard negatives.*set mine\.negatives=5"):
        fit_head(new(tiny_model_path), [*LISTS, ("q", ["right"])])


def test_what_happened_in_words():
    assert HeadFit(8, 12, (1.5, 0.8653), math.log(5), 300).sentence == (
        "new head: fitted to layer 8 of 12 with 300 lists of candidates; cross-entropy 0.87, by chance 1.61"
    )


def test_an_encoder_without_a_transformer_is_refused(tiny_model_path):
    tokenizer = load_model(tiny_model_path, device="cpu").tokenizer
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=4)], device="cpu")
    with pytest.raises(InputError, match=r"words: its first module is StaticEmbedding.*name a transformer"):
        with_new_head(static, "words")
