"""Gradients of embedding tables, held back over several chunks: the same sum, made once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearir import CachedCLEARLoss
from clearir.losses.embedding_tables import TableGradients

CHUNKS = [torch.tensor([[1, 2], [2, 3]]), torch.tensor([[2, 9]]), torch.tensor([[1, 1], [4, 0]])]


@pytest.fixture
def table() -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(10, 3, padding_idx=0)


def backward_of(table: nn.Embedding, held: TableGradients) -> int:
    """Chunk ``k`` of `CHUNKS` backward with a gradient of ``k + 1`` everywhere; how often the table got something."""
    times = []
    hook = table.weight.register_post_accumulate_grad_hook(lambda _: times.append(1))
    for factor, ids in enumerate(CHUNKS, 1):
        with held.held_back():
            vectors = table(ids)
        vectors.backward(torch.full_like(vectors, factor))
    held.send()
    hook.remove()
    return len(times)


def test_a_table_gets_the_sum_of_all_chunks_once(table):
    assert backward_of(table, TableGradients(table)) == 1
    expected = torch.zeros(10, 3)  # of each word: the numbers of the chunks that it stands in; 0 is padding
    expected[1], expected[2], expected[3], expected[4], expected[9] = 1 + 3 + 3, 1 + 1 + 2, 1, 3, 2
    torch.testing.assert_close(table.weight.grad, expected)


def test_what_waits_is_never_more_than_the_table(table):
    times, held = [], TableGradients(table)
    table.weight.register_post_accumulate_grad_hook(lambda _: times.append(1))
    for ids in (torch.arange(6), torch.arange(6), torch.arange(5)):  # 6 + 6 > 10 vectors: sent
        with held.held_back():
            vectors = table(ids)
        vectors.sum().backward()
    assert len(times) == 1
    held.send()
    assert len(times) == 2
    assert table.weight.grad[:, 0].tolist() == [0, 3, 3, 3, 3, 2, 0, 0, 0, 0]


def test_nothing_is_sent_twice(table):
    held = TableGradients(table)
    backward_of(table, held)
    before = table.weight.grad.clone()
    held.send()
    torch.testing.assert_close(table.weight.grad, before)


def test_outside_the_block_the_table_is_as_it_was(table):
    held = TableGradients(table)
    with held.held_back():
        pass
    table(CHUNKS[0]).sum().backward()
    assert table.weight.grad is not None


def test_a_chunk_with_more_words_than_the_table_goes_its_own_way(table):
    held = TableGradients(table)
    with held.held_back():
        vectors = table(torch.ones(10, dtype=torch.int64))
    vectors.sum().backward()
    assert table.weight.grad[1].tolist() == [10, 10, 10]


@pytest.mark.parametrize("kind", [{"sparse": True}, {"scale_grad_by_freq": True}, {"max_norm": 1.0}])
def test_tables_with_rules_of_their_own_are_left_alone(kind):
    table = nn.Embedding(10, 3, **kind)
    assert backward_of(table, TableGradients(table)) == len(CHUNKS)


def test_a_frozen_table_stays_frozen(table):
    table.weight.requires_grad_(False)
    held = TableGradients(table)
    with held.held_back():
        assert not table(CHUNKS[0]).requires_grad
    held.send()
    assert table.weight.grad is None


def test_a_compiled_model_is_left_alone(table):
    compiled = nn.Sequential(table)
    compiled.compile(backend="eager")
    assert backward_of(table, TableGradients(compiled)) == len(CHUNKS)


@pytest.mark.parametrize("budget", [0, 1 << 40])
def test_a_cached_batch_reaches_the_words_once(tiny_model, features, columns, budget):
    model = tiny_model(torch.float64)
    words = model[0].auto_model.get_input_embeddings()
    words.weight = nn.Parameter(torch.cat([words.weight, torch.zeros(10_000, 16, dtype=torch.float64)]))
    words.num_embeddings = len(words.weight)
    times = []
    words.weight.register_post_accumulate_grad_hook(lambda _: times.append(1))
    loss = CachedCLEARLoss(model, mini_batch_size=2, memory_budget=budget)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    loss(features(model, columns(10, 1, 1)), None).backward()
    assert len(passes) > 4
    assert len(times) == 1
    assert words.weight.grad.abs().max() > 1e-6
