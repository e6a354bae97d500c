"""Random models of 2 layers and 16 dimensions in float64 that read letters, of kinds other than BERT."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

DIM, POSITIONS = 16, 96
SIZES: dict[str, dict[str, Any]] = {
    "Bert": {
        "hidden_size": DIM,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": POSITIONS,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "GPT2": {
        "n_embd": DIM,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": POSITIONS,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
    "Qwen3": {
        "hidden_size": DIM,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "intermediate_size": 32,
        "max_position_embeddings": POSITIONS,
    },
}
SIZES["Llama"] = SIZES["Qwen3"]


def transformer(folder: Path, kind: str, side: str, seed: int = 0) -> Transformer:
    """The module of a random model.

    Args:
        folder: it is written into.
        kind: one of `SIZES`.
        side: where its tokenizer pads.
        seed: of its weights.
    """
    letters = string.ascii_lowercase + string.digits
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    types = ["token_type_ids"] if kind == "Bert" else []
    tokenizer = transformers.BertTokenizerFast(
        vocab={word: number for number, word in enumerate(words)},
        padding_side=side,
        model_input_names=["input_ids", *types, "attention_mask"],
    )
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(words), initializer_range=0.5, pad_token_id=0, bos_token_id=2, eos_token_id=3, **SIZES[kind]
    )
    path = folder / f"{kind}-{side}-{seed}"
    getattr(transformers, f"{kind}Model")(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return Transformer(str(path), max_seq_length=POSITIONS)


def model_of(folder: Path, kind: str, side: str, pooling: str, *between: torch.nn.Module) -> SentenceTransformer:
    """A whole one; ``between`` stand before the pooling."""
    modules = [transformer(folder, kind, side), *between, Pooling(DIM, pooling)]
    return SentenceTransformer(modules=modules, device="cpu").double()


def static_model() -> SentenceTransformer:
    """A table of four words, of which the mean is taken."""
    words = ("[UNK]", "amber", "birch", "delta", "fjord")
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
