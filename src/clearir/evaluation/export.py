"""A trained model as ONNX, in full precision and with 8-bit weights, and what that costs in quality.

The folder holds the model as sentence-transformers saves it, and beside the weights ``onnx/model.onnx`` and
``onnx/model_qint8.onnx``: the names and the graph (tokens in, ``last_hidden_state`` out; pooling as the model's own
configuration says) that sentence-transformers' ONNX backend and text-embeddings-inference look for. Where the loss was
measured, the scores of all three lie under ``scores/``, as `clearir compare` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models.onnx import FULL, INT8, quantise, silent_exporter, with_onnx, write_graph
from clearir.models.onnx_encoder import ALONE, read_encoder
from clearir.support.artifacts import run_stage
from clearir.support.extras import require
from clearir.support.progress import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentence_transformers import SentenceTransformer

    from clearir.evaluation.suites import Suite

#: file of the scores of the original, then of each export
SCORES = {"": "scores/original.json", FULL: "scores/onnx.json", INT8: "scores/int8.json"}
#: of two vectors of unit length that are the same but for the order of additions
_SAME = 1e-4
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
        with task("Exporting"), silent_exporter():
            write_graph(network, model, list(_SAMPLE[:2]), folder / FULL)
            quantise(folder / FULL, folder / INT8)
        alone = _encodes_alone(network, folder)
        return {"exports": [asdict(one) for one in _measure(network, folder, suite)], ALONE: alone}

    run_stage(out, settings, make, overwrite=overwrite)
    return [Export(**one) for one in read_json(out / MANIFEST)["result"]["exports"]]


def _encodes_alone(network: SentenceTransformer, folder: Path) -> bool:
    """Whether the ONNX file with what `read_encoder` does around it gives the model's own vectors."""
    from clearir.models.encode import encode
    from clearir.models.prompts import prompts_of

    encoder, prompt = read_encoder(folder, network.max_seq_length), prompts_of(network).query
    if encoder is None:
        return False
    ours, theirs = encoder(_SAMPLE, prompt), encode(network, _SAMPLE, prompt=prompt)
    return ours.shape == theirs.shape and bool(abs(ours - theirs).max() < _SAME)


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
    from clearir.evaluation.matrix import evaluate

    scores = evaluate(network, suite, name=file.stem)
    scores.save(file)
    return scores.summary()


def _megabytes(files: Iterator[Path]) -> float:
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)
