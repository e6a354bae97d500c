"""Options that several commands of the command line share: how a model reads texts, and where vectors are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

QueryPrompt = Annotated[str | None, typer.Option(help="Before every query; default: the model's own.")]
PassagePrompt = Annotated[str | None, typer.Option(help="Before every passage; default: the model's own.")]
MaxSeqLength = Annotated[int | None, typer.Option(help="Tokens of a text that are read; default: the model's own.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with a model.")]
Cache = Annotated[Path | None, typer.Option(help="Folder of finished embeddings.")]
Vectors = Annotated[Path | None, typer.Option(help="Vectors of the passages (clearir encode).")]


def cache_folder(given: Path | None) -> Path:
    """Where embeddings are kept: the folder that was given, else one in the user's cache."""
    return given or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clearir" / "embeddings"
