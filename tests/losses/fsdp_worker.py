"""Steps of two processes that share a model by FSDP2: python fsdp_worker.py MODEL TEXTS.json OUT

Each of `WAYS` is a step of a fresh model; the first process writes losses, gradients and the numbers of forward passes
of each process to OUT/fsdp.pt. The processes are forks of this one, since importing takes seconds.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from gather_worker import outcome  # beside this script
from sentence_transformers import SentenceTransformer
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from clearir import CachedCLEARLoss, CLEARLoss

WORLD = 2
WAYS = {
    "plain": lambda model: CLEARLoss(model, gather_across_devices=True),
    "cached": lambda model: CachedCLEARLoss(model, gather_across_devices=True, mini_batch_size=3),
    "cached, much memory": lambda model: CachedCLEARLoss(
        model, gather_across_devices=True, mini_batch_size=3, memory_budget=1 << 40
    ),
}


def step(way: str, model_path: str, columns: list[list[str]]) -> dict[str, object]:
    model = SentenceTransformer(model_path, device="cpu").double().eval()
    features = [model.preprocess(column) for column in columns]
    mesh = init_device_mesh("cpu", (WORLD,))
    for layer in model[0].auto_model.encoder.layer:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    return outcome(model, WAYS[way](model)(features, None), passes)


def main(rank: int, model_path: str, texts: str, out: str) -> None:
    # A process that waits for one that does not come is an error, and soon.
    dist.init_process_group(
        "gloo", init_method=f"file://{out}/rendezvous", rank=rank, world_size=WORLD, timeout=timedelta(minutes=3)
    )
    columns = json.loads(Path(texts).read_text())
    share = len(columns[0]) // WORLD
    mine = [column[rank * share : (rank + 1) * share] for column in columns]
    results = {way: step(way, model_path, mine) for way in WAYS}
    if rank == 0:
        torch.save(results, f"{out}/fsdp.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.multiprocessing.start_processes(main, tuple(sys.argv[1:]), WORLD, start_method="fork")
