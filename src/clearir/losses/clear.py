"""CLEARLoss and CachedCLEARLoss for `SentenceTransformerTrainer`.

```python
from clearir import CLEARLoss

# columns: query, passage, negative_1..n, target_query, target_negative_1..m
trainer = SentenceTransformerTrainer(model=model, train_dataset=dataset, loss=CLEARLoss(model))
```
"""

from __future__ import annotations

from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.util import cos_sim

from clearir.losses.base import TEXTS_A_CHUNK, CachedObjectiveLoss, ObjectiveLoss
from clearir.losses.terms import SimilarityFunction


class CLEARLoss(ObjectiveLoss):
    """CLEAR: forward contrast, reverse training over the bridge, and a KL term that draws the two together.

    With L2-normalised embeddings, scale ``s`` and in-batch plus hard negatives (CLEAR, section 3):

    - forward: InfoNCE from the bridge query ``q_i`` to its passage ``d_i`` among all ``d`` and ``d-``;
    - reverse: InfoNCE from the passage ``d_i`` to its target-language query ``t_i`` among all ``t`` and ``t-``;
    - KL: ``KL(P_reverse_i || P_forward_i)``, column j against column j, gradients through both.

    ``loss = (1 - alpha - beta) * forward + alpha * reverse + beta * KL``, each a mean over the batch.

    False negatives never count: a candidate whose text equals the row's own positive, or that is the positive of
    another row with the same anchor text (several questions that share a passage), has probability 0 for that row,
    in either direction and in the KL. Texts are compared by token ids.

    Args:
        model: the model that is trained.
        alpha: weight of the reverse term (0.4 in the paper).
        beta: weight of the KL term (0.2 in the paper); 0 leaves it out.
        scale: 1 / temperature.
        similarity_fct: similarity of two matrices of embeddings. Scores are always computed in float32.
        num_negatives: hard-negative passages a row; the rest of the columns are hard-negative target queries. None:
            as many of both. Where the numbers differ, the KL term compares the distributions over the in-batch
            columns only, since the others have no partner.
        mask_false_negatives: see above.
        gather_across_devices: negatives from all processes, with gradients.
        packing: embed the distinct texts of all columns together, sorted by length, instead of each column by
            itself. Same loss and gradients, less padding. See `clearir.losses.packing`.

    Requirements:
        1. rows of (query, passage) in the bridge language with the query in the target language;
        2. better with hard negatives on both sides (`clearir mine`).

    Inputs:
        +----------------------------------------------------------------------------------+--------+
        | Columns                                                                          | Labels |
        +==================================================================================+========+
        | (query, passage, negative_1..n, target_query, target_negative_1..m)              | none   |
        +----------------------------------------------------------------------------------+--------+

    Relations:
        - `CachedCLEARLoss` is the same loss at a memory cost that does not grow with the batch.
        - ``MultipleNegativesRankingLoss`` over (query, passage, negatives) is the forward term alone.

    Raises:
        ValueError: alpha and beta leave no weight to the forward term.

    Example:
        ::

            from datasets import Dataset
            from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
            from clearir import CLEARLoss

            model = SentenceTransformer("BAAI/bge-m3")
            train_dataset = Dataset.from_dict({
                "query": ["how do I save a file", "where is the station"],
                "passage": ["Press Ctrl and S to save.", "The station is behind the church."],
                "target_query": ["kuinka tallennan tiedoston", "missä asema on"],
            })
            trainer = SentenceTransformerTrainer(
                model=model, train_dataset=train_dataset, loss=CLEARLoss(model)
            )
            trainer.train()
    """

    def __init__(
        self,
        model: SentenceTransformer,
        alpha: float = 0.4,
        beta: float = 0.2,
        scale: float = 20.0,
        similarity_fct: SimilarityFunction = cos_sim,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        gather_across_devices: bool = False,
        packing: bool = True,
    ) -> None:
        ObjectiveLoss.__init__(
            self,
            model,
            clear_weights(alpha, beta),
            scale,
            similarity_fct,
            num_negatives,
            mask_false_negatives,
            gather_across_devices,
            packing,
        )
        self.alpha = alpha
        self.beta = beta

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term; the KL term is there only where it counts."""
        return clear_weights(self.alpha, self.beta)

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card."""
        return {"alpha": self.alpha, "beta": self.beta, **self._common_config()}


def clear_weights(alpha: float, beta: float) -> dict[str, float]:
    """The terms of CLEAR (section 3): ``(1 - alpha - beta) * forward + alpha * reverse + beta * kl``.

    Raises:
        ValueError: alpha and beta leave no weight to the forward term.
    """
    forward = 1 - alpha - beta
    if alpha < 0 or beta < 0 or forward < -1e-9:
        raise ValueError(f"alpha={alpha} and beta={beta} must be at least 0 and at most 1 together")
    # 1 - 0.9 - 0.1 is a little below 0.
    return {"forward": max(0.0, forward), "reverse": alpha} | ({"kl": beta} if beta > 0 else {})


class CachedCLEARLoss(CachedObjectiveLoss, CLEARLoss):
    """`CLEARLoss` with gradient caching (GradCache, arXiv 2101.06983): large batches in the memory of a small one.

    The batch is embedded in chunks, which keep their graph as long as a memory budget allows; the others are embedded
    without one. The loss over the whole batch gives the gradient of every embedding. The kept graphs are sent
    backward first, which frees them; each other chunk is embedded again, with its dropout replayed, and its gradients
    are sent through the model. Same loss and same gradients as `CLEARLoss`, for any batch, mini-batch and budget; the
    time of one forward pass less where the batch fits in the budget.

    Args:
        mini_batch_size: texts a forward pass at most. With packing: texts of the longest kind; shorter texts go more
            at a time, at the same memory. On a CPU chunks stay below `clearir.losses.packing.TOKENS_A_CPU_CHUNK`.
        mini_batch_num_tokens: tokens a forward pass, instead of ``mini_batch_size``.
        memory_budget: bytes that the kept graphs of one batch may hold together, apart from the model, its gradients
            and the working memory of one chunk, whose own graph has to fit in any case. 0 keeps none. None: half of
            the memory that is free on the model's device when a batch comes (CPU and CUDA; elsewhere none is kept).
        show_progress_bar: a bar over the chunks of each batch.
        model: and all others: see `CLEARLoss`.
        alpha: see `CLEARLoss`.
        beta: see `CLEARLoss`.
        scale: see `CLEARLoss`.
        similarity_fct: see `CLEARLoss`.
        num_negatives: see `CLEARLoss`.
        mask_false_negatives: see `CLEARLoss`.
        gather_across_devices: see `CLEARLoss`.
        packing: see `CLEARLoss`.

    Raises:
        ValueError: the model embeds its input with a StaticEmbedding (its inputs have no batch axis to cut; it needs
            so little memory that `CLEARLoss` does it), a size is below 1 or the budget below 0.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        alpha: float = 0.4,
        beta: float = 0.2,
        scale: float = 20.0,
        similarity_fct: SimilarityFunction = cos_sim,
        num_negatives: int | None = None,
        mask_false_negatives: bool = True,
        gather_across_devices: bool = False,
        packing: bool = True,
        mini_batch_size: int = TEXTS_A_CHUNK,
        mini_batch_num_tokens: int | None = None,
        show_progress_bar: bool = False,
        memory_budget: int | None = None,
    ) -> None:
        self._check_cache(model, mini_batch_size, mini_batch_num_tokens, memory_budget)
        CLEARLoss.__init__(
            self,
            model,
            alpha,
            beta,
            scale,
            similarity_fct,
            num_negatives,
            mask_false_negatives,
            gather_across_devices,
            packing,
        )
        self._set_cache(mini_batch_size, mini_batch_num_tokens, show_progress_bar, memory_budget)
