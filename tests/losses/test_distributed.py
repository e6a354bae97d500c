"""Negatives across processes, with real gloo processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clearir import CLEARLoss


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("way", ["plain", "cached"])
def test_two_processes_equal_one_with_the_whole_batch(tiny_model, tiny_model_path, features, columns, tmp_path, way):
    texts = columns(8, 1, 1)
    texts[1][6] = texts[1][2]  # a shared passage across the processes
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    env = {**os.environ, "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    arguments = [tiny_model_path, tmp_path / "texts.json", tmp_path / "out.pt", way]
    processes = [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("gather_worker.py"), *arguments], env={**env, "RANK": str(rank)}
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    two = torch.load(tmp_path / "out.pt", weights_only=True)

    model = tiny_model(torch.float64).eval()
    loss = CLEARLoss(model)
    value = loss(features(model, texts), None)
    value.backward()
    torch.testing.assert_close(two.pop("loss"), value.detach(), atol=1e-9, rtol=0)
    one = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert one.keys() == two.keys()
    assert max(grad.abs().max() for grad in one.values()) > 1e-3
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-9, rtol=1e-6)
