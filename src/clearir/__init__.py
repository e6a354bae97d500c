"""clearir: cross-lingual retrieval with CLEAR (reverse training over an English bridge).

Heavy names are imported when they are first used, so that ``import clearir`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearir.losses import CachedCLEARLoss, CLEARLoss

__version__ = "0.1.0"

_PUBLIC = {"CLEARLoss": "clearir.losses", "CachedCLEARLoss": "clearir.losses"}
__all__ = ["CLEARLoss", "CachedCLEARLoss", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
