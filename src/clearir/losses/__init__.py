"""The CLEAR losses and their rivals: terms on score matrices, packing of columns, and the modules a Trainer takes.

Nothing here imports the rest of clearir: the loss can be taken alone.
"""

from __future__ import annotations

from clearir.losses.base import CachedObjectiveLoss, ObjectiveLoss
from clearir.losses.clear import CachedCLEARLoss, CLEARLoss
from clearir.losses.reranking import CachedRerankingLoss, RerankingLoss
from clearir.losses.scale import best_scale

__all__ = [
    "CLEARLoss",
    "CachedCLEARLoss",
    "CachedObjectiveLoss",
    "CachedRerankingLoss",
    "ObjectiveLoss",
    "RerankingLoss",
    "best_scale",
]
