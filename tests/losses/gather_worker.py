"""One process of two-process steps: python gather_worker.py MODEL TEXTS.json OUT.pt; the rank is in RANK.

Every way of `WAYS` is a step of a fresh DistributedDataParallel model; rank 0 writes the loss, the gradients and the
number of forward passes of each. One pair of processes does them all, since starting one takes seconds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from sentence_transformers import SentenceTransformer
from torch.nn.parallel import DistributedDataParallel

from clearir import CachedCLEARLoss, CLEARLoss

WAYS = {
    "plain": None,
    "replay all": {"memory_budget": 0},
    "keep some": {"memory_budget": 600_000},
    "keep all but the last": {"memory_budget": 1 << 40},
    "accumulate": {"memory_budget": 600_000},
    "static graph": {"memory_budget": 1 << 40},
}


def step(way: str, model: SentenceTransformer, features: list[dict], world: int) -> dict[str, object]:
    static = way == "static graph"
    # As the Trainer does it, or with a static graph.
    parallel = DistributedDataParallel(model, find_unused_parameters=not static, static_graph=static)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    if WAYS[way] is None:
        loss = CLEARLoss(model, gather_across_devices=True)
    else:
        loss = CachedCLEARLoss(model, gather_across_devices=True, mini_batch_size=2, **WAYS[way])
    loss.model = parallel
    if way == "accumulate":
        with parallel.no_sync():
            loss(features, None).backward()
    value = loss(features, None)
    value.backward()
    mean = value.detach().clone()
    dist.all_reduce(mean)
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"loss": mean / world, "gradients": gradients, "passes": len(passes)}


def main(model_path: str, texts: str, out: str) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    columns = json.loads(Path(texts).read_text())
    share = len(columns[0]) // world
    results = {}
    for way in WAYS:
        model = SentenceTransformer(model_path, device="cpu").double().eval()
        features = [model.preprocess(column[rank * share : (rank + 1) * share]) for column in columns]
        results[way] = step(way, model, features, world)
    if rank == 0:
        torch.save(results, out)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    main(*sys.argv[1:])
