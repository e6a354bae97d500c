"""Rows and settings -> SentenceTransformerTrainer -> a plain sentence-transformers folder.

```python
train(rows, "BAAI/bge-m3", Path("model"), TrainSettings(max_steps=50), LossSettings())
```

A run that was killed goes on from its last whole checkpoint; on the same machine it ends with the same weights.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clearir.data.rows import Row, Rows
from clearir.models.new_reranker import NO_WRONG_ANSWERS
from clearir.models.temperature import Scale, scale_for, scale_of_reranker
from clearir.settings import (
    DENSE,
    LATE_INTERACTION,
    RERANKER,
    SPARSE,
    Kind,
    LossSettings,
    PromptSettings,
    TrainSettings,
)
from clearir.support import processes
from clearir.support.artifacts import atomic_folder, fingerprint, write_json
from clearir.support.disk import disk_errors
from clearir.support.errors import ClearirError, InputError
from clearir.support.locks import alone
from clearir.support.progress import task
from clearir.training.batches import by_language, collator_of, dataset_of, fill_up, tokeniser_of
from clearir.training.best_checkpoint import no_dev_rows, no_whole_model
from clearir.training.checkpoints import (
    ASKED,
    last_whole_checkpoint,
    mark_whole,
    of_other_settings,
    seconds_before,
    step_of,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base import BaseModel
    from transformers import TrainerCallback

    from clearir.evaluation.suites import Suite
    from clearir.models.prompts import Prompts
    from clearir.training.best_checkpoint import Watch
    from clearir.training.trainer import KnowsRows

TRAINING = "training.json"


def train(
    rows: Sequence[Row],
    model: str,
    out: Path,
    settings: TrainSettings,
    loss: LossSettings,
    *,
    prompts: PromptSettings | None = None,
    seed: int = 0,
    kind: Kind = DENSE,
    trust_remote_code: bool = False,
    work: Path | None = None,
    dev: Suite | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a model on rows and save it.

    Args:
        rows: what `draw_rows` gave, in which the epochs have been counted; every row has a target query. Several
            processes take whole batches only: rows that are missing from the last are taken from the beginning.
        model: Hub name, folder, or ``python:PACKAGE/folder``.
        out: folder of the trained model; it appears when training is done, with `TRAINING` (log, seconds, rows of
            each language, scale) in it, and takes the place of a model that was trained before.
        settings: how long, how fast.
        loss: the loss.
        prompts: put before queries and passages, and saved with the model; None: what the model says.
        seed: of dropout, and of what is new in the model: a projection (late interaction) or a head (sparse, reranker).
        kind: of the model that comes out; see `clearir.runs.recipe.Recipe`.
        trust_remote_code: run code that comes with the model.
        work: folder for checkpoints, each training's in a folder of its own, which is found again when the same
            training is started anew, and removed when it is done. By default a hidden folder beside ``out``.
        dev: what ``settings.retention`` is judged on.
        cache: folder of finished embeddings (see `clearir.models.encode`), for finding the scale.
        say: gets a line when the scale is found, when a training goes on, when Ctrl-C stops it, and when PyLate will
            not load the model of late interaction that was trained.

    Returns:
        what is in `TRAINING`.

    Raises:
        InputError: rows without target queries, a model that cannot be loaded or have the adapters that are asked for,
            or ``out`` is not a trained model, or another process writes it.
        MissingExtraError: adapters are asked for, and peft is not installed.
        ClearirError: the loss or the gradients are not finite (`clearir.training.trainer`), or a batch does not fit in
            memory.
    """
    from transformers import set_seed

    from clearir.losses.objectives import untrained_sides
    from clearir.models.load import content_of
    from clearir.models.prompts import prompts_of
    from clearir.training.loss_factory import make_loss
    from clearir.training.teacher import known_vectors
    from clearir.training.trainer import make_trainer
    from clearir.training.words_in_use import words_of

    rows = _whole_batches(rows, settings, seed, kind)
    set_seed(seed)
    load = partial(load_base, model, settings, prompts or PromptSettings(), trust_remote_code, kind, seed)
    network = load(attention=settings.attention)
    if settings.dropout is not None:
        set_dropout(network, settings.dropout)
    before_each = prompts_of(network)
    dataset = dataset_of(rows)

    @functools.cache
    def untrained() -> Any:
        # An implementation of attention may want half precision, which only the Trainer gives it.
        return network if settings.attention is None else load()

    def find_scale() -> Scale:
        if kind == RERANKER:
            return scale_of_reranker(loss.scale)
        pairs = zip(dataset["query"], dataset["passage"], strict=True)
        return scale_for(loss.scale, pairs, untrained(), before_each, seed=seed, cache=cache)

    scale = processes.first_only(find_scale)
    say(scale.sentence)
    collator = collator_of(network, dataset, before_each)
    frozen = None
    # Vectors of tokens, or of the size of a vocabulary, would be too much to keep: the loss has a frozen copy instead.
    if kind == DENSE and (sides := untrained_sides(loss.term_weights())):
        teacher = partial(_load_teacher, loss.teacher, settings, trust_remote_code) if loss.teacher else None
        frozen = known_vectors(dataset, collator, sides, untrained, before_each, teacher=teacher, cache=cache)
    words = _choose_what_is_trained(network, model, settings, lambda: words_of(dataset, tokeniser_of(collator)))
    asked = {
        "model": content_of(model),
        "train": settings.deciding(),
        "loss": loss.deciding(),
        "prompts": [before_each.query, before_each.passage],
        "rows": fingerprint([[*row] for row in zip(*dataset.to_dict().values(), strict=True)]),
        "seed": seed,
        "dev": None if dev is None else dev.hash,
        "words": words,
        **({"processes": processes.count()} if processes.count() > 1 else {}),
        **({"teacher": content_of(loss.teacher)} if loss.teacher else {}),
        **({} if kind == DENSE else {"kind": kind}),
    }
    place = work or out.parent / f".{out.name}.checkpoints"
    checkpoints = place / fingerprint(asked)
    n = sum(column.startswith("negative_") for column in dataset.column_names)
    function = make_loss(network, loss.model_copy(update={"scale": scale.used}), n, frozen)
    trainer = make_trainer(network, rows, dataset, checkpoints, settings, function, collator, seed)
    _keep_events(trainer, out.parent / "tensorboard" / checkpoints.name)
    with ExitStack() as held:
        processes.first_only(lambda: _claim(held, out, checkpoints, asked))
        record = _run(trainer, dev, settings, before_each, checkpoints, say)
        record["rows_by_language"] = dict(Counter(row.language for row in rows).most_common())
        record["scale"] = scale.as_json()
        _save(trainer, out, settings, record, load, say)
        if processes.is_first():
            shutil.rmtree(checkpoints if work else place, ignore_errors=True)
    return record


def _whole_batches(rows: Sequence[Row], settings: TrainSettings, seed: int, kind: Kind) -> Sequence[Row]:
    """The rows; where several processes train, or a batch has one language, as many as whole batches take.

    Raises:
        InputError: some have no target query, or not all have as many negatives, or a reranker is to be trained on
            rows without any, or there are too few batches.
    """
    found = Rows.collect(rows, "the rows to train on")
    if any(row.target_query is None for row in found):
        raise InputError("some rows have no target query; translate the queries first (clearir prepare)")
    if kind == RERANKER and not found.num_negatives[0]:
        raise InputError(NO_WRONG_ANSWERS)
    whole = settings.batch_size * processes.count()
    if settings.one_language_a_batch:
        return by_language(rows, whole, seed)
    return fill_up(rows, whole) if processes.count() > 1 else rows


def _choose_what_is_trained(
    network: SentenceTransformer, model: str, settings: TrainSettings, words: Callable[[], list[int] | None]
) -> list[int] | None:
    """Adapters where they are asked for, else of the table of words those in use; the latter's ids, if any."""
    from clearir.models.lora import add_adapters
    from clearir.training.words_in_use import keep_words_in_use

    if settings.lora is not None:
        add_adapters(network, model, settings.lora)
    if processes.shares_model():
        return None
    return keep_words_in_use(network, lambda: processes.first_only(words))


def _save(
    trainer: KnowsRows,
    out: Path,
    settings: TrainSettings,
    record: dict[str, Any],
    load: Callable[..., SentenceTransformer],
    say: Callable[[str], None],
) -> None:
    """The trained model, with its whole table of words and without adapters unless they are asked for."""
    from clearir.models.lora import merge_adapters
    from clearir.training.words_in_use import put_back

    network = trainer.model
    put_back(network)
    if settings.lora is not None and settings.lora.merge:
        merge_adapters(network)
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if trainer.is_fsdp_enabled else None
    if processes.is_first():
        if state is not None:  # of the network itself, each process has a part
            network = load(device="cpu")
            network.load_state_dict(state)
        with atomic_folder(out, TRAINING) as temporary:
            _save_network(network, temporary, say)
            write_json(temporary / TRAINING, record)
    processes.wait()  # for those who still write the last checkpoint


def _save_network(network: BaseModel, folder: Path, say: Callable[[str], None]) -> None:
    """As sentence-transformers loads it, and PyLate if it is of late interaction."""
    from clearir.models.pylate_layout import save_late_interaction
    from clearir.models.token_vectors import makes_token_vectors

    if not makes_token_vectors(network):
        network.save_pretrained(str(folder), create_model_card=False)
    elif (lacking := save_late_interaction(network, folder)) is not None:
        say(f"PyLate will not load the model, sentence-transformers will: PyLate knows no {lacking}")


def _claim(held: ExitStack, out: Path, checkpoints: Path, asked: dict[str, Any]) -> None:
    """Let no other training write the model or these checkpoints, and note what they are of."""
    for path in (out, checkpoints):
        held.enter_context(alone(path))
    write_json(checkpoints / ASKED, asked)


def _run(
    trainer: KnowsRows,
    dev: Suite | None,
    settings: TrainSettings,
    prompts: Prompts,
    checkpoints: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """All steps from the last whole checkpoint on; log, seconds, steps and what the checkpoints scored."""
    from clearir.support.memory import is_out_of_memory

    network, steps = trainer.model, trainer.args.max_steps
    resume = processes.first_only(lambda: last_whole_checkpoint(checkpoints))
    if resume is not None:
        say(f"training goes on after step {step_of(resume)} of {steps}")
    elif processes.is_first() and (unused := of_other_settings(checkpoints)):
        say(f"training begins at step 1: {unused}")
    begun = time.monotonic() - seconds_before(resume)
    watch = None
    if settings.retention is not None:
        watch = _watch(trainer, dev, settings.retention, prompts, checkpoints, resume)
    trainer.add_callback(mark_whole(lambda: time.monotonic() - begun))
    with task("Training", steps) as advance, _memory(network):
        trainer.add_callback(_progress_callback(advance))
        try:
            with disk_errors(checkpoints), processes.report_lost_process():
                trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        except KeyboardInterrupt:
            last = last_whole_checkpoint(checkpoints) if processes.is_first() else None
            goes_on = f"goes on after step {step_of(last)}" if last else "begins again: there is no checkpoint yet"
            say(f"stopped at step {trainer.state.global_step} of {steps}; the same command {goes_on}")
            raise
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ClearirError(
                f"step {trainer.state.global_step + 1}: gradients and the optimizer's state do not fit in memory "
                f"beside the model ({error}); take a smaller model, or more memory"
            ) from error
    record: dict[str, Any] = {
        "log": [entry for entry in trainer.state.log_history if "loss" in entry],
        "seconds": round(time.monotonic() - begun, 1),
        "steps": trainer.state.global_step,
    }
    if watch is not None:
        record["checks"] = [asdict(check) for check in watch.checks]
        record["step_kept"] = watch.take_best()
    return record


def load_base(
    model: str,
    settings: TrainSettings,
    prompts: PromptSettings,
    trust_remote_code: bool,
    kind: Kind,
    seed: int,
    **more: Any,
) -> Any:
    """The model to train, with everything that serving has to know of its training: it is saved with the weights."""
    from clearir.models.load import load_late_interaction, load_model
    from clearir.models.one_way import refuse_routes
    from clearir.models.reranker import load_reranker
    from clearir.models.sparse import load_sparse

    options = more | {"max_seq_length": settings.max_seq_length, "trust_remote_code": trust_remote_code}
    if kind == RERANKER:
        return load_reranker(model, new_head=True, seed=seed, **options)
    kinds: dict[Kind, tuple[Callable[..., Any], str]] = {
        DENSE: (load_model, "cosine"),
        LATE_INTERACTION: (partial(load_late_interaction, seed=seed), "meanmaxsim"),
        SPARSE: (partial(load_sparse, seed=seed), "dot"),
    }
    load, similarity = kinds[kind]
    network = load(model, query_prompt=prompts.query, passage_prompt=prompts.passage, **options)
    refuse_routes(network, model)
    network.similarity_fn_name = similarity  # that of the losses, whatever the base was made for
    return network


def _load_teacher(name: str, settings: TrainSettings, trust_remote_code: bool) -> SentenceTransformer:
    """A teacher, which reads as much of a text as the student and has prompts of its own."""
    from clearir.models.load import load_model

    return load_model(name, max_seq_length=settings.max_seq_length, trust_remote_code=trust_remote_code)


def _watch(
    trainer: KnowsRows,
    dev: Suite | None,
    retention: float,
    prompts: Prompts,
    checkpoints: Path,
    resume: Path | None,
) -> Watch | None:
    """What judges the checkpoints, in the first process; the others wait until it has scored the base model."""
    from clearir.training.best_checkpoint import Watch

    watches: list[Watch] = []

    def start() -> None:
        if dev is None:
            raise no_dev_rows("train.retention")
        if trainer.is_fsdp_enabled:
            raise no_whole_model()
        checkpoints.mkdir(parents=True, exist_ok=True)
        watches.append(Watch(cast(Any, trainer.model), dev, retention, prompts, checkpoints, resume))

    processes.first_only(start)
    if not watches:
        return None
    trainer.add_callback(watches[0])
    return watches[0]


def set_dropout(network: SentenceTransformer, share: float) -> None:
    """Let a model drop this share wherever it drops some; what is saved with the model stays as it was."""
    from torch.nn import Dropout

    for module in network.modules():
        if isinstance(module, Dropout):
            module.p = share


def _memory(network: BaseModel) -> AbstractContextManager[None]:
    from clearir.support.memory import freed_memory_kept

    return freed_memory_kept() if network.device.type == "cpu" else nullcontext()


def _keep_events(trainer: KnowsRows, folder: Path) -> None:
    """Put TensorBoard's files into ``folder``, unless another is set; they would lie with the checkpoints, which go."""
    from transformers.integrations.integration_utils import TensorBoardCallback

    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder)


def _progress_callback(advance: Callable[..., None]) -> TrainerCallback:
    from transformers import TrainerCallback

    class ShowProgress(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Moves the bar."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            advance(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            advance(1)

    return ShowProgress()
