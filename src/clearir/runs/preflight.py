"""What a recipe asks for and cannot have, said before the first stage and not after hours of work.

What settings say for themselves is checked when they are read (`clearir.settings`); here is what depends on others of
them, on the machine and on the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearir.runs.recipe import Recipe, load_model_of
from clearir.settings import (
    DENSE,
    LATE_INTERACTION,
    RERANKER,
    SPARSE,
    HeldOut,
    LossSettings,
    RerankSettings,
    TrainSettings,
)
from clearir.support import processes
from clearir.support.errors import InputError, prefix_errors_with


def check_run(recipe: Recipe) -> None:
    """Raise if `clearir train` would have nothing to score or to choose on.

    Raises:
        InputError: no rows are to be held out.
    """
    if not holds_out(recipe.data.test):
        raise InputError("nothing to score on; hold rows out, for example with data.test=0.1 or data.test=50")
    check_kind(recipe)
    check_dev(recipe)


def holds_out(size: HeldOut) -> bool:
    """Whether any rows are to be held out."""
    return any(size.values()) if isinstance(size, Mapping) else size > 0


def check_kind(recipe: Recipe) -> None:
    """Raise if a setting does not go with the kind of model that is to come out.

    Raises:
        InputError: one does not.
    """
    parts = {LATE_INTERACTION: "the projection of the token vectors", SPARSE: "the head", RERANKER: "the head"}
    new = parts.get(recipe.kind)
    if new is not None:
        why = {
            "merge": (recipe.merge, f"mixes the model with its base, which does not have {new}"),
            "train.retention": (recipe.train.retention, "compares with the English of the base, of another kind"),
            "train.lora": (recipe.train.lora, f"would leave {new} as it is, untrained"),
            "loss.teacher": (recipe.loss.teacher, "has a vector for each text, and the model none"),
        }
        for setting, (value, reason) in why.items():
            if value is not None:
                raise InputError(f"{setting}: it {reason}, so it does not go with kind: {recipe.kind}; leave it out")
    if recipe.kind != RERANKER and recipe.rerank != RerankSettings():
        raise InputError(f"rerank: it is for kind: reranker, and this recipe has kind: {recipe.kind}; leave it out")
    if recipe.kind == RERANKER:
        _check_reranker(recipe)


def _check_reranker(recipe: Recipe) -> None:
    from clearir.losses.reranking import refuse_others
    from clearir.models.load import saved_as

    kind = saved_as(recipe.finder)
    if kind not in (None, DENSE):
        raise InputError(
            f"rerank.first: {recipe.finder} is a model of the kind {kind}, which finds no passages; name a dense "
            "model, for example rerank.first=intfloat/multilingual-e5-small"
        )
    try:
        refuse_others(recipe.loss.term_weights())
    except ValueError as error:
        raise InputError(f"loss: {error}") from error


def check_dev(recipe: Recipe) -> None:
    """Raise if a setting needs dev rows and none are held out."""
    from clearir.training.best_checkpoint import no_dev_rows

    if (what := needs_dev(recipe)) is not None and not holds_out(recipe.data.dev):
        raise no_dev_rows(what)


def needs_dev(recipe: Recipe) -> str | None:
    """A setting that is judged on dev rows, None without one."""
    if recipe.train.retention is not None:
        return "train.retention"
    return "merge" if recipe.merge is not None and recipe.merge.weight is None else None


def check_training(recipe: Recipe) -> None:
    """Load the model as training will, and raise what would stop its training.

    Raises:
        InputError: a model that cannot be loaded or trained so, a precision that this machine lacks, or a tracker that
            is not there, or the Hub would not take the model.
        MissingExtraError: adapters are asked for, and peft is not installed.
    """
    from clearir.models.load import load_model
    from clearir.models.lora import check_lora, need_peft
    from clearir.models.push import check_push
    from clearir.training.train import load_base

    if recipe.train.lora is not None:
        need_peft()
    _check_trackers(recipe.train)
    if recipe.train.push_to_hub is not None:
        check_push(recipe.train.push_to_hub)
    if processes.shares_model():
        _check_sharing(recipe)
    if recipe.rerank.first is not None:
        with prefix_errors_with("rerank.first"):
            load_model_of(recipe, recipe.rerank.first)
    network = load_base(
        recipe.model,
        recipe.train,
        recipe.prompts,
        recipe.trust_remote_code,
        recipe.kind,
        recipe.seed,
        attention=recipe.train.attention,
    )
    _check_precision(recipe.train, network.device.type)
    _check_checkpointing(recipe.train, network)
    _check_loss(recipe.loss, network)
    if recipe.loss.teacher is not None:
        with prefix_errors_with("loss.teacher"):
            load_model(recipe.loss.teacher, trust_remote_code=recipe.trust_remote_code)
    if recipe.train.lora is not None:
        check_lora(network, recipe.model, recipe.train.lora)


def _check_sharing(recipe: Recipe) -> None:
    from clearir.training.best_checkpoint import no_whole_model

    if recipe.train.retention is not None:
        raise no_whole_model()
    if recipe.loss.cached and recipe.loss.mini_batch_num_tokens is not None:
        raise InputError("loss.mini_batch_num_tokens does not go with FSDP; leave it out, for loss.mini_batch_size")


def _check_trackers(train: TrainSettings) -> None:
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    there = {*get_available_reporting_integrations(), "none", "all"}  # type: ignore[no-untyped-call]
    missing = next((name for name in train.report_to if name not in there), None)
    if missing is not None:
        raise InputError(
            f"train.report_to: {missing!r} is no tracker that is installed here; there are {', '.join(sorted(there))}"
        )


def _check_precision(train: TrainSettings, device: str) -> None:
    import torch

    if train.precision == "fp16" and device == "cpu":
        raise InputError("train.precision: fp16 needs an accelerator, and there is none; take fp32, bf16 or auto")
    if train.precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise InputError("train.precision: this GPU has no bf16; take fp16, fp32 or auto")


def _check_checkpointing(train: TrainSettings, network: Any) -> None:
    from transformers import PreTrainedModel

    whole = next((module for module in network.modules() if isinstance(module, PreTrainedModel)), None)
    if train.gradient_checkpointing and not getattr(whole, "supports_gradient_checkpointing", False):
        raise InputError("train.gradient_checkpointing: this model has none; set it to false")


def _check_loss(loss: LossSettings, network: Any) -> None:
    """Whether the loss can cut what the model reads; of the objectives this one keeps no second model."""
    from clearir.training.loss_factory import make_loss

    try:
        make_loss(network, loss.model_copy(update={"objective": "infonce", "weights": None, "scale": 20.0}), 0)
    except ValueError as error:
        raise InputError(f"loss: {error}; in a recipe: loss.cached=false") from error
