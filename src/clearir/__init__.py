"""clearir: cross-lingual retrieval with CLEAR (reverse training over an English bridge)."""

from __future__ import annotations

__version__ = "0.1.0"
