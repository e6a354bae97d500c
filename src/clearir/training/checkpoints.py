"""Checkpoints of a training: the weights in them, which are whole, and of which settings.

```
<work>/<fingerprint of what they depend on>/asked.json         what they depend on
<work>/<fingerprint>/checkpoint-50/                            as the Trainer writes it
<work>/<fingerprint>/checkpoint-50/whole                       once all else of it is on the disk
```
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.support import processes
from clearir.support.artifacts import differences, read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import TrainerCallback

WHOLE = "whole"
ASKED = "asked.json"


def save_trained(model: nn.Module, file: Path) -> None:
    """Write what a training changes of a model: not the parameters that are frozen."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in _trained(model).items()}, str(file))


def load_trained(model: nn.Module, file: Path) -> None:
    """The inverse of `save_trained`.

    Raises:
        ValueError: the file is of another model, or of one of which other parameters were trained.
    """
    from safetensors.torch import load_file

    state = load_file(str(file))
    if state.keys() != _trained(model).keys():
        raise ValueError(f"{file} does not hold what is trained of this model")
    model.load_state_dict(state, strict=False)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """Parameters that are trained, each by one name, and buffers."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = model.state_dict()
    return {name: tensor for name, tensor in state.items() if name in trained or name not in parameters}


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was written after."""
    return int(checkpoint.name.rpartition("-")[2])


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; those that were not are removed."""
    whole = []
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=step_of):
        if _is_whole(checkpoint):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return whole[-1] if whole else None


def _is_whole(checkpoint: Path) -> bool:
    """Marked, and no file of it cut off since: the power may fail before the disk has written what it took."""
    if not (checkpoint / WHOLE).is_file():
        return False
    sizes = read_json(checkpoint / WHOLE).get("sizes", {})
    files = ((checkpoint / name, size) for name, size in sizes.items())
    return all(file.is_file() and file.stat().st_size == size for file, size in files)


def of_other_settings(folder: Path) -> str | None:
    """What to say of a whole checkpoint beside ``folder`` that a training with other settings left, if there is one."""
    marks = folder.parent.glob(f"*/checkpoint-*/{WHOLE}")
    others = [mark for mark in marks if (mark.parents[1] / ASKED).is_file() and mark.parents[1] != folder]
    if not others:
        return None
    newest = max(others, key=lambda mark: mark.stat().st_mtime)
    changed = differences(read_json(newest.parents[1] / ASKED), read_json(folder / ASKED))
    return f"the checkpoint of step {step_of(newest.parent)} is of other settings ({changed})"


def seconds_before(checkpoint: Path | None) -> float:
    """How long the training had taken when a checkpoint was written."""
    return float(read_json(checkpoint / WHOLE)["seconds"]) if checkpoint else 0.0


def mark_whole(seconds: Callable[[], float]) -> TrainerCallback:
    """A callback that marks each checkpoint.

    Args:
        seconds: how long the training has taken.
    """
    from transformers import TrainerCallback

    class MarkWhole(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """A checkpoint is written file by file; the mark comes after all of them."""

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            processes.wait()
            if processes.is_first():
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                # The random states are each process's own, and may be written later.
                files = [one for one in folder.iterdir() if one.is_file() and not one.name.startswith("rng_state")]
                sizes = {one.name: one.stat().st_size for one in files}
                write_json(folder / WHOLE, {"seconds": seconds(), "sizes": sizes})

    return MarkWhole()
