"""A small index that several tests search, made by the tiny model."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearir.data.passages import Corpus, Passage

PASSAGES = (
    Passage("gimp", "edit photos and draw pictures", "image editor", "en", {"section": "graphics", "size": 20}),
    Passage("chess", "play chess against the machine", "board game", "en", {"section": "games", "size": 3}),
    Passage("luks", "encrypt a disk", "disk encryption", "en", {"section": "admin", "size": 5, "free": True}),
    Passage("vim", "edit text fast", "text editor", "en", {"section": "editors", "size": 7, "o'hara": "it's"}),
    Passage("shakki", "pelaa shakkia", "peli", "fi", {"section": "games", "size": 2}),
    Passage("chess-uk", "гра в шахи", "", "uk", {"section": "games"}),
)


@pytest.fixture(scope="session")
def module_at() -> Callable[[Path], Any]:
    """A function that imports a file that is in no package."""

    def load(path: Path) -> Any:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus("by hand", PASSAGES)


@pytest.fixture(scope="session")
def index_path(corpus: Corpus, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search.index import build_index

    folder = tmp_path_factory.mktemp("search")
    build_index(corpus, str(tiny_model_path), folder / "index", cache=folder / "cache")
    return folder / "index"


@pytest.fixture(scope="session")
def other_index_path(corpus: Corpus, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus by another model: the tiny one that reads 4 tokens of a text."""
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search.index import build_index

    folder = tmp_path_factory.mktemp("search")
    build_index(corpus, str(tiny_model_path), folder / "base", cache=folder / "cache", max_seq_length=4)
    return folder / "base"
