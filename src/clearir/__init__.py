"""clearir: cross-lingual retrieval with CLEAR (reverse training over an English bridge).

Heavy names are imported when they are first used, so that ``import clearir`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearir.losses import CachedCLEARLoss, CachedObjectiveLoss, CLEARLoss, ObjectiveLoss, best_scale

__version__ = "0.1.0"

_LOSSES = ("CLEARLoss", "CachedCLEARLoss", "ObjectiveLoss", "CachedObjectiveLoss", "best_scale")
_PUBLIC = dict.fromkeys(_LOSSES, "clearir.losses")
__all__ = ["CLEARLoss", "CachedCLEARLoss", "CachedObjectiveLoss", "ObjectiveLoss", "best_scale", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
