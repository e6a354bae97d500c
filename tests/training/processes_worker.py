"""Trainings of several processes: python processes_worker.py FOLDER MODEL

The processes of each of `RUNS` are forks of this one, since importing takes seconds, with the environment that
torchrun gives them. How each ended is in FOLDER/NAME.json: ``[exit code, what it said]`` by rank.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

import datasets  # noqa: F401  # imported here, so that not each of the processes does it
import torch
from test_train import PLAIN, SHORT, dev, sample
from tiny_bert import descend, end_in_step

import clearir.losses  # noqa: F401
from clearir.cli import app
from clearir.settings import LoraSettings, LossSettings
from clearir.support import processes
from clearir.training.batches import draw_rows
from clearir.training.train import train
from clearir.training.trainer import Trainer

CACHED = LossSettings(mini_batch_size=2, memory_budget=100_000)
# Where a checkpoint is chosen: of this training the best is neither the first nor the last.
CLEAR_CACHED, CLEAR_PLAIN = (one.model_copy(update={"objective": "clear"}) for one in (CACHED, PLAIN))
FOUR = SHORT.model_copy(update={"batch_size": 2, "learning_rate": 0.1})  # 4 x 2 rows a step, as one process with 8
TWO = FOUR.model_copy(update={"batch_size": 4})  # 2 x 4
ONE = FOUR.model_copy(update={"batch_size": 8})


def trained(name: str, settings, loss, rows: list, dev=None) -> None:
    def run(folder: Path, model: str) -> None:
        with processes.joined():
            train(rows, model, folder / name, settings, loss, work=folder / f".{name}", dev=dev)

    return run


def failing_first(folder: Path, model: str) -> None:
    sys.argv = ["clearir", "train", str(folder / "missing.yaml")]
    app.main()


def one_is_killed(folder: Path, model: str) -> None:
    """The second process dies in the middle; the first is to end by itself."""
    if not processes.is_first():
        end_in_step(6)
    resumed(folder, model)


def watched(folder: Path, model: str) -> None:
    """Notes when the first process begins and ends to score, and when each goes on with the training."""
    import clearir.training.best_checkpoint
    from clearir.training.trainer import Trainer

    notes: list[tuple[str, float]] = []
    score, step = clearir.training.best_checkpoint.cross_and_bridge, Trainer.training_step

    def slow_score(*arguments):
        notes.append(("scores", time.monotonic()))
        time.sleep(0.3)
        found = score(*arguments)
        notes.append(("has scored", time.monotonic()))
        return found

    def noted(work):
        def call(*arguments, **named):
            notes.append(("trains", time.monotonic()))
            return work(*arguments, **named)

        return call

    clearir.training.best_checkpoint.cross_and_bridge = slow_score
    Trainer.training_step, Trainer.train = noted(step), noted(Trainer.train)
    trained("watched", KEPT, CLEAR_CACHED, KEPT_ROWS, dev())(folder, model)
    (folder / f"watched-notes-{os.environ['RANK']}.json").write_text(json.dumps(notes))


def several(folder: Path, model: str) -> None:
    """What `processes` promises, without a training."""
    with processes.joined():
        assert processes.first_only(lambda: os.environ["RANK"]) == "0"
        assert processes.mean([float(os.environ["RANK"]), 5.0]) == [0.5, 5.0]
        processes.wait()


def of_steps(settings, processes: int, steps: int) -> tuple:
    settings = settings.model_copy(update={"max_steps": steps})
    return settings, draw_rows(sample(30), settings, 0, processes)


UNEVEN = sample(27)  # for 4 x 2 rows a step
LONG, LONG_ROWS = of_steps(TWO, 2, 12)
resumed = trained("killed", LONG, PLAIN, LONG_ROWS)
KEPT, KEPT_ROWS = of_steps(TWO.model_copy(update={"retention": 0.98}), 2, 8)
LORA = {"lora": LoraSettings(r=4)}
RUNS = {
    "several": (2, several),
    "two": (2, trained("two", TWO, CACHED, draw_rows(sample(30), TWO, 0, 2))),
    "one-as-two": (1, trained("one-as-two", ONE, PLAIN, draw_rows(sample(30), ONE, 0))),
    "lora": (2, trained("lora", TWO.model_copy(update=LORA), CACHED, draw_rows(sample(30), TWO, 0, 2))),
    "one-as-lora": (1, trained("one-as-lora", ONE.model_copy(update=LORA), PLAIN, draw_rows(sample(30), ONE, 0))),
    "four": (4, trained("four", FOUR, PLAIN, UNEVEN)),
    "one-as-four": (1, trained("one-as-four", ONE, PLAIN, [*UNEVEN, *UNEVEN[:5]])),
    "watched": (2, watched),
    "one-as-watched": (
        1,
        trained("one-as-watched", KEPT.model_copy(update={"batch_size": 8}), CLEAR_PLAIN, KEPT_ROWS, dev()),
    ),
    "failing": (2, failing_first),
    "one-is-killed": (2, one_is_killed),
    "resumed": (2, resumed),
    "one-as-resumed": (1, trained("one-as-resumed", LONG.model_copy(update={"batch_size": 8}), PLAIN, LONG_ROWS)),
}


def process(rank: int, world: int, port: int, folder: Path, model: str, name: str) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    said = (folder / f"{name}-{rank}.txt").open("w")
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    RUNS[name][1](folder, model)


def main(folder: Path, model: str) -> None:
    torch.set_num_threads(1)
    Trainer.create_optimizer = descend
    fork = multiprocessing.get_context("fork")
    for name, (world, _) in RUNS.items():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        ranks = [fork.Process(target=process, args=(rank, world, port, folder, model, name)) for rank in range(world)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(400)
        ended = [(rank.exitcode, (folder / f"{name}-{i}.txt").read_text()) for i, rank in enumerate(ranks)]
        (folder / f"{name}.json").write_text(json.dumps(ended))
        for rank in ranks:
            rank.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
