"""A model's transformer as an ONNX file, in full precision and with 8-bit weights; a model that computes with one."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.support.errors import InputError, first_line
from clearir.support.extras import require

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


FULL, INT8 = "onnx/model.onnx", "onnx/model_qint8.onnx"
#: bytes of weights beyond which a graph cannot be one file
_ONE_FILE = 1_800_000_000


def with_onnx(network: SentenceTransformer, file: Path) -> None:
    """Let an ONNX file compute what the model's transformer did; everything around it stays."""
    import torch

    session = require("onnxruntime", "onnx").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def forward(features: dict[str, Any], **_: Any) -> dict[str, Any]:
        [hidden] = session.run(None, {name: features[name].numpy() for name in names})
        return {**features, "token_embeddings": torch.from_numpy(hidden)}

    network[0].forward = forward


def write_graph(network: SentenceTransformer, name: str, texts: list[str], file: Path) -> None:
    """Write the graph from tokens to hidden states, as torch's exporter traces it on ``texts``.

    Raises:
        InputError: the model is no transformer over tokens, or torch cannot export it.
    """
    import torch

    transformer: Any = getattr(network[0], "auto_model", None)
    features = network.preprocess(texts)
    names = [key for key in ("input_ids", "attention_mask", "token_type_ids") if key in features]
    if transformer is None or "attention_mask" not in names:
        raise InputError(f"{name}: not a transformer over tokens, so there is nothing to export")

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, *inputs: torch.Tensor) -> Any:
            return self.transformer(**dict(zip(names, inputs, strict=True))).last_hidden_state

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=network.max_seq_length or 512)
    size = sum(weights.numel() * weights.element_size() for weights in transformer.parameters())
    try:
        torch.onnx.export(
            Graph().eval(),
            tuple(features[key] for key in names),
            str(file),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_shapes=(tuple({0: batch, 1: length} for _ in names),),
            dynamo=True,
            external_data=size > _ONE_FILE,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        reason = first_line(error.__cause__ or error)
        raise InputError(f"{name}: torch cannot export its {type(transformer).__name__} ({reason})") from error


def quantise(full: Path, int8: Path) -> None:
    """Weights of 8 bits, a scale for each output channel: of the usual ways the nearest to the original."""
    ort = require("onnxruntime.quantization", "onnx")
    large = full.stat().st_size > _ONE_FILE or any(full.parent.glob("*.data"))
    ort.quantize_dynamic(full, int8, weight_type=ort.QuantType.QInt8, per_channel=True, use_external_data_format=large)


@contextmanager
def silent_exporter() -> Iterator[None]:
    """The exporter warns of what is as it should be."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "root")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
