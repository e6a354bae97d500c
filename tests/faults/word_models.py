"""Random models of one small table of words each, with tokenizers of the kinds that multilingual models have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LATIN, TELUGU = "abcdehlorstw", "నమస్తే"
#: beside special words and single characters; of each kind the one with a word too many, which no test text has
WORDS = ["▁the", "▁cat", "▁hello", "llo", "▁నమస్తే", "▁the▁cat"]


def unigram() -> Tokenizer:
    """As XLM-R's and multilingual-e5's."""
    singles = ["▁", *LATIN, *dict.fromkeys(TELUGU), ".", "я"]
    scored = [(word, 0.0) for word in ("<s>", "<pad>", "</s>", "<unk>")]
    scored += [(word, -2.0) for word in WORDS] + [(one, -6.0) for one in singles]
    backend = Tokenizer(models.Unigram(scored, unk_id=3))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])  # the mask after all others
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return backend


def word_piece() -> Tokenizer:
    """As multilingual BERT's; the special words do not stand at the beginning."""
    singles = [*LATIN, *dict.fromkeys(TELUGU), ".", "я"]
    pieces = ["the", "cat", "hello", "##llo", "నమస్తే", "hellothe", *singles, *(f"##{one}" for one in singles)]
    pieces += ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    numbers = backend.get_vocab()
    backend.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    return backend


def byte_pairs() -> Tokenizer:
    """As RoBERTa's and Qwen's: words of bytes, merged in order."""
    merges = [("h", "e"), ("t", "he"), ("Ġ", "the"), ("l", "l"), ("ll", "o"), ("he", "llo"), ("a", "t"), ("c", "at")]
    merges += [("Ġ", "cat"), ("à", "°"), ("s", "t"), ("st", "o")]  # "sto" no test text has
    pieces = ["<s>", "</s>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(one) for one in merges)]
    backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>", "<pad>"])
    backend.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.RobertaProcessing(("</s>", 1), ("<s>", 0))]
    )
    return backend


KINDS: dict[str, Callable[[], Tokenizer]] = {"Unigram": unigram, "WordPiece": word_piece, "BPE": byte_pairs}


def write_model(folder: Path, backend: Tokenizer, *, prompts: dict[str, str] | None = None) -> Path:
    """A BERT of one layer and 16 dimensions; its table has three rows more than there are words, as e5's has."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names: dict[str, Any] = {}
    for name, spellings in {"pad": ("<pad>", "[PAD]"), "unk": ("<unk>", "[UNK]"), "mask": ("<mask>",)}.items():
        found = [word for word in spellings if backend.token_to_id(word) is not None]
        names |= {f"{name}_token": word for word in found}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=backend.get_vocab_size() + 3,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        pad_token_id=backend.token_to_id(names["pad_token"]),
    )
    bert = folder / "bert"
    BertModel(config).save_pretrained(bert)
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names).save_pretrained(bert)
    modules = [Transformer(str(bert), max_seq_length=64), Pooling(16, "mean")]
    network = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    network.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def write_static(folder: Path, backend: Tokenizer) -> Path:
    """A model that is nothing but its table of words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    network = SentenceTransformer(modules=[StaticEmbedding(backend, embedding_dim=8)], device="cpu")
    network.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"
