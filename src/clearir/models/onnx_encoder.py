"""Vectors of queries from an exported model (`clearir export`), without torch.

Importing torch and sentence-transformers takes far longer than encoding a query. With the ONNX file, onnxruntime and
the tokenizer are all that is needed.

```python
encoder = exported_encoder("onnx", info.model_hash, info.max_seq_length)  # None where it cannot be used
vectors = encoder(["kuinka salaan levyn"], "query: ")  # float32, (n, dim), unit length
```
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models.onnx import FULL
from clearir.support.artifacts import MANIFEST, read_json
from clearir.support.errors import InputError, first_line
from clearir.support.extras import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: in the manifest of an export: whether `OnnxEncoder` gives the vectors of the model itself
ALONE = "encodes_alone"
#: modules of sentence-transformers that are computed here, behind the transformer
_MODULES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_POOLING = ("mean", "cls")
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class OnnxEncoder:
    """A transformer in an ONNX file, its tokenizer and the pooling of its hidden states.

    Attributes:
        session: of onnxruntime.
        tokenizer: of the library tokenizers; cuts long texts.
        pooling: ``mean`` or ``cls``.
    """

    session: Any
    tokenizer: Any
    pooling: str

    def __call__(self, texts: Sequence[str], prompt: str = "") -> NDArray[np.float32]:
        """Vectors of texts, each put behind the prompt; shape (n, dim), unit length."""
        import numpy as np

        return np.array([self._vector(prompt + text) for text in texts], dtype=np.float32)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, after cutting."""
        return [len(self.tokenizer.encode(text).ids) for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        import numpy as np

        read = self.tokenizer.encode(text)
        inputs = {"input_ids": read.ids, "attention_mask": read.attention_mask, "token_type_ids": read.type_ids}
        names = [one.name for one in self.session.get_inputs()]
        [[hidden]] = self.session.run(None, {name: np.array([inputs[name]], dtype=np.int64) for name in names})
        vector = hidden[0] if self.pooling == "cls" else hidden.mean(axis=0)
        return np.asarray(vector / np.linalg.norm(vector))


def exported_encoder(name: str, model_hash: str, max_seq_length: int | None) -> OnnxEncoder | None:
    """The encoder in the folder of an export; None where that is no folder, or not of this model, or cannot be used.

    Args:
        name: of the model: a folder, a name on the Hub, ``python:PACKAGE/folder``.
        model_hash: what `clearir.models.load.model_fingerprint` says of the model that is wanted.
        max_seq_length: tokens of a text that are read; None: no limit.

    Raises:
        InputError: the ONNX file is damaged.
    """
    folder = Path(name).expanduser()
    if importlib.util.find_spec("onnxruntime") is None or not (folder / FULL).is_file():
        return None
    try:
        manifest = read_json(folder / MANIFEST)
        fits = manifest["settings"]["model"] == model_hash and manifest["result"][ALONE]
    except (InputError, KeyError, TypeError):  # no folder that `clearir export` wrote, or an earlier version did
        return None
    return read_encoder(folder, max_seq_length) if fits else None


def read_encoder(folder: Path, max_seq_length: int | None) -> OnnxEncoder | None:
    """What is in a folder with an ONNX file; None where the model has modules that are not computed here.

    Raises:
        InputError: the ONNX file is damaged.
        MissingExtraError: onnxruntime is not installed.
    """
    modules = read_json(folder / "modules.json")
    if [one["type"].rpartition(".")[2] for one in modules] not in _MODULES or not (folder / _TOKENIZER).is_file():
        return None
    pooling = read_json(folder / modules[1]["path"] / "config.json").get("pooling_mode")
    if pooling not in _POOLING or read_json(folder / "tokenizer_config.json").get("truncation_side") == "left":
        return None
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
    tokenizer.no_padding()
    if max_seq_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_seq_length)
    try:
        session = require("onnxruntime", "onnx").InferenceSession(
            str(folder / FULL), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise InputError(f"{folder / FULL}: cannot be read ({first_line(error)}); export the model again") from error
    return OnnxEncoder(session, tokenizer, pooling)
