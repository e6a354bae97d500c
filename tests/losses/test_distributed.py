"""Negatives across processes, with real gloo processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from gather_worker import clear_plus

from clearir import CLEARLoss

WORKER = Path(__file__).with_name("gather_worker.py")
FSDP_WORKER = WORKER.with_name("fsdp_worker.py")
WORLDS = (2, 4)


def test_several_processes_equal_one_with_the_whole_batch(tiny_model, tiny_model_path, features, columns, tmp_path):
    texts = columns(16, 1, 1)
    texts[1][12] = texts[1][2]  # a shared passage across the processes
    # The last rows are short: the processes cut their shares into different numbers of chunks.
    texts = [[text if row < 13 else text.split()[0] for row, text in enumerate(column)] for column in texts]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    arguments = [tiny_model_path, tmp_path / "texts.json", tmp_path, *map(str, WORLDS)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, WORKER, *arguments], check=True, env=env, timeout=900)

    alone = {}
    for name, make in {"clear": CLEARLoss, "clear-plus": partial(clear_plus, gather=False)}.items():
        model = tiny_model(torch.float64).eval()
        value = make(model)(features(model, texts), None)
        value.backward()
        one = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        assert max(grad.abs().max() for grad in one.values()) > 1e-3
        alone[name] = value.detach(), one
    for world in WORLDS:
        ways = torch.load(tmp_path / f"{world}.pt", weights_only=True)
        for way, several in ways.items():
            value, one = alone.get(way, alone["clear"])
            assert one.keys() == several["gradients"].keys()
            times = 2 if way == "accumulate" else 1
            where = f"{world} processes, {way}: {{}}".format
            torch.testing.assert_close(several["loss"], value, atol=1e-9, rtol=0, msg=where)
            for name in one:
                torch.testing.assert_close(
                    several["gradients"][name], times * one[name], atol=1e-9, rtol=1e-6, msg=where
                )

        passes = {way: several["passes"] for way, several in ways.items()}
        chunks = [replayed // 2 for replayed in passes["replay all"]]
        assert min(chunks) > 3
        assert max(chunks) > min(chunks)
        assert world == 2 or max(passes["plain"]) > min(passes["plain"])
        assert passes["static graph"] == [2 * number for number in chunks]
        assert chunks[0] + 1 < passes["keep some"][0] < 2 * chunks[0]
        assert passes["accumulate"][0] == 2 * passes["keep some"][0]
        # The replay of the last synchronises.
        assert passes["keep all but the last"] == [number + 1 for number in chunks]


def test_two_processes_that_share_a_model_by_fsdp_equal_one_that_has_it(
    tiny_model, tiny_model_path, features, columns, tmp_path
):
    texts = columns(16, 1, 1)
    texts[1][12] = texts[1][2]  # a shared passage across the processes
    # The second process has short texts, and repeated ones: packed, they would be fewer passes than the first has.
    texts = [[text if row < 8 else text.split()[0] for row, text in enumerate(column)] for column in texts]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    arguments = [tiny_model_path, tmp_path / "texts.json", tmp_path]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, FSDP_WORKER, *arguments], check=True, env=env, timeout=600)

    model = tiny_model(torch.float64).eval()
    value = CLEARLoss(model)(features(model, texts), None)
    value.backward()
    one = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert max(grad.abs().max() for grad in one.values()) > 1e-3
    ways = torch.load(tmp_path / "fsdp.pt", weights_only=True)
    for way, several in ways.items():
        torch.testing.assert_close(several["loss"], value.detach(), atol=1e-9, rtol=0, msg=f"{way}: {{}}".format)
        gradients = several["gradients"]
        assert all(not gradient.any() for name, gradient in gradients.items() if name not in one), way
        for name, gradient in one.items():
            where = f"{way}, {name}: {{}}".format
            torch.testing.assert_close(gradients[name], gradient, atol=1e-9, rtol=1e-6, msg=where)
    # 5 columns of 8 rows: a pass a column, or 3 mini-batches a column, twice; the same in both processes.
    passes = {way: several["passes"] for way, several in ways.items()}
    assert passes == {"plain": [5, 5], "cached": [30, 30], "cached, much memory": [30, 30]}
