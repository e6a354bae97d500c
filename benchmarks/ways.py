"""The ways to compute the same step, and one process that runs one of them and measures it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.gradcache import RandContext
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

from clearir import CachedCLEARLoss, CLEARLoss
from clearir.models.load import load_model
from clearir.support.memory import freed_memory_kept
from clearir.training.train import set_dropout
from clearir.training.words_in_use import WordsInUse, keep_words_in_use, put_back
from common import matrix_product_rate, work

Features = list[dict[str, Any]]

#: as their users run them: nothing tells glibc to keep what they free
AS_TORCH_LEAVES_IT = ("column-wise", "theirs")
#: they train the words in use alone
OURS = ("plain", "cached", "cached same memory", "cached, no budget")
NAMES = {
    "column-wise": "(a) column-wise, cached",
    "column-wise kept": "(a), freed memory kept",
    "theirs": "(b) CachedMultipleNegativesRankingLoss",
    "plain": "(c) CLEARLoss",
    "cached": "(d) CachedCLEARLoss, ample budget",
    "cached same memory": "(d) CachedCLEARLoss, budget (a)'s peak",
    "cached, no budget": "(d) CachedCLEARLoss, budget 0",
}


def column_wise(model: SentenceTransformer, features: Features, mini_batch: int = 32) -> torch.Tensor:
    """Gradient caching with each column padded by itself: the cost model of the authors' code, weighted rightly."""
    chunks = [
        {key: value[i : i + mini_batch] if isinstance(value, torch.Tensor) else value for key, value in column.items()}
        for column in features
        for i in range(0, len(column["input_ids"]), mini_batch)
    ]
    embeddings, states = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(RandContext(*chunk.values()))
            embeddings.append(model(dict(chunk))["sentence_embedding"].requires_grad_())
    a_column = len(chunks) // len(features)
    columns = [torch.cat(embeddings[i : i + a_column]) for i in range(0, len(chunks), a_column)]
    loss = CLEARLoss(model, mask_false_negatives=False).compute_loss_from_embeddings(columns)
    loss.backward()
    for chunk, state, embedding in zip(chunks, states, embeddings, strict=True):
        with state:
            model(dict(chunk))["sentence_embedding"].backward(embedding.grad)
    return loss.detach()


def step(way: str, model: SentenceTransformer, budget: int | None) -> Callable[[Features], torch.Tensor]:
    """Loss and gradients of a batch, computed in a way of `NAMES`."""
    if way.startswith("column-wise"):
        return lambda features: column_wise(model, features)
    if way == "theirs":
        loss: Any = CachedMultipleNegativesRankingLoss(model, mini_batch_size=32)
    elif way == "plain":
        loss = CLEARLoss(model, mask_false_negatives=False)
    else:
        loss = CachedCLEARLoss(model, mask_false_negatives=False, memory_budget=budget)

    def run(features: Features) -> torch.Tensor:
        value = loss(features, None)
        value.backward()
        return value.detach()

    return run


def load(name: str, attention: str, dropout: float | None) -> SentenceTransformer:
    """A model in training mode. None leaves the dropout as the model was saved with."""
    model = load_model(name, device="cpu", attention=attention).train()
    if dropout is not None:
        set_dropout(model, dropout)
    return model


def use_words_of(model: SentenceTransformer, texts: list[str], length: int) -> int:
    """Train the words of these texts alone, as `clearir train` does; how many there are."""
    model.max_seq_length = length
    put_back(model)
    ids = (model.preprocess(texts[i : i + 1024])["input_ids"].unique() for i in range(0, len(texts), 1024))
    words: list[int] = torch.cat(list(ids)).unique().tolist()
    keep_words_in_use(model, lambda: words)
    return len(words)


def measure(model: SentenceTransformer, way: str, columns: list[list[str]], length: int, budget: int | None) -> dict:
    """Two steps: peak of resident memory over what was there before in the first, seconds of the second.

    Only the first has to get its memory from the system, as the first step of a training.
    """
    model.max_seq_length = length
    features = [model.preprocess(column) for column in columns]
    need = work(model, features)
    forward = 0

    def count(_: Any, inputs: tuple[dict[str, Any], ...]) -> None:
        nonlocal forward
        forward += inputs[0]["input_ids"].numel()

    run = step(way, model, budget)
    model.zero_grad(set_to_none=False)
    # As in clearir.training.train; its end hands everything back, for the ways share the machine's.
    with nullcontext() if way in AS_TORCH_LEAVES_IT else freed_memory_kept():
        before = reset_peak()
        run([dict(column) for column in features])
        peak = peak_memory() - before
        rate = matrix_product_rate()
        hook = model.register_forward_pre_hook(count)
        cpu, begin = time.process_time(), time.perf_counter()
        loss = run([dict(column) for column in features])
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        hook.remove()
        rate = (rate + matrix_product_rate()) / 2
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_bytes": peak,
        "forward_tokens": forward,
        "real_tokens": need.real_tokens,
        "distinct_tokens": need.distinct_tokens,
        "flop_share": need.flop / seconds / rate,
        "matrix_product_rate": rate,
        "loss": float(loss),
    }


def gradients(model: SentenceTransformer, way: str, columns: list[list[str]], length: int, budget: int | None) -> Any:
    """All gradients of a batch in one row, dropout off."""
    model.max_seq_length = length
    model.eval()
    model.zero_grad(set_to_none=False)
    step(way, model, budget)([model.preprocess(column) for column in columns])
    model.train()
    return torch.cat([gradient.flatten() for gradient in _gradients(model)]).numpy()


def _gradients(model: SentenceTransformer) -> Iterator[torch.Tensor]:
    """Of all parameters; those of words in use at their places in the whole table, which comes first."""
    table = model.transformers_model.get_input_embeddings()
    if isinstance(table, WordsInUse):
        whole = torch.zeros(table.whole_size, table.weight.shape[1])
        whole[table.words] = table.weight.grad
        yield whole
    else:
        yield table.weight.grad
    yield from (one.grad for one in model.parameters() if one is not table.weight and one.grad is not None)


def serve(connection: Connection, threads: int, model_settings: dict[str, Any]) -> None:
    """Answer requests until None comes: one process a way, so that none inherits another's memory."""
    torch.set_num_threads(threads)
    model = load(**model_settings)
    measure(model, "plain", [["warm up"] * 2] * 3, 64, None)  # gradients and buffers are there from now on
    connection.send("ready")
    while (request := connection.recv()) is not None:
        task = {"measure": measure, "gradients": gradients, "use": use_words_of}[request.pop("task")]
        connection.send(task(model, **request))


def reset_peak() -> int:
    """Resident memory now; `peak_memory` counts from here. Linux; elsewhere the peak is that of the whole process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
