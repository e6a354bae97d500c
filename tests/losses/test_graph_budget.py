from __future__ import annotations

import weakref

import torch
from torch import nn

from clearir.losses.graph_budget import GraphBudget


def test_counts_what_autograd_saves_without_parameters():
    torch.manual_seed(0)
    layer = nn.Linear(8, 4)
    x = torch.randn(3, 8)
    budget = GraphBudget(layer.parameters(), 1000)
    with budget.counting(tokens=3, width=1) as fits:
        y = layer(layer(x).sigmoid().repeat(1, 2)).sigmoid()
    # float32: x (3, 8) for the weight, sigmoid (3, 4), its repetition (3, 8) for the weight, sigmoid (3, 4);
    # the weight itself, saved for the second layer's input, is a parameter.
    assert 1000 - budget.left == 4 * (3 * 8 + 3 * 4 + 3 * 8 + 3 * 4)
    assert fits == [True]
    y.sum().backward()
    assert layer.weight.grad is not None


def test_a_storage_counts_once_over_all_kept_graphs():
    weight = torch.ones(5, requires_grad=True)
    x = torch.ones(5)
    budget = GraphBudget([weight], 1000)
    for _ in range(2):
        with budget.counting(5, 5):
            weight * x
    assert budget.left == 1000 - 5 * 4


def test_a_graph_that_holds_too_much_is_not_taken_off():
    weight = torch.ones(5, requires_grad=True)
    budget = GraphBudget([weight], 19)
    with budget.counting(5, 5) as fits:
        weight * torch.ones(5)  # 20 bytes
    assert fits == [False]
    assert budget.left == 19


def test_the_next_chunk_is_foretold_from_the_last():
    weight = torch.ones(10, requires_grad=True)
    budget = GraphBudget([weight], 100)
    assert budget.has_room(10**9, 10**9)  # nothing known: it is tried
    with budget.counting(tokens=10, width=5):
        weight * torch.ones(10)  # 40 bytes for 10 tokens; 60 are left
    assert budget.has_room(tokens=15, width=5)  # 60
    assert not budget.has_room(tokens=16, width=5)
    assert budget.has_room(tokens=15, width=1)  # shorter texts: no more per token
    assert budget.has_room(tokens=10, width=7)  # 40 * 7 / 5 = 56
    assert not budget.has_room(tokens=10, width=8)  # 64


def test_no_budget_has_no_room_even_for_the_first():
    assert not GraphBudget([], 0).has_room(1, 1)


def test_counting_leaves_no_cycle_that_keeps_a_graph_alive():
    class Mark:
        pass

    weight = torch.ones(1000, requires_grad=True)
    budget = GraphBudget([weight], 10**6)
    with budget.counting(1, 1):
        y = weight.exp()  # saves its own result
    mark = Mark()
    y.grad_fn.metadata["mark"] = mark
    alive = weakref.ref(mark)
    del mark
    assert alive() is not None
    del y
    assert alive() is None
