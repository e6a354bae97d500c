"""Negatives across processes, with real gloo processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from clearir import CLEARLoss

WORKER = Path(__file__).with_name("gather_worker.py")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_processes_equal_one_with_the_whole_batch(tiny_model, tiny_model_path, features, columns, tmp_path):
    texts = columns(8, 1, 1)
    texts[1][6] = texts[1][2]  # a shared passage across the processes
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    env = {**os.environ, "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    arguments = [tiny_model_path, tmp_path / "texts.json", tmp_path / "out.pt"]
    processes = [
        subprocess.Popen([sys.executable, WORKER, *arguments], env={**env, "RANK": str(rank)}) for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    ways = torch.load(tmp_path / "out.pt", weights_only=True)

    model = tiny_model(torch.float64).eval()
    loss = CLEARLoss(model)
    value = loss(features(model, texts), None)
    value.backward()
    one = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert max(grad.abs().max() for grad in one.values()) > 1e-3
    for way, two in ways.items():
        times = 2 if way == "accumulate" else 1
        torch.testing.assert_close(two["loss"], value.detach(), atol=1e-9, rtol=0, msg=lambda m, w=way: f"{w}: {m}")
        assert one.keys() == two["gradients"].keys()
        for name in one:
            torch.testing.assert_close(
                two["gradients"][name], times * one[name], atol=1e-9, rtol=1e-6, msg=lambda m, w=way: f"{w}: {m}"
            )

    passes = {way: two["passes"] for way, two in ways.items()}
    chunks = passes["replay all"] // 2
    assert chunks > 3
    assert passes["static graph"] == 2 * chunks
    assert chunks + 1 < passes["keep some"] < 2 * chunks
    assert passes["accumulate"] == 2 * passes["keep some"]
    assert passes["keep all but the last"] == chunks + 1  # the replay of the last synchronises
