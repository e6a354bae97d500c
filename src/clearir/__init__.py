"""clearir: cross-lingual retrieval with CLEAR (reverse training over an English bridge).

Heavy names are imported when they are first used, so that ``import clearir`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clearir.support import version

if TYPE_CHECKING:
    from clearir.evaluation.compare import compare
    from clearir.evaluation.matrix import evaluate
    from clearir.losses import (
        CachedCLEARLoss,
        CachedObjectiveLoss,
        CachedRerankingLoss,
        CLEARLoss,
        ObjectiveLoss,
        RerankingLoss,
        best_scale,
    )
    from clearir.runs.prepare_run import prepare
    from clearir.runs.recipe import load_recipe
    from clearir.training.mine import mine
    from clearir.training.train import train

__version__ = version.VERSION
_PUBLIC = {
    "CLEARLoss": "clearir.losses",
    "CachedCLEARLoss": "clearir.losses",
    "CachedObjectiveLoss": "clearir.losses",
    "CachedRerankingLoss": "clearir.losses",
    "ObjectiveLoss": "clearir.losses",
    "RerankingLoss": "clearir.losses",
    "best_scale": "clearir.losses",
    "compare": "clearir.evaluation.compare",
    "evaluate": "clearir.evaluation.matrix",
    "load_recipe": "clearir.runs.recipe",
    "mine": "clearir.training.mine",
    "prepare": "clearir.runs.prepare_run",
    "train": "clearir.training.train",
}
__all__ = [
    "CLEARLoss",
    "CachedCLEARLoss",
    "CachedObjectiveLoss",
    "CachedRerankingLoss",
    "ObjectiveLoss",
    "RerankingLoss",
    "__version__",
    "best_scale",
    "compare",
    "evaluate",
    "load_recipe",
    "mine",
    "prepare",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
