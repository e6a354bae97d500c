"""The version of clearir, which stands in everything that it writes."""

from __future__ import annotations

VERSION = "0.1.0"
