"""One process of a two-process step: python gather_worker.py MODEL TEXTS.json OUT.pt CACHED; the rank is in RANK."""

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


def main(model_path: str, texts: str, out: str, cached: str) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    columns = json.loads(Path(texts).read_text())
    share = len(columns[0]) // world
    model = SentenceTransformer(model_path, device="cpu").double().eval()
    features = [model.preprocess(column[rank * share : (rank + 1) * share]) for column in columns]
    parallel = DistributedDataParallel(model, find_unused_parameters=True)  # as the Trainer does it
    if cached == "cached":
        loss = CachedCLEARLoss(model, gather_across_devices=True, mini_batch_size=2)
    else:
        loss = CLEARLoss(model, gather_across_devices=True)
    loss.model = parallel
    value = loss(features, None)
    value.backward()
    mean = value.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        torch.save({"loss": mean / world, **gradients}, out)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    main(*sys.argv[1:])
