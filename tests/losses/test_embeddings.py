"""A vector a token in place of one a text: MaxSim, masks, and the same gradients whatever the way of computing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import sqrt
from pathlib import Path

import pytest
import torch
from comparisons import gradients
from sentence_transformers import MultiVectorEncoder
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from clearir.losses import CachedObjectiveLoss, ObjectiveLoss, embeddings
from clearir.losses.embeddings import apart, as_wide_everywhere, default_similarity, embed, join, mean_maxsim
from clearir.losses.objectives import OBJECTIVES
from clearir.losses.packing import plan_batch
from clearir.losses.scale import best_scale, fit_scale
from clearir.losses.terms import drift, is_token

HALF = 1 / sqrt(2)
# Two tokens and one; a row of zeros is padding.
ASKING = [[[1.0, 0.0], [0.0, 1.0]], [[HALF, HALF], [0.0, 0.0]]]
ANSWERING = [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [-1.0, 0.0]], [[-1.0, 0.0], [0.0, 0.0]]]


def tokens(rows: list) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture
def late_model(still_model_path):
    """A function that makes the tiny BERT one of late interaction, in float64: the same each time."""

    def load() -> MultiVectorEncoder:
        torch.manual_seed(3)
        return MultiVectorEncoder(str(still_model_path), device="cpu").double()

    return load


@pytest.fixture
def batch(columns):
    """What the collator makes of a batch with hard negatives on both sides."""

    def make(model: MultiVectorEncoder) -> list[dict]:
        texts = columns(5, 1, 1)
        tasks = ("query", "document", "document", "query", "query")
        return [model.preprocess(one, task=task) | {"task": task} for one, task in zip(texts, tasks, strict=True)]

    return make


def nudge(model: nn.Module) -> None:
    """Move the weights, so that the untrained model is another one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)


# -- MaxSim -----------------------------------------------------------------------------------------------------


def test_mean_maxsim_by_hand():
    # (1,0) and (0,1) ask: the best of (1,0) are 1 and 0; of (0,1) and (-1,0) 0 and 1; of (-1,0) -1 and 0.
    # (h,h) asks: h; max(h, -h); -h. Padding never answers, although 0 is more than -1 and -h.
    expected = torch.tensor([[1 / 2, 1 / 2, -1 / 2], [HALF, HALF, -HALF]])
    torch.testing.assert_close(mean_maxsim(tokens(ASKING), tokens(ANSWERING)), expected)


def test_more_padding_changes_nothing():
    wide = [nn.functional.pad(tokens(one), (0, 0, 0, 3)) for one in (ASKING, ANSWERING)]
    torch.testing.assert_close(mean_maxsim(*wide), mean_maxsim(tokens(ASKING), tokens(ANSWERING)))


def test_blocks_give_the_same_scores_and_gradients(monkeypatch):
    torch.manual_seed(0)
    sides = [nn.functional.normalize(torch.randn(n, 4, 8), dim=2) for n in (5, 7)]
    sides[0][1, 2:], sides[1][3, 1:] = 0, 0
    found = []
    for block in (2**24, 200):
        monkeypatch.setattr(embeddings, "BLOCK", block)
        leaves = [side.clone().requires_grad_() for side in sides]
        scores = mean_maxsim(*leaves)
        (scores * torch.arange(35).reshape(5, 7)).sum().backward()
        found.append([scores.detach(), *(leaf.grad for leaf in leaves)])
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(whole, cut)


def test_vectors_are_compared_by_cosine_and_token_vectors_by_maxsim(tiny_model, late_model):
    assert default_similarity(late_model()) is mean_maxsim
    assert default_similarity(tiny_model()).__name__ == "cos_sim"


# -- terms ------------------------------------------------------------------------------------------------------


def test_drift_is_the_mean_over_the_tokens_of_a_text():
    now = tokens([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])
    before = tokens([[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], [[0.0, -1.0], [0.0, 0.0], [0.0, 0.0]]])
    # 1 - 1 and 1 - 0, their mean; 1 - (-1)
    torch.testing.assert_close(drift(now, before), tokens([1 / 2, 2.0]))


def test_another_text_is_as_far_as_maxsim_says_both_ways():
    one, other = tokens([[[1.0, 0.0], [0.0, 1.0]]]), tokens([[[1.0, 0.0], [0.0, 0.0]]])
    # (1,0) and (0,1) find 1 and 0 in (1,0), which finds 1
    assert apart(one, other).item() == pytest.approx(1 - (1 / 2 + 1) / 2)
    assert apart(one[:, 0], other[:, 0]).item() == pytest.approx(0)  # vectors: by cosine


def test_the_query_asks_whichever_side_is_the_anchor():
    q, d, t = tokens(ASKING), tokens(ANSWERING[:2]), tokens(ASKING)
    loss = ObjectiveLoss(nn.Identity(), {"reverse": 1.0}, scale=1.0, similarity_fct=mean_maxsim)
    value = loss.compute_loss_from_embeddings([q, d, t])
    # t d^T = [[1/2, 1/2], [h, h]]: for a passage the target queries have 1/2 and h
    logs = torch.tensor([[1 / 2, HALF], [1 / 2, HALF]]).log_softmax(dim=1)
    assert value.item() == pytest.approx(-(logs[0, 0] + logs[1, 1]).item() / 2, abs=1e-6)


# -- what a model makes of texts --------------------------------------------------------------------------------


def test_tokens_come_first_and_padding_is_zero(late_model):
    model = late_model().eval()
    texts = ["amber", "cobalt delta ember"]
    found = embed(model, model.preprocess(texts, task="query") | {"task": "query"})
    for row, own in zip(found, model.encode_query(texts), strict=True):
        torch.testing.assert_close(row[: len(own)], own)
        assert not row[len(own) :].any()
    assert is_token(found).sum(dim=1).tolist() == [len(own) for own in model.encode_query(texts)]


def test_words_that_a_passage_skips_are_no_tokens_of_it(still_model_path):
    torch.manual_seed(3)
    model = MultiVectorEncoder(str(still_model_path), device="cpu")
    model[2].skiplist_words = ["a"]
    model[2].resolve_with_tokenizer(model.tokenizer)
    features = {task: model.preprocess(["a b a"], task=task) | {"task": task} for task in ("query", "document")}
    lengths = {task: int(is_token(embed(model, one)).sum()) for task, one in features.items()}
    assert lengths == {"query": 5, "document": 3}  # [CLS] a b a [SEP]
    assert is_token(embed(model, features["document"])).tolist() == [[True, True, True, False, False]]


def test_parts_of_different_width_are_joined():
    joined = join([tokens(ASKING), tokens([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])])
    assert is_token(joined).tolist() == [[True, True, False], [True, False, False], [True, True, True]]
    assert join([torch.ones(2, 3), torch.ones(1, 3)]).shape == (3, 3)


# -- caching and packing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [*OBJECTIVES, {"consistency": 1.0}, {"retain": 1.0}], ids=str)
def test_cached_and_packed_equal_plain(late_model, batch, objective):
    model = late_model()
    features = batch(model)
    losses = [
        ObjectiveLoss(model, objective, packing=False),
        ObjectiveLoss(model, objective),
        CachedObjectiveLoss(model, objective, mini_batch_size=2, memory_budget=0),
        CachedObjectiveLoss(model, objective, mini_batch_num_tokens=9, memory_budget=300_000),
    ]
    nudge(model)
    plain, *others = [gradients(loss, features) for loss in losses]
    for other in others:
        assert plain.keys() == other.keys()
        for name, value in plain.items():
            torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_queries_and_passages_are_packed_apart_and_each_distinct_text_once(late_model, batch):
    features = batch(late_model())
    plan = plan_batch(features)
    texts = [
        len({tuple(row) for one in side for row in one["input_ids"].tolist()})
        for side in ([features[0]], [features[1]])
    ]
    assert [len(pack) for pack in plan.packs] == [15, 8]  # rows 0 and 1 share their passage, a negative of row 2
    assert texts == [5, 4]
    assert [pack.features["task"] for pack in plan.packs] == ["query", "document"]


def test_words_put_behind_a_query_are_kept(still_model_path, batch):
    torch.manual_seed(3)
    model = MultiVectorEncoder(str(still_model_path), device="cpu").double()
    model[0].query_expansion = {"strategy": "fixed", "attend": False, "length": 24, "token": None}
    features = batch(model)
    assert len(plan_batch(features).packs) == len(features)  # the mask does not tell their lengths: not packed
    columns = CachedObjectiveLoss(model, "hybrid", mini_batch_size=2, memory_budget=0)
    plain = gradients(ObjectiveLoss(model, "hybrid"), features)
    for name, value in gradients(columns, features).items():
        torch.testing.assert_close(value, plain[name], atol=1e-6, rtol=1e-6)
    assert is_token(embed(model, dict(features[0]))).sum(dim=1).tolist() == [24] * 5


def test_the_scale_is_found_with_maxsim(late_model):
    model = late_model()
    words = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron")
    queries = [f"{one} {other}" for one in words for other in words[:5]]
    passages = [f"about {query} and more" for query in queries]
    sides = [
        pad_sequence(encode(texts), batch_first=True)
        for encode, texts in ((model.encode_query, queries), (model.encode_document, passages))
    ]
    expected = fit_scale(*sides, list(zip(queries, passages, strict=True)))
    assert best_scale(model, queries, passages) == expected.scale
    assert expected.pairs == 40


# -- several processes ------------------------------------------------------------------------------------------

WORKER = """
import json, sys
import torch, torch.distributed as dist
from clearir.losses.embeddings import as_wide_everywhere
rank, out = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=2)
shape = list(as_wide_everywhere(torch.ones(2, 3 + rank, 4)).shape)
open(f"{out}/{rank}.json", "w").write(json.dumps(shape))
dist.barrier()
dist.destroy_process_group()
"""


def test_processes_make_their_token_vectors_equally_wide(tmp_path):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    started = [subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=env) for rank in (0, 1)]
    assert [one.wait(timeout=600) for one in started] == [0, 0]
    assert [json.loads(Path(tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)] == [[2, 4, 4]] * 2
    vectors = torch.ones(2, 4)
    assert as_wide_everywhere(vectors) is vectors
