"""CLEARLoss and CachedCLEARLoss for `SentenceTransformerTrainer`.

```python
from clearir import CLEARLoss

# columns: query, passage, negative_1..n, target_query, target_negative_1..m
trainer = SentenceTransformerTrainer(model=model, train_dataset=dataset, loss=CLEARLoss(model))
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentence_transformers import SentenceTransformer

from clearir.losses.base import CachedObjectiveLoss, GradientCached, ObjectiveLoss

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clearir.losses.base import CachedLossOptions, LossOptions


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
        options: those of `clearir.losses.base.ObjectiveLoss`, by name. Where ``num_negatives`` leaves other numbers on
            the two sides, the KL term compares the distributions over the in-batch columns only, since the others
            have no partner.

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
        **options: Unpack[LossOptions],
    ) -> None:
        super().__init__(model, clear_weights(alpha, beta), scale, **options)
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
    """`CLEARLoss` with gradient caching (`GradientCached`): same loss, same gradients, any batch size.

    Args:
        model: see `CLEARLoss`.
        alpha: see `CLEARLoss`.
        beta: see `CLEARLoss`.
        scale: see `CLEARLoss`.
        options: those of `CLEARLoss` and of `GradientCached`, by name.

    Raises:
        ValueError: see both.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        alpha: float = 0.4,
        beta: float = 0.2,
        scale: float = 20.0,
        **options: Unpack[CachedLossOptions],
    ) -> None:
        GradientCached.__init__(self, model, alpha, beta, scale, **options)
