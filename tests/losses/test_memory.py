from __future__ import annotations

import subprocess
import sys
import weakref

import psutil
import pytest
import torch
from torch import nn

from clearir.losses.graph_budget import GraphBudget, default_budget
from clearir.support.memory import _container_free, _glibc, free_memory


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


def test_free_memory_of_the_cpu_is_shared_among_local_processes(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    alone = free_memory(torch.device("cpu"))
    assert 0 < alone <= psutil.virtual_memory().total
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory(torch.device("cpu")) == pytest.approx(alone / 4, rel=0.3)  # others use the machine too
    assert default_budget(torch.device("cpu")) == pytest.approx(alone / 4 / 2, rel=0.3)


def test_on_an_unknown_device_nothing_is_free():
    assert free_memory(torch.device("meta")) == 0


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, []),
        ({"memory.max": "max\n", "memory.current": "70", "memory.stat": "anon 50\ninactive_file 20\n"}, []),
        (
            {"memory.max": "100\n", "memory.current": "70", "memory.stat": "anon 50\ninactive_file 20\n"},
            [100 - 70 + 20],
        ),
        (
            {
                "memory/memory.limit_in_bytes": "100",
                "memory/memory.usage_in_bytes": "120",
                "memory/memory.stat": "cache 3\ntotal_inactive_file 5\n",
            },
            [0],
        ),
    ],
)
def test_a_containers_limit_is_respected(tmp_path, files, free):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _container_free(tmp_path) == free


FAULTS = """
import resource, torch
from clearir.support.memory import _freed_and_kept, freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 << 20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages = (64 << 20) // resource.getpagesize()
with freed_memory_kept():
    assert min(faults() for _ in range(4)) < pages / 10
    assert _freed_and_kept() >= 64 << 20
faults()
assert faults() > pages / 10, "large blocks come from the system again"
"""


@pytest.mark.skipif(_glibc() is None, reason="no glibc 2.33 or later here")
def test_freed_memory_is_kept_in_the_block_and_handed_back_after_it():
    # In a process of its own: others have freed memory of theirs.
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


KERNEL_REFUSED = """
import resource

import psutil
import torch
from torch.nn.functional import gelu

from clearir.support.memory import is_out_of_memory, release_memory

ones = torch.ones(7, 17)
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms, before[1]))
try:
    gelu(ones)
except RuntimeError as error:
    resource.setrlimit(resource.RLIMIT_AS, before)
    assert is_out_of_memory(error), error
    release_memory(ones.device, str(error))
    print("refused, then", round(gelu(ones)[0, 0].item(), 4))
"""


def test_a_step_whose_kernel_was_refused_memory_is_done_without_onednn():
    """In a process of its own, where the kernel was never made."""
    done = subprocess.run([sys.executable, "-c", KERNEL_REFUSED], capture_output=True, text=True)
    if done.returncode == 0 and not done.stdout:
        pytest.skip("oneDNN makes no kernel of its own on this processor")
    assert done.stdout == "refused, then 0.8413\n", done.stderr  # the normal distribution up to 1
