"""The Hugging Face Hub: asked once whether it answers, so that a name that cannot be had fails at once and quietly.

The libraries ask for each of a model's files, several times, and say so each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_TIMEOUT = 10.0  # seconds


def answers(name: str) -> bool:
    """Whether the Hub answers when it is asked for a model, be it with a refusal. False in offline mode."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(name, timeout=_TIMEOUT)
    except (HfHubHTTPError, HFValidationError):
        return True
    except Exception:  # no network, no name server, offline mode: what is raised depends on the HTTP library
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Without a line for every try that fails: the last one is an error, with a message of ours."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
