"""Adapters that are trained in place of the model's weights: LoRA (arXiv 2106.09685), by way of peft.

```python
add_adapters(network, "BAAI/bge-m3", LoraSettings(r=16))   # before the loss and the optimizer are made
...                                                        # train
merge_adapters(network)                                    # a model as any other, with what the adapters have learned
```

Beside a linear layer with the weights ``W`` stands ``alpha / r * B A``, where A has r rows and B has r columns. Only A
and B are trained: gradients, both moments of Adam and checkpoints are as small as they are. B begins with zeros, so
that training begins with the base model.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from clearir.settings import LoraSettings
from clearir.support import processes
from clearir.support.artifacts import read_json
from clearir.support.errors import InputError
from clearir.support.extras import require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base import BaseModel

logger = logging.getLogger(__name__)

#: of a folder that holds adapters alone, as peft and transformers name it
CONFIG = "adapter_config.json"
NAME = "default"


def need_peft() -> None:
    """Raise if there is no peft.

    Raises:
        MissingExtraError: it is not installed.
    """
    require("peft", "lora")


def check_lora(network: SentenceTransformer, name: str, settings: LoraSettings) -> None:
    """Raise if a model cannot have these adapters.

    Args:
        network: the base model.
        name: of the model, as a recipe has it.
        settings: of the adapters.

    Raises:
        InputError: no such layers, a rank that is larger than they are, a model without a transformer or with quantised
            weights, adapters that would be saved alone and name no base model, or processes that share the model.
        MissingExtraError: peft is not installed.
    """
    need_peft()
    if processes.shares_model():
        raise InputError("train.lora does not go with FSDP; leave it out, or start with recipes/accelerate/ddp.yaml")
    model: Any = network.transformers_model
    if getattr(model, "is_quantized", False):
        raise InputError(f"train.lora: the weights of {name} are quantised; name the model in full precision")
    layers = _linear_layers(model) if network.has_peft_compatible_model() else {}
    if not layers:
        raise InputError(f"train.lora: {name} has no transformer with layers to adapt; leave train.lora out")
    chosen = _targets(layers, settings, name)
    most = max(min(layer.weight.shape) for layer in chosen)
    if settings.r > most:
        raise InputError(
            f"train.lora.r: a rank of {settings.r:,} is over that of the layers themselves ({most:,} in {name}); 8 to "
            "64 is usual"
        )
    if not settings.merge:
        _check_base(str(model.name_or_path), name)


def add_adapters(network: SentenceTransformer, name: str, settings: LoraSettings) -> None:
    """Freeze a model and put adapters beside its layers, in place; the vectors stay what they are.

    Args:
        network: changed in place.
        name: of the model, as a recipe has it.
        settings: of the adapters.

    Raises:
        InputError: see `check_lora`.
        MissingExtraError: peft is not installed.
    """
    check_lora(network, name, settings)
    from peft import LoraConfig
    from peft.functional import cast_adapter_dtype

    model: Any = network.transformers_model
    chosen = _targets(_linear_layers(model), settings, name)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        target_modules="all-linear" if settings.targets is None else list(settings.targets),
        fan_in_fan_out=not all(isinstance(layer, nn.Linear) for layer in chosen),
    )
    network.requires_grad_(False)
    network.add_adapter(config, NAME)
    cast_adapter_dtype(model, NAME)  # small steps are lost in 16 bits
    # What is saved of it: in an order that does not depend on hashes, and from wherever it is loaded.
    config.target_modules = sorted(config.target_modules or ())
    config.base_model_name_or_path = _absolute(str(model.name_or_path))
    every = [(one.numel(), one.requires_grad) for one in network.parameters()]
    trained, frozen = (sum(size for size, grad in every if grad is wanted) for wanted in (True, False))
    logger.info("training adapters (LoRA) of %s weights beside %s that are frozen", f"{trained:,}", f"{frozen:,}")


def merge_adapters(network: BaseModel) -> None:
    """Add the adapters of a model to the weights that they stand beside, in place, and leave none.

    Nothing happens to a model without adapters. All weights can be trained afterwards.

    Raises:
        ValueError: there are adapters of a kind that is no sum of weights.
    """
    model: Any = network.transformers_model
    names = list(getattr(model, "peft_config", {}))
    if not names:
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    kinds = {str(model.peft_config[name].peft_type.value) for name in names}
    if kinds != {"LORA"} or any(model.peft_config[name].modules_to_save for name in names):
        raise ValueError(f"its adapters ({', '.join(sorted(kinds))}) cannot be added to the weights here")
    loaded = any(model.peft_config[name].inference_mode for name in names)
    for place, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            parent, _, last = place.rpartition(".")
            setattr(model.get_submodule(parent), last, layer.get_base_layer())
    model.delete_adapter(names)
    model.name_or_path = ""  # it is no longer the model of that name
    if loaded:  # what renamed the weights of a file of adapters would rename all of them in the file that is saved
        vars(model).pop("_weight_conversions", None)
    network.requires_grad_(True)


def base_of_adapters(folder: Path) -> str | None:
    """The base model that a folder of adapters names; None where it is no such folder.

    Raises:
        InputError: it names none.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    base = read_json(path).get("base_model_name_or_path")
    if not base:
        raise InputError(f"{path}: names no base model; add base_model_name_or_path, its folder or its name on the Hub")
    return str(base)


def _linear_layers(model: nn.Module) -> dict[str, Any]:
    from transformers.pytorch_utils import Conv1D

    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear | Conv1D)}


def _targets(layers: dict[str, Any], settings: LoraSettings, model: str) -> list[Any]:
    """The layers that get an adapter: a target is the end of a name, as for peft."""
    if settings.targets is None:
        return list(layers.values())
    found = {target: [one for name, one in layers.items() if _ends(name, target)] for target in settings.targets}
    unknown = next((target for target, some in found.items() if not some), None)
    if unknown is not None:
        known = dict.fromkeys(name.rpartition(".")[2] for name in layers)
        raise InputError(
            f"train.lora.targets: {model} has no linear layer {unknown!r}; it has {', '.join(known)}: take some of "
            "these, or leave targets out for all of them"
        )
    return [layer for some in found.values() for layer in some]


def _ends(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")


def _check_base(base: str, name: str) -> None:
    """Whether adapters alone could be loaded again: what they name must be the base model itself, and whole."""
    merge = "leave train.lora.merge out, so that they are added to its weights"
    if not base:
        raise InputError(f"train.lora.merge: {name} is made of adapters itself, and others cannot name it; {merge}")
    if Path(base).is_dir() and not (Path(base) / "config.json").is_file():
        raise InputError(f"train.lora.merge: {name} has no config.json, without which adapters cannot name it; {merge}")


def _absolute(base: str) -> str:
    return str(Path(base).resolve()) if Path(base).exists() else base
