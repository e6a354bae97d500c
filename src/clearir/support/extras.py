"""Optional dependencies: import them, or say what to type."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from clearir.support.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, which the extra ``extra`` installs.

    Raises:
        MissingExtraError: it is not installed; the message is the command to type.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'{module.partition(".")[0]} is not installed; run: pip install "clearir[{extra}]"'
        ) from error
