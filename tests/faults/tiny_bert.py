"""A model so small that a test can train it, and what tests do to its training."""

from __future__ import annotations

import os
import signal
import string
from pathlib import Path
from typing import Any


def write_model(folder: Path) -> Path:
    """Write a random BERT of 2 layers and 16 dimensions that reads letters, and return its folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

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
    bert = folder / "bert"
    BertModel(config).save_pretrained(bert)
    numbers = {token: number for number, token in enumerate(vocabulary)}
    BertTokenizerFast(vocab=numbers, do_lower_case=True).save_pretrained(bert)
    model = SentenceTransformer(modules=[Transformer(str(bert), max_seq_length=64), Pooling(16, "mean")], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def descend(trainer: Any, model: Any = None) -> Any:
    """In place of `Trainer.create_optimizer`: plain gradient descent, where two ways of computing are compared.

    Adam divides a gradient by its own size: where that is nearly zero, rounding alone decides which way a step goes.
    """
    import torch

    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=trainer.args.learning_rate)
    return trainer.optimizer


def end_in_step(number: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Let this process end when its trainings begin their step ``number``."""
    from clearir.training.trainer import Trainer

    step = Trainer.training_step

    def deadly(trainer: Any, *arguments: Any, **named: Any) -> Any:
        if trainer.state.global_step == number - 1:
            os.kill(os.getpid(), how)
        return step(trainer, *arguments, **named)

    Trainer.training_step = deadly  # type: ignore[method-assign]
