"""Rerankers that are made of an encoder: its layers up to one, and a head that is fitted before any training.

```python
model = load_reranker("intfloat/multilingual-e5-small", new_head=True)      # its head is random
fit = fit_head(model, [("how do I save", ["Press Ctrl and S ...", "Choose File - Open ..."]), ...])
fit.sentence        # which layers it has now, and how well it tells passages apart
```

The last layers of an encoder for search make one vector of all tokens. Whether a query and a passage that are read
together belong to each other shows some layers below, also in one that has never read pairs (docs/reranking.md,
Layers). So the layers above the best one are left out. The head is fitted while the layers are frozen: a random one
would send random gradients into them, and what they know would be lost (arXiv 2202.10054).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clearir.models.encode import in_batches, token_counts
from clearir.models.load import drawn_with
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from torch import Tensor, nn

#: lists that a head is fitted to, and the share of them that it is judged by
LISTS, HELD_OUT = 300, 0.2
#: what the squared weights of a head may cost; the best is taken
PENALTIES = (0.01, 0.1, 1.0)

NO_WRONG_ANSWERS = (
    "the rows have no hard negatives, which a reranker's wrong answers are; set mine.negatives=5, or use rows that "
    "have some"
)

#: a query, and passages: the right one, then wrong ones
CandidateList = tuple[str, Sequence[str]]


@dataclass(frozen=True)
class HeadFit:
    """How a head was fitted.

    Attributes:
        layers: of the network that are left.
        of: layers that it had.
        cross_entropy: in nats, of the right passage in lists that were held out, for a head on each layer from the
            first on.
        chance: cross-entropy of a guess.
        lists: how many there were.
    """

    layers: int
    of: int
    cross_entropy: tuple[float, ...]
    chance: float
    lists: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        best = min(self.cross_entropy)
        return (
            f"new head: fitted to layer {self.layers} of {self.of} with {self.lists} lists of candidates; "
            f"cross-entropy {best:.2f}, by chance {self.chance:.2f}"
        )


def with_new_head(encoder: SentenceTransformer, name: str, *, seed: int = 0) -> CrossEncoder:
    """A reranker of an encoder's network: the first token's vector and the mean of all, and a linear head on both.

    Args:
        encoder: a model that gives a vector for each text. Its network becomes the reranker's.
        name: of the encoder, for messages.
        seed: of the head.

    Raises:
        InputError: the encoder is no transformer.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling

    transformer = encoder[0]
    if not isinstance(transformer, Transformer):
        raise InputError(
            f"{name}: its first module is {type(transformer).__name__}, which cannot read a query and a passage "
            "together; name a transformer, such as intfloat/multilingual-e5-small"
        )
    dim = transformer.get_embedding_dimension()
    pooling = Pooling(dim, ("cls", "mean"))
    with drawn_with(seed):
        head = Dense(pooling.pooling_output_dimension, 1, activation_function=None, module_output_name="scores")
    model: CrossEncoder = CrossEncoder(modules=[transformer, pooling, head], device=str(encoder.device))
    return model


def fit_head(model: CrossEncoder, lists: Sequence[CandidateList], *, seed: int = 0) -> HeadFit:
    """Leave out the layers above the one in which matches show best, and fit the head to it.

    For each layer a linear head is fitted to frozen vectors: least cross-entropy of the right passage in its list, plus
    a penalty on its squared weights. Layer and penalty are those of least cross-entropy in the lists that are held
    out. The head is fitted again with all lists, to what the shorter network gives.

    Args:
        model: as `with_new_head` made it; changed in place.
        lists: at least two, with equally many passages each. Of more than `LISTS` some are drawn.
        seed: of the draw.

    Raises:
        InputError: too few lists, or lists without wrong passages.
    """
    if any(len(passages) < 2 for _, passages in lists):
        raise InputError(NO_WRONG_ANSWERS)
    if len(lists) < 2:
        raise InputError("a new head needs at least 2 rows with hard negatives to be fitted to; give more rows")
    lists = random.Random(seed).sample(list(lists), min(LISTS, len(lists)))  # noqa: S311
    count = max(1, round(HELD_OUT * len(lists)))
    network: Any = model.transformers_model
    layers = _layers_of(network)
    depth = network.config.num_hidden_layers
    vectors = _vectors(model, lists, every_layer=layers is not None)
    found = [_judged(vectors[:, :, layer], count) for layer in range(vectors.shape[2])]
    best = min(range(len(found)), key=lambda layer: found[layer][0])
    if layers is not None:
        _keep_layers(network, layers, best + 1)
    weight, bias = _fitted(_vectors(model, lists, every_layer=False)[:, :, 0], found[best][1])
    linear: Any = model[-1].linear
    linear.weight.data.copy_(weight.unsqueeze(0))
    linear.bias.data.fill_(bias)
    return HeadFit(
        layers=best + 1 if layers is not None else depth,
        of=depth,
        cross_entropy=tuple(round(one, 4) for one, _ in found),
        chance=math.log(vectors.shape[1]),
        lists=len(lists),
    )


def _layers_of(network: nn.Module) -> nn.ModuleList | None:
    """The layers of a network, if they are where transformers has them; else all are kept."""
    from torch import nn

    count = getattr(network.config, "num_hidden_layers", None)
    return next((one for one in network.modules() if isinstance(one, nn.ModuleList) and len(one) == count), None)


def _keep_layers(network: Any, layers: nn.ModuleList, count: int) -> None:
    """Leave out the layers behind the first ``count``, of the configuration too."""
    del layers[count:]
    network.config.num_hidden_layers = count
    if (types := getattr(network.config, "layer_types", None)) is not None:
        network.config.layer_types = types[:count]


def _vectors(model: CrossEncoder, lists: Sequence[CandidateList], *, every_layer: bool) -> Tensor:
    """What the head would read of each pair, float32 ``(lists, passages, layers, dim)``; of the last layer alone, or
    of every one from the first on.
    """
    import torch
    from sentence_transformers.util import batch_to_device

    pairs = [(query, passage) for query, passages in lists for passage in passages]
    distinct = list(dict.fromkeys(pairs))
    lengths = token_counts(model, [query for query, _ in distinct], "", [passage for _, passage in distinct])
    network: Any = model.transformers_model
    pooling = model[1]

    def read(batch: list[tuple[str, str]]) -> list[Tensor]:
        features = batch_to_device(model.preprocess(batch), model.device)
        if every_layer:
            tokens = {name: features[name] for name in model.tokenizer.model_input_names if name in features}
            states = network(**tokens, output_hidden_states=True).hidden_states[1:]  # the first is the table of words
        else:
            states = [model[0](features)["token_embeddings"]]
        pooled = [pooling({**features, "token_embeddings": one})["sentence_embedding"] for one in states]
        return list(torch.stack(pooled, dim=1).float().cpu())

    found: dict[tuple[str, str], Tensor] = {}
    for some in in_batches(model, distinct, lengths, read, description="Fitting the head"):
        found.update(some)
    vectors: Tensor = torch.stack([found[pair] for pair in pairs]).unflatten(0, (len(lists), -1))
    return vectors


def _judged(vectors: Tensor, count: int) -> tuple[float, float]:
    """The least cross-entropy in the last ``count`` lists of a head that is fitted to the others; and its penalty."""
    learn = vectors[:-count] if len(vectors) > count else vectors
    found = []
    for penalty in PENALTIES:
        weight, bias = _fitted(learn, penalty)
        scores = vectors[-count:] @ weight + bias
        found.append((-float(scores.log_softmax(1)[:, 0].mean()), penalty))
    return min(found)


def _fitted(vectors: Tensor, penalty: float) -> tuple[Tensor, float]:
    """A linear head by L-BFGS: the weights ``(dim,)`` and a bias that puts the mean score at 0.

    Dimensions are brought to unit variance first, so that the penalty means the same for each; those that hardly vary
    are left nearly as small as they are.

    Args:
        vectors: ``(lists, passages, dim)``, the right passage first.
        penalty: see `PENALTIES`.
    """
    import torch

    middle, spread = vectors.mean((0, 1)), vectors.std((0, 1))
    spread = spread.clamp_min(max(0.1 * float(spread.median()), 1e-6))
    scaled = (vectors - middle) / spread
    weight = torch.zeros(vectors.shape[-1], requires_grad=True)
    search = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        search.zero_grad()
        loss: torch.Tensor = -(scaled @ weight).log_softmax(1)[:, 0].mean() + penalty * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        search.step(cost)
    found = weight.detach() / spread
    return found, -float(found @ middle)
