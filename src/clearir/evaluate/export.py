"""A trained model as ONNX, in full precision and with 8-bit weights, and what that costs in quality.

The folder holds the model as sentence-transformers saves it, and beside the weights ``onnx/model.onnx`` and
``onnx/model_qint8.onnx``: the names and the graph (tokens in, ``last_hidden_state`` out; pooling as the model's own
configuration says) that sentence-transformers' ONNX backend and text-embeddings-inference look for. Where the loss was
measured, the scores of all three lie under ``scores/``, as `clearir compare` takes them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.support.artifacts import run_stage
from clearir.support.errors import InputError
from clearir.support.extras import require
from clearir.support.progress import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from sentence_transformers import SentenceTransformer

    from clearir.evaluate.suites import Suite

FULL, INT8 = "onnx/model.onnx", "onnx/model_qint8.onnx"
#: file of the scores of the original, then of each export
SCORES = {"": "scores/original.json", FULL: "scores/onnx.json", INT8: "scores/int8.json"}
#: bytes of weights beyond which a graph cannot be one file
_ONE_FILE = 1_800_000_000
#: encoded by the original and the exports where no data is given
_SAMPLE = (
    "how do I encrypt a disk",
    "Programm zum Bearbeiten von Fotos",
    "гра в шахи",
    "tekstieditori ohjelmoijille",
    "A long passage says the same thing several times, and says it slowly, so that there are many tokens to read.",
    "लिखने का कार्यक्रम",
    "برنامج لتحرير الصور",
    "写真を編集する",
)


@dataclass(frozen=True)
class Export:
    """One file and how near it is to the original.

    Attributes:
        file: inside the folder.
        megabytes: of it.
        cosine: mean cosine of its vectors and the original's, of queries.
        lowest_cosine: the least of them.
        scores: mean nDCG@10 of each kind of direction (``x->en`` ...), where there was a suite.
    """

    file: str
    megabytes: float
    cosine: float
    lowest_cosine: float
    scores: Mapping[str, float]


def export_model(
    model: str, out: Path, suite: Suite | None = None, *, trust_remote_code: bool = False, overwrite: bool = False
) -> list[Export]:
    """Write a model's folder with ONNX files in it.

    Args:
        model: as `clearir.models.load.load_model` takes it.
        out: folder to write.
        suite: what the loss of quality is measured on; without one, cosines on a few sentences are all there is.
        trust_remote_code: run code that comes with the model.
        overwrite: replace an export of something else.

    Returns:
        The original (``file`` is empty), and the two files.

    Raises:
        InputError: the model is no transformer over tokens, or ``out`` holds something else.
        MissingExtraError: the extra ``onnx`` is not installed.
    """
    from clearir.models.load import load_model, model_fingerprint
    from clearir.support.artifacts import MANIFEST, read_json

    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "onnx")
    network = load_model(model, device="cpu", trust_remote_code=trust_remote_code)
    network.eval()
    settings = {
        "stage": "export",
        "model": model_fingerprint(network),
        "max_seq_length": network.max_seq_length,
        "prompts": [network.prompts, network.default_prompt_name],
        "similarity": network.similarity_fn_name,
        "suite": None if suite is None else suite.hash,
    }

    def make(folder: Path) -> Mapping[str, Any]:
        network.save_pretrained(str(folder), create_model_card=False)
        (folder / "onnx").mkdir()
        with task("Exporting"), _silent():
            _write_graph(network, model, folder / FULL)
            _quantise(folder / FULL, folder / INT8)
        return {"exports": [asdict(one) for one in _measure(network, folder, suite)]}

    run_stage(out, settings, make, overwrite=overwrite)
    return [Export(**one) for one in read_json(out / MANIFEST)["result"]["exports"]]


def with_onnx(network: SentenceTransformer, file: Path) -> None:
    """Let an ONNX file compute what the model's transformer did; everything around it stays."""
    import torch

    session = require("onnxruntime", "onnx").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def forward(features: dict[str, Any], **_: Any) -> dict[str, Any]:
        [hidden] = session.run(None, {name: features[name].numpy() for name in names})
        return {**features, "token_embeddings": torch.from_numpy(hidden)}

    network[0].forward = forward


def _write_graph(network: SentenceTransformer, name: str, file: Path) -> None:
    import torch

    transformer: Any = getattr(network[0], "auto_model", None)
    features = network.preprocess(list(_SAMPLE[:2]))
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
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise InputError(f"{name}: torch cannot export its {type(transformer).__name__} ({reason})") from error


def _quantise(full: Path, int8: Path) -> None:
    """Weights of 8 bits, a scale for each output channel: of the usual ways the nearest to the original."""
    ort = require("onnxruntime.quantization", "onnx")
    large = full.stat().st_size > _ONE_FILE or any(full.parent.glob("*.data"))
    ort.quantize_dynamic(full, int8, weight_type=ort.QuantType.QInt8, per_channel=True, use_external_data_format=large)


def _measure(network: SentenceTransformer, folder: Path, suite: Suite | None) -> list[Export]:
    from clearir.models.encode import encode
    from clearir.models.prompts import prompts_of

    prompt = prompts_of(network).query
    texts: Sequence[str] = _SAMPLE
    if suite is not None:
        texts = [text for queries in suite.queries.values() for text in list(queries.values())[:100]]
    original = encode(network, texts, prompt=prompt)
    found = [
        Export("", _megabytes(folder.glob("*.safetensors")), 1.0, 1.0, _scores(network, suite, folder / SCORES[""]))
    ]
    for file in (FULL, INT8):
        with_onnx(network, folder / file)
        cosines = (encode(network, texts, prompt=prompt) * original).sum(axis=1)
        size = _megabytes((folder / "onnx").glob(Path(file).name + "*"))
        cosine, lowest = (round(float(value), 4) for value in (cosines.mean(), cosines.min()))
        found.append(Export(file, size, cosine, lowest, _scores(network, suite, folder / SCORES[file])))
    return found


def _scores(network: SentenceTransformer, suite: Suite | None, file: Path) -> dict[str, float]:
    if suite is None:
        return {}
    from clearir.evaluate.matrix import evaluate

    scores = evaluate(network, suite, name=file.stem)
    scores.save(file)
    return scores.summary()


def _megabytes(files: Iterator[Path]) -> float:
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


@contextmanager
def _silent() -> Iterator[None]:
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
