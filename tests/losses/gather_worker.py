"""Steps of several processes: python gather_worker.py MODEL TEXTS.json OUT PROCESSES...

Every way of `WAYS` is a step of a fresh DistributedDataParallel model; rank 0 writes the loss, the gradients and the
numbers of forward passes of each process to OUT/PROCESSES.pt. The processes are forks of this one, since importing
takes seconds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from sentence_transformers import SentenceTransformer
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from clearir import CachedCLEARLoss, CLEARLoss, ObjectiveLoss

WAYS = {
    "plain": None,
    "plain, static graph": None,
    "plain, all used": None,
    "replay all": {"memory_budget": 0},
    "keep some": {"memory_budget": 600_000},
    "keep all but the last": {"memory_budget": 1 << 40},
    "accumulate": {"memory_budget": 600_000},
    "static graph": {"memory_budget": 1 << 40},
    "clear-plus": None,
}


def clear_plus(model: SentenceTransformer, gather: bool) -> ObjectiveLoss:
    """The loss of a model that has moved since."""
    loss = ObjectiveLoss(model, "clear-plus", gather_across_devices=gather)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.1
    return loss


def step(way: str, model: SentenceTransformer, features: list[dict]) -> dict[str, object]:
    static = "static graph" in way
    # As the Trainer does it, with a static graph, or as one does who knows that every parameter is used.
    find_unused = not static and "all used" not in way
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "pooler" not in name or find_unused
    if way == "clear-plus":
        loss = clear_plus(model, gather=True)
    elif WAYS[way] is None:
        loss = CLEARLoss(model, gather_across_devices=True)
    else:
        loss = CachedCLEARLoss(model, gather_across_devices=True, mini_batch_size=2, **WAYS[way])
    loss.model = parallel = DistributedDataParallel(model, find_unused_parameters=find_unused, static_graph=static)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    if way == "accumulate":
        with parallel.no_sync():
            loss(features, None).backward()
    return outcome(model, loss(features, None), passes)


def outcome(model: SentenceTransformer, value: torch.Tensor, passes: list[int]) -> dict[str, object]:
    """The backward pass of a loss, and what it gave in all processes; gradients that FSDP shares are put together."""
    value.backward()
    world = dist.get_world_size()
    mean = value.detach().clone()
    dist.all_reduce(mean)
    counts: list[int] = [0] * world
    dist.all_gather_object(counts, len(passes))
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    whole = {name: grad.full_tensor() if isinstance(grad, DTensor) else grad for name, grad in gradients.items()}
    return {"loss": mean / world, "gradients": whole, "passes": counts}


def main(rank: int, world: int, model_path: str, texts: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{out}/{world}.rendezvous", rank=rank, world_size=world)
    columns = json.loads(Path(texts).read_text())
    share = len(columns[0]) // world
    results = {}
    for way in WAYS:
        model = SentenceTransformer(model_path, device="cpu").double().eval()
        features = [model.preprocess(column[rank * share : (rank + 1) * share]) for column in columns]
        results[way] = step(way, model, features)
    if rank == 0:
        torch.save(results, f"{out}/{world}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    model_path, texts, out, *worlds = sys.argv[1:]
    for world in map(int, worlds):
        torch.multiprocessing.start_processes(main, (world, model_path, texts, out), world, start_method="fork")
