"""Keeping graphs within a budget of bytes: same gradients, fewer forward passes, no more memory than allowed."""

from __future__ import annotations

import psutil
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertModel

from clearir import CachedCLEARLoss, CLEARLoss

# The graphs of the batch below hold about 8 MB in float64, all together: 3 to 5 kB a token.
SOME = 1_500_000
AMPLE = 1 << 40
BUDGETS = [0, SOME, AMPLE]


@pytest.fixture
def model(tiny_model):
    return tiny_model(torch.float64, dropout=0.2).train()


@pytest.fixture
def batch(model, features, columns):
    return features(model, columns(10, 1, 1))


def gradients(model, backward) -> dict[str, torch.Tensor]:
    """What ``backward()`` adds up, from the same random state each time, with the number of forward passes."""
    model.zero_grad()
    torch.manual_seed(1)
    passes = []
    hook = model.register_forward_hook(lambda *_: passes.append(1))
    loss = backward()
    hook.remove()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert any(grad.abs().max() > 1e-6 for grad in grads.values()), "a comparison of zeros shows nothing"
    return {**grads, "loss": loss.detach(), "passes": torch.tensor(len(passes))}


def once(loss, batch, factor=1.0):
    def backward():
        value = loss(batch, None)
        (value * factor).backward()
        return value

    return backward


def assert_same(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one.keys() - {"passes"}:
        torch.testing.assert_close(one[name], other[name], atol=1e-9, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def cached(model, budget, **settings) -> CachedCLEARLoss:
    return CachedCLEARLoss(model, mini_batch_size=2, memory_budget=budget, **settings)


@pytest.fixture
def plain(model, batch, monkeypatch):
    """The plain loss over the same chunks, so that dropout draws the same masks."""
    monkeypatch.setattr("clearir.losses.base.TEXTS_A_CHUNK", 2)
    return lambda wrap=lambda loss: loss: gradients(model, once(wrap(CLEARLoss(model)), batch))


@pytest.mark.parametrize("budget", [*BUDGETS, None])
def test_gradients_are_the_same_at_any_budget_with_dropout(model, batch, plain, budget):
    expected = plain()
    result = gradients(model, once(cached(model, budget), batch))
    assert_same(expected, result)
    chunks, passes = expected["passes"], result["passes"]
    assert chunks > 4
    if budget == 0:
        assert passes == 2 * chunks
    elif budget == SOME:
        assert chunks + 1 < passes < 2 * chunks - 1
    else:  # on this machine half of the free memory is ample too
        assert passes == chunks


@pytest.mark.parametrize("budget", BUDGETS)
def test_columns_by_themselves_keep_graphs_too(model, batch, budget):
    model.eval()
    expected = gradients(model, once(CLEARLoss(model, packing=False), batch))
    result = gradients(model, once(cached(model, budget, packing=False), batch))
    assert_same(expected, result)
    chunks = 5 * 5  # five columns of ten texts, two at a time
    assert (result["passes"] < 2 * chunks) == (budget > 0)


@pytest.mark.parametrize("budget", BUDGETS)
def test_inside_matryoshka(model, batch, plain, budget):
    def wrap(loss):
        return MatryoshkaLoss(model, loss, [16, 8], [1, 0.3])

    model.eval()
    assert_same(plain(wrap), gradients(model, once(wrap(cached(model, budget)), batch)))


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_gradient_of_the_loss_scales_all_chunks(model, batch, plain, budget):
    expected = plain()
    result = gradients(model, once(cached(model, budget), batch, factor=3.0))
    for name in expected.keys() - {"loss", "passes"}:
        torch.testing.assert_close(result[name], 3 * expected[name], atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("budget", BUDGETS)
def test_two_forward_passes_before_one_backward_pass(model, batch, features, columns, budget):
    other = features(model, columns(6, 1, 1, seed=5))

    def both(loss):
        def backward():
            value = loss(batch, None) + 2 * loss(other, None)
            value.backward()
            return value

        return backward

    model.eval()
    assert_same(gradients(model, both(CLEARLoss(model))), gradients(model, both(cached(model, budget))))


@pytest.mark.parametrize("budget", BUDGETS)
def test_gradients_accumulate(model, batch, features, columns, budget):
    other = features(model, columns(6, 1, 1, seed=5))

    def in_turn(loss):
        def backward():
            first, second = once(loss, batch, 0.5)(), once(loss, other, 0.5)()
            return first + second

        return backward

    model.eval()
    assert_same(gradients(model, in_turn(CLEARLoss(model))), gradients(model, in_turn(cached(model, budget))))


def test_a_kept_graph_goes_backward_once(model, batch):
    value = cached(model, AMPLE)(batch, None)
    value.backward()
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


def test_frozen_parameters_stay_without_gradient(model, batch, plain):
    model[0].auto_model.embeddings.requires_grad_(False)
    result = gradients(model, once(cached(model, SOME), batch))
    assert_same(plain(), result)
    assert not any("embeddings" in name for name in result)


def test_under_gradient_checkpointing_no_graph_is_kept(model, batch, plain):
    expected = plain()
    model[0].auto_model.gradient_checkpointing_enable({"use_reentrant": False})
    result = gradients(model, once(cached(model, AMPLE), batch))
    assert_same(expected, result)
    assert result["passes"] == 2 * expected["passes"]


def test_a_budget_below_nothing_is_refused(model):
    with pytest.raises(ValueError, match="memory_budget=-1"):
        cached(model, -1)
    assert cached(model, 5).get_config_dict()["memory_budget"] == 5


def test_peak_memory_stays_within_the_budget(tiny_model_path):
    """Resident memory, read after each forward pass: a budget holds it down, an ample one does not."""
    transformer = Transformer(str(tiny_model_path), max_seq_length=64)
    config = transformer.auto_model.config
    config.hidden_size, config.num_attention_heads, config.intermediate_size = 128, 2, 512
    transformer.model = BertModel(config)
    model = SentenceTransformer(modules=[transformer, Pooling(128, "mean")], device="cpu").train()
    texts = [[f"{column} {row} {'x' * 40}" for row in range(64)] for column in range(3)]
    batch = [model.preprocess(column) for column in texts]
    process = psutil.Process()

    def peak(budget: int) -> int:
        sizes = []
        hook = model.register_forward_hook(lambda *_: sizes.append(process.memory_info().rss))
        CachedCLEARLoss(model, memory_budget=budget)(batch, None).backward()
        hook.remove()
        return max(sizes)

    megabyte = 2**20
    none = peak(0)  # one chunk's graph, gradients, buffers of the libraries
    # In this order, since what a process has freed it may keep. Allowed besides: fragments.
    assert peak(50 * megabyte) - none < (50 + 20) * megabyte
    assert peak(1 << 40) - none > 120 * megabyte


@pytest.mark.parametrize("packing", [True, False])
def test_mini_batches_shrink_down_to_one_text(tiny_model, features, columns, packing):
    model = tiny_model(torch.float64, dropout=0.0).train()
    batch = features(model, columns(10, 1, 1))
    loss = CachedCLEARLoss(model, mini_batch_size=8, packing=packing)
    assert loss.shrink_mini_batch() is None, "no batch has been seen"
    wanted = gradients(model, once(loss, batch))
    sizes = []
    while (changed := loss.shrink_mini_batch()) is not None:
        assert changed.pop("memory_budget") == loss.memory_budget == 0
        ((name, size),) = changed.items()
        assert name == ("mini_batch_num_tokens" if packing else "mini_batch_size")
        sizes.append(size)
        found = gradients(model, once(loss, batch))
        assert found["passes"] >= wanted["passes"]
        assert_same(found, wanted)
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == len(set(sizes)) >= 3, "halved until the longest text goes by itself"
