"""The Trainer of `clearir.training.train`: what goes wrong in a step ends in one clear message, or not at all.

A loss or gradient that is not finite stops the run before the optimizer writes it into the weights. A batch that does
not fit in memory is done again in smaller mini-batches (cached losses). The log, and with it the trackers of
``train.report_to``, gets the terms of the loss beside the loss.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, CrossEncoderTrainer, SentenceTransformer, SentenceTransformerTrainer
from sentence_transformers.base.data_collator import BaseDataCollator
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.base.trainer import BaseTrainer
from torch import Tensor, nn
from torch.utils.checkpoint import get_device_states, set_device_states
from torch.utils.data import SequentialSampler

from clearir.data.rows import Row
from clearir.settings import TrainSettings
from clearir.support import processes
from clearir.support.errors import ClearirError, first_line
from clearir.support.memory import is_out_of_memory, release_memory
from clearir.support.texts import clip
from clearir.training.batches import steps_of
from clearir.training.checkpoints import last_whole_checkpoint, load_trained, save_trained

logger = logging.getLogger(__name__)

#: column of a row's place in the table; the collator takes it for a label, and the losses want none
ROW = "label"
WEIGHTS = "model.safetensors"
#: rows of a bad batch that are quoted, and characters of each
QUOTED, EXCERPT = 3, 60


class KnowsRows(BaseTrainer):  # type: ignore[misc, unused-ignore]
    """A trainer of sentence-transformers that knows the rows of each batch.

    Args:
        rows: the rows of ``train_dataset``, for messages.
        train_dataset: the columns that the loss takes.
        last_checkpoint: gives the newest whole checkpoint, for messages.
        others: see `SentenceTransformerTrainer`.
    """

    def __init__(self, *, rows: Sequence[Row], train_dataset: Dataset, last_checkpoint: Any, **others: Any) -> None:
        self._rows = rows
        self._last_checkpoint = last_checkpoint
        # The batches since the last step of the optimizer: inputs, random state before, loss.
        self._batches: list[tuple[dict[str, Any], _RandomState]] = []
        self._losses: list[Tensor] = []
        # Of the batches since the last entry of the log: their number, and the sum of each term of the loss.
        self._logged_batches = 0
        self._term_sums: defaultdict[str, float] = defaultdict(float)
        super().__init__(train_dataset=train_dataset.add_column(ROW, list(range(len(rows)))), **others)
        self._clip = self.accelerator.clip_grad_norm_
        self.accelerator.clip_grad_norm_ = self._clip_if_finite

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the card is ours, see `clearir.report.model_card`, and needs no statistics."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """What is trained, by the names that it has in training: a checkpoint is no model to be loaded."""
        if self.is_fsdp_enabled:
            super()._save(output_dir, state_dict)
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_trained(self.model, folder / WEIGHTS)

    def _load_from_checkpoint(self, checkpoint_path: str, *others: Any) -> None:
        """The inverse of `_save`."""
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(checkpoint_path, *others)
        else:
            load_trained(self.model, Path(checkpoint_path) / WEIGHTS)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward pass of a batch; again in smaller mini-batches where memory ends.

        The batches before it in the same step of the optimizer are done again too, as a backward pass that was broken
        off leaves half its gradients.

        Raises:
            ClearirError: not even the smallest mini-batch fits, or the loss has none.
        """
        self._batches.append((inputs, _RandomState(self.args.device)))
        todo, said = self._batches[-1:], ""
        while True:
            try:
                for batch, random_state in todo:
                    if said:
                        random_state.restore()
                    loss = super().training_step(model, batch, num_items_in_batch)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                cause = str(error)
                said = self._less_memory(error)
            # Outside of the handler, whose error holds on to the memory of the failed pass.
            todo = self._batches
            model.zero_grad(set_to_none=True)
            release_memory(self.args.device, cause)
        if said:
            logger.warning("%s", said)
        self._losses.append(loss)
        self._logged_batches += 1
        for name, value in cast(Any, self.loss).terms.items():
            self._term_sums[name] += float(value)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Beside the loss log its terms, also the mean of the batches since the last entry; trackers get them too."""
        if "loss" in logs and self._logged_batches:
            means = processes.mean([total / self._logged_batches for total in self._term_sums.values()])
            logs.update({name: round(mean, 5) for name, mean in zip(self._term_sums, means, strict=True)})
            self._term_sums.clear()
            self._logged_batches = 0
        super().log(logs, start_time)

    def _less_memory(self, error: BaseException) -> str:
        """Make mini-batches smaller; what to say about it."""
        step = self.state.global_step + 1
        if self.args.world_size > 1:
            # The others wait for this process's gradients; a second try would not meet them.
            raise ClearirError(
                f"step {step}: a batch does not fit in the memory of process {self.args.process_index}; with several "
                f"processes it is not tried again by itself: {self._advice()} ({first_line(error)})"
            )
        shrink = getattr(self.loss, "shrink_mini_batch", None)
        changed = None if shrink is None else shrink()
        if changed is None:
            why = "the loss is not cached" if shrink is None else "not even one text at a time"
            raise ClearirError(
                f"step {step}: a batch does not fit in memory ({why}); {self._advice()} ({first_line(error)})"
            )
        settings = " ".join(f"loss.{name}={value}" for name, value in changed.items())
        return (
            f"step {step}: a batch did not fit in memory and was done again in smaller mini-batches; so are all from "
            f"here on ({settings}): same gradients, more time"
        )

    def _advice(self) -> str:
        if not hasattr(self.loss, "shrink_mini_batch"):
            return "set loss.cached=true, or lower train.batch_size or train.max_seq_length"
        return "lower loss.mini_batch_size, loss.memory_budget or train.max_seq_length"

    def _clip_if_finite(self, *args: Any, **kwargs: Any) -> Any:
        """Clip the gradients before a step of the optimizer, which must not see numbers that are none."""
        norm = self._clip(*args, **kwargs)
        batches, losses = self._batches, torch.stack([loss.float() for loss in self._losses])
        self._batches, self._losses = [], []
        finite_losses = losses.isfinite().tolist()
        if not all(finite_losses):
            bad = [batch for (batch, _), finite in zip(batches, finite_losses, strict=True) if not finite]
            raise self._not_finite("loss", bad)
        if norm is not None and not torch.as_tensor(norm).isfinite() and not self._scale_can_fall():
            raise self._not_finite("gradient", [batch for batch, _ in batches])
        return norm

    def _scale_can_fall(self) -> bool:
        """Whether gradients in half precision overflow by their scale, which the scaler then lowers by itself."""
        scaler = self.accelerator.scaler
        return scaler is not None and scaler.is_enabled() and scaler.get_scale() > 1

    def _not_finite(self, what: str, batches: list[dict[str, Any]]) -> ClearirError:
        numbers = sorted({int(row) for batch in batches for row in batch[ROW]})
        quoted = "; ".join(f"row {number + 1}: {_excerpt(self._rows[number])}" for number in numbers[:QUOTED])
        checkpoint: Path | None = self._last_checkpoint()
        kept = "There is no checkpoint yet" if checkpoint is None else f"The last checkpoint is kept: {checkpoint}"
        return ClearirError(
            f"step {self.state.global_step + 1}: the {what} is not finite; stopped before it reached the weights. "
            f"Rows of the batch, numbered as in the table that training sees (mined/train.parquet of a recipe's "
            f"output): {', '.join(str(number + 1) for number in numbers)}. {quoted}. "
            f"Look at these rows, lower train.learning_rate, or set train.precision=fp32. {kept}"
        )


class Trainer(KnowsRows, SentenceTransformerTrainer):  # type: ignore[misc, unused-ignore]
    """Of models that have vectors of texts."""


class RerankerTrainer(KnowsRows, CrossEncoderTrainer):  # type: ignore[misc, unused-ignore]
    """Of rerankers, whose loss takes texts."""


class _RandomState:
    """What dropout draws from, to be put back."""

    def __init__(self, device: torch.device) -> None:
        self._cpu = torch.get_rng_state()
        on_gpu = [torch.empty(0, device=device)] if device.type == "cuda" else []
        self._devices, self._states = get_device_states(*on_gpu)

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        set_device_states(self._devices, self._states)


def _excerpt(row: Row) -> str:
    name = "" if row.query_id is None else f"[{row.query_id}] "
    query, target_query, passage = (clip(text, EXCERPT) for text in (row.query, row.target_query or "", row.passage))
    return f"{name}{query!r}, {target_query!r} -> {passage!r}"


class InOrder(DefaultBatchSampler):  # type: ignore[misc, unused-ignore]
    """Batches of rows as they stand, where their order was chosen (`clearir.training.batches.by_language`)."""

    def __init__(self, dataset: Dataset, **others: Any) -> None:
        super().__init__(cast(Any, SequentialSampler(cast(Any, dataset))), **others)


def make_trainer(
    network: SentenceTransformer | CrossEncoder,
    rows: Sequence[Row],
    dataset: Dataset,
    checkpoints: Path,
    settings: TrainSettings,
    loss: nn.Module,
    collator: BaseDataCollator,
    seed: int,
) -> KnowsRows:
    """A trainer that is ready to train; its checkpoints lie in ``checkpoints``."""
    from transformers import PrinterCallback

    bf16, fp16 = _half_precision(settings.precision)
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # of `accelerate launch`: the settings say it
    rare: dict[str, Any] = {"gradient_checkpointing": True} if settings.gradient_checkpointing else {}
    rare |= {"batch_sampler": InOrder} if settings.one_language_a_batch else {}
    kind: type[KnowsRows] = RerankerTrainer if isinstance(network, CrossEncoder) else Trainer
    arguments = kind.training_args_class(
        output_dir=str(checkpoints),
        max_steps=steps_of(settings, len(dataset), processes.count()),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=bf16,
        fp16=fp16,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=settings.log_steps,
        report_to=list(settings.report_to),
        disable_tqdm=True,
        seed=seed,
        data_seed=seed,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        dataloader_pin_memory=network.device.type != "cpu",
        use_cpu=network.device.type == "cpu",
        **rare,
    )

    trainer = kind(
        model=network,
        args=arguments,
        train_dataset=dataset,
        data_collator=collator,
        loss=loss,
        rows=rows,
        last_checkpoint=lambda: last_whole_checkpoint(checkpoints),
    )
    trainer.remove_callback(PrinterCallback)  # the library does not print
    return trainer


def _half_precision(precision: str) -> tuple[bool, bool]:
    import torch

    if precision != "auto":
        return precision == "bf16", precision == "fp16"
    if not torch.cuda.is_available():
        return False, False
    bf16 = torch.cuda.is_bf16_supported()
    return bf16, not bf16
