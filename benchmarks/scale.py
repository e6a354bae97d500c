"""What a batch, a model and a corpus need: by arithmetic, and measured on this machine.

```
python benchmarks/scale.py memory                 # the memory table of docs/scale.md: arithmetic, no model is loaded
python benchmarks/scale.py words                  # the same for a table of words that is trained in part
python benchmarks/scale.py measure > points.json  # of one core: passages encoded and rows trained on a second
python benchmarks/scale.py extrapolate points.json
```
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GB = 1e9
FLOAT = 4


@dataclass(frozen=True)
class Encoder:
    """The sizes of a BERT-like encoder, as its config.json names them."""

    name: str
    hidden: int
    layers: int
    intermediate: int
    heads: int
    vocabulary: int
    positions: int
    token_types: int

    @classmethod
    def of(cls, config: Any) -> Encoder:
        """Read them off a configuration of transformers."""
        return cls(
            "",
            config.hidden_size,
            config.num_hidden_layers,
            config.intermediate_size,
            config.num_attention_heads,
            config.vocab_size,
            config.max_position_embeddings,
            config.type_vocab_size,
        )

    @property
    def parameters(self) -> int:
        """Of embeddings, layers and pooler."""
        h, i = self.hidden, self.intermediate
        embeddings = (self.vocabulary + self.positions + self.token_types) * h + 2 * h
        attention = 4 * (h * h + h) + 2 * h
        feed_forward = h * i + i + i * h + h + 2 * h
        return embeddings + self.layers * (attention + feed_forward) + h * h + h

    def trained(self, words: int | None = None) -> int:
        """Parameters that are trained where ``words`` of the vocabulary are in use; None: all."""
        return self.parameters - (0 if words is None else (self.vocabulary - words) * self.hidden)

    def graph_bytes(self, tokens: int, width: int, *, matrices: bool, mask_bytes: int) -> int:
        """What the backward pass needs of one forward pass, in float32 with dropout.

        A token and layer keep eight vectors as long as ``hidden`` (the layer's input, query, key, value, their
        mixture, and of the two sums the input of the layer norm and once more its output) and two as long as
        ``intermediate``, and the masks of two dropouts.

        Args:
            tokens: computed, padding included.
            width: of a text.
            matrices: whether the attention of every pair of tokens is kept (weights before and after dropout, and its
                mask), as on a CPU; flash attention keeps none.
            mask_bytes: of a value in a dropout's mask: 4 on a CPU, 1 on CUDA.
        """
        h, i = self.hidden, self.intermediate
        pairs = self.heads * width if matrices else 0
        layer = FLOAT * (8 * h + 2 * i + 4 + 2 * pairs) + mask_bytes * (2 * h + pairs)
        ends = FLOAT * 2 * h + mask_bytes * h  # embeddings and the last layer's output
        return tokens * (self.layers * layer + ends)


#: the models of the table, with the sizes of their published configurations
E5_SMALL = Encoder("multilingual-e5-small", 384, 12, 1536, 12, 250037, 512, 2)
MINILM = Encoder("all-MiniLM-L6-v2", 384, 6, 1536, 12, 30522, 512, 2)
E5_BASE = Encoder("multilingual-e5-base", 768, 12, 3072, 12, 250002, 514, 1)
BGE_M3 = Encoder("bge-m3", 1024, 24, 4096, 16, 250002, 8194, 1)


@dataclass(frozen=True)
class Need:
    """Bytes of one process in training.

    Attributes:
        state: weights, gradients and Adam's two moments, each 4 bytes a parameter; of a table of words of which not all
            are in use, also the whole one.
        buckets: in which DistributedDataParallel sends gradients; none with one process.
        chunk: the graph of one mini-batch, which the cached loss needs at least.
        whole: the graphs of all texts of the batch, which the loss without a cache needs.
        embeddings: of the batch, their gradients, and the scores of its rows against those of all processes.
    """

    state: int
    buckets: int
    chunk: int
    whole: int
    embeddings: int

    @property
    def cached(self) -> int:
        """With the cached loss and no budget for graphs."""
        return self.state + self.buckets + self.chunk + self.embeddings

    @property
    def plain(self) -> int:
        """With the loss without a cache."""
        return self.state + self.buckets + self.whole + self.embeddings


def need(
    encoder: Encoder,
    batch: int,
    length: int,
    *,
    negatives: int = 5,
    mini_batch: int = 32,
    processes: int = 1,
    words: int | None = None,
) -> Need:
    """The memory of one process on CUDA with flash attention, if every text is ``length`` tokens long.

    Args:
        encoder: the model.
        batch: rows a process.
        length: tokens of a text.
        negatives: passages a row, and as many target queries.
        mini_batch: texts a forward pass.
        processes: that gather their negatives.
        words: of the vocabulary, in use; None: the whole table is trained.
    """
    trained = encoder.trained(words)
    frozen = 0 if words is None else encoder.vocabulary * encoder.hidden
    texts = batch * (3 + 2 * negatives)
    all_rows = batch * processes
    gathered = all_rows * (3 + 2 * negatives) * encoder.hidden
    scores = 2 * batch * all_rows * (1 + negatives)  # queries against passages, and passages against target queries
    return Need(
        state=16 * trained + FLOAT * frozen,
        buckets=4 * trained if processes > 1 else 0,
        chunk=encoder.graph_bytes(min(mini_batch, texts) * length, length, matrices=False, mask_bytes=1),
        whole=encoder.graph_bytes(texts * length, length, matrices=False, mask_bytes=1),
        embeddings=FLOAT * (2 * texts * encoder.hidden + 2 * gathered + 3 * scores),
    )


def memory_table() -> str:
    """Markdown: memory of one of 8 processes, in GB."""
    head = ["model", "parameters", "batch", "length", "state", "a chunk", "all texts", "cached", "plain"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for encoder in (MINILM, E5_BASE, BGE_M3):
        for batch, length in ((64, 128), (64, 512), (256, 512)):
            one = need(encoder, batch, length, processes=8)
            sizes = [one.state + one.buckets, one.chunk, one.whole, one.cached, one.plain]
            cells = [encoder.name, f"{encoder.parameters / 1e6:.0f} M", str(batch), str(length)]
            lines.append(f"| {' | '.join([*cells, *(f'{size / GB:.1f}' for size in sizes)])} |")
    return "\n".join(lines)


def words_table() -> str:
    """Markdown: weights, gradients and moments, and a checkpoint (weights and moments), by words in use; in GB."""
    head = ["model", "words in use", "trained parameters", "state", "checkpoint"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for encoder in (E5_SMALL, E5_BASE, BGE_M3):
        for words in (None, 12_000, 50_000):
            trained = encoder.trained(words)
            sizes = [need(encoder, 1, 1, words=words).state, 12 * trained]
            name = f"all {encoder.vocabulary:,}" if words is None else f"{words:,}"
            cells = [encoder.name, name, f"{trained / 1e6:.0f} M", *(f"{size / GB:.1f}" for size in sizes)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def measure(data: Path) -> dict[str, Any]:
    """Rates of all-MiniLM-L6-v2 on one processor core, by processor time: other work does not count.

    Texts are SQuAD's in Finnish and English (squad-fi), read up to 256 tokens: 512 passages are encoded, and one batch
    of rows is trained on.
    """
    import time

    import torch

    from clearir.losses import CachedCLEARLoss
    from clearir.models.encode import encode
    from clearir.models.load import load_model
    from common import draw_columns, machine, minilm, triples

    torch.set_num_threads(1)
    rows = triples("squad-fi", data)
    model = load_model(minilm(), device="cpu", max_seq_length=256)
    passages = list(dict.fromkeys(passage for _, passage, _ in rows))[:512]
    encode(model, passages[:32])  # what is done once

    begin = time.process_time()
    encode(model, passages)
    encoding = len(passages) / (time.process_time() - begin)

    batch, negatives = 16, 1
    loss = CachedCLEARLoss(model.train())
    features = [model.preprocess(column) for column in draw_columns(rows, batch, negatives, seed=0)]
    begin = time.process_time()
    loss(features, None).backward()
    training = batch / (time.process_time() - begin)
    return {
        "machine": machine(1),
        "model": "all-MiniLM-L6-v2",
        "encoding": {"passages": len(passages), "passages_a_second": round(encoding, 1)},
        "training": {"batch": batch, "negatives": negatives, "rows_a_second": round(training, 2)},
    }


@dataclass(frozen=True)
class Extrapolation:
    """What follows from a measured rate if time is proportional to texts and cores. Nothing of it is measured.

    Attributes:
        passages: of the corpus.
        core_hours: to encode them.
        vector_gb: of their vectors in float32.
    """

    passages: int
    core_hours: float
    vector_gb: float


def extrapolate(passages: int, rate: float, dimensions: int) -> Extrapolation:
    """Encoding ``passages`` at ``rate`` passages a second and core."""
    return Extrapolation(passages, passages / rate / 3600, passages * dimensions * FLOAT / GB)


def extrapolation_table(points: dict[str, Any]) -> str:
    """Markdown, for several sizes of a corpus."""
    rate = points["encoding"]["passages_a_second"]
    lines = ["| passages | core hours | on 64 cores | vectors |", "|---|---|---|---|"]
    for passages in (100_000, 1_000_000, 10_000_000):
        one = extrapolate(passages, rate, MINILM.hidden)
        lines.append(
            f"| {passages:,} | {one.core_hours:,.1f} h | {one.core_hours / 64:,.2f} h | {one.vector_gb:,.2f} GB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "words", "measure", "extrapolate"))
    parser.add_argument("points", nargs="?", type=Path, help="what measure printed")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    if asked.what == "memory":
        print(memory_table())
    elif asked.what == "words":
        print(words_table())
    elif asked.what == "measure":
        print(json.dumps(measure(asked.data), indent=1))
    elif asked.points is None:
        parser.error("give the file that measure printed into")
    else:
        print(extrapolation_table(json.loads(asked.points.read_text())))


if __name__ == "__main__":
    main()
