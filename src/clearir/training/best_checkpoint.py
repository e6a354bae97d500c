"""Watch a training on development data, and keep the best checkpoint that keeps English.

At every checkpoint the dev rows are scored. Of the checkpoints whose bridge -> bridge score is at least a share of
the base model's, the one with the best mean of target query -> bridge passage is the model that comes out. Where none
is, or none finds more than the base, it is the base: `clearir.evaluation.merge_weight` may still find a mixture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from clearir.evaluation.merge_weight import Judged, best, bridge_passages, cross_and_bridge, judge
from clearir.support.artifacts import atomic_file, read_json, write_json
from clearir.support.errors import InputError
from clearir.training.checkpoints import load_trained, save_trained

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from clearir.evaluation.suites import Suite
    from clearir.models.prompts import Prompts

CHECKS = "checks.json"


@dataclass(frozen=True)
class CheckpointScore(Judged):
    """What one checkpoint scores on the dev rows.

    Attributes:
        step: of the optimizer; 0 is the base.
    """

    step: int


class Watch(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Scores every checkpoint and puts the weights of the best aside.

    Args:
        network: the base model, which the training changes.
        suite: development data; the passages in the bridge language are ranked.
        bound: the least share of the base model's bridge -> bridge score.
        prompts: put before queries and passages.
        folder: of the checkpoints.
        resume: the checkpoint that the training goes on from.

    Raises:
        InputError: data without target queries or bridge queries.
    """

    def __init__(
        self,
        network: SentenceTransformer,
        suite: Suite,
        bound: float,
        prompts: Prompts,
        folder: Path,
        resume: Path | None,
    ) -> None:
        self._network, self._suite, self._bound = network, bridge_passages(suite), bound
        self._prompts, self._folder = prompts, folder
        if resume is not None and (resume / CHECKS).is_file():
            self.checks = [CheckpointScore(**one) for one in read_json(resume / CHECKS)]
        else:
            cross, bridge = cross_and_bridge(network, self._suite, prompts)
            self.checks = [CheckpointScore(0, cross=cross, bridge=bridge)]
            self._put_aside(0)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Score the checkpoint. Its mark of being whole comes after this."""
        if not state.is_world_process_zero:
            return
        before = best(self.checks)
        cross, bridge = cross_and_bridge(self._network, self._suite, self._prompts)
        check = CheckpointScore(state.global_step, cross=cross, bridge=bridge)
        self.checks.append(judge(check, self.checks[0], self._bound))
        chosen = best(self.checks)
        if chosen.step == state.global_step:
            self._put_aside(chosen.step)
        # The one before may be asked for again, if the run is killed before this checkpoint is whole.
        for file in self._folder.glob("best-*.safetensors"):
            if file not in (self._file(before.step), self._file(chosen.step)):
                file.unlink()
        write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / CHECKS, [asdict(c) for c in self.checks])

    def take_best(self) -> int:
        """Give the network the weights of the best checkpoint.

        Returns:
            its step.
        """
        chosen = best(self.checks)
        load_trained(self._network, self._file(chosen.step))
        return chosen.step

    def _put_aside(self, step: int) -> None:
        with atomic_file(self._file(step)) as temporary:
            save_trained(self._network, temporary)

    def _file(self, step: int) -> Path:
        return self._folder / f"best-{step}.safetensors"


def no_dev_rows(what: str) -> InputError:
    """What to raise where a setting needs dev rows, and a recipe holds none out."""
    return InputError(f"{what} is judged on dev rows, and none are held out; add data.dev=0.1, or leave {what} out")


def no_whole_model() -> InputError:
    """What to raise where a setting needs the whole model, and the processes share it."""
    return InputError(
        "train.retention is judged by one process, and under FSDP none has the whole model; leave train.retention out, "
        "or start with recipes/accelerate/ddp.yaml"
    )
