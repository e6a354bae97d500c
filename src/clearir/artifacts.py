"""Outputs on disk: whole or absent, each with a manifest that tells what made it.

A stage writes a folder. Its ``manifest.json`` is written last inside a folder that is then renamed into place, so a
folder under its final name is finished. The manifest holds the settings and the fingerprints of the inputs; run again
with the same ones, the stage is skipped; with other ones it stops and asks for ``overwrite``.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from clearir.disk import told
from clearir.errors import InputError

MANIFEST = "manifest.json"


def cache_home() -> Path:
    """Where things are kept that can be made again: ``$CLEARIR_CACHE``, else ``clearir`` in the user's cache."""
    given = os.environ.get("CLEARIR_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clearir"


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that are the same for the same JSON value, on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def path_fingerprint(path: Path) -> str:
    """Fingerprint of a file's bytes, or of all files in a folder (names and bytes, hidden files left out)."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        name = "" if path.is_file() else file.relative_to(path).as_posix()
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        digest.update(name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _prefix(path: Path) -> str:
    return f".{path.name}.{os.getpid()}."


def _sweep(path: Path) -> None:
    """Remove what processes that are gone left half-written for ``path``.

    One that was killed between taking the old folder away and putting the new one there left the old one as ``.old``;
    it is put back.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.*"):
        process = leftover.name.removeprefix(f".{path.name}.").partition(".")[0]
        if not process.isdigit() or psutil.pid_exists(int(process)):
            continue
        if leftover.suffix == ".old" and not path.exists():
            leftover.replace(path)
        elif leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``; it takes the name ``path`` when the block ends well and vanishes when it fails.

    Raises:
        InputError: the disk is full, or may not be written to.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600; a result has the rights of any other file
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_file` for a folder. What was at ``path`` is kept until the new folder is whole."""
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        old = temporary.with_name(temporary.name + ".old")
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            _take_the_name(temporary, path, old)
        finally:
            for leftover in (temporary, old):
                shutil.rmtree(leftover, ignore_errors=True)


def _take_the_name(temporary: Path, path: Path, old: Path) -> None:
    if path.exists():
        path.replace(old)
    try:
        temporary.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable UTF-8 JSON, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: there is no such file, or it holds no JSON; the message names file and line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg}); make it again") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not usable JSON ({error}); make it again") from error


def is_finished(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether ``folder`` is the finished output of a stage with these settings."""
    manifest = folder / MANIFEST
    return manifest.is_file() and read_json(manifest).get("fingerprint") == fingerprint(settings)


def is_due(folder: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> bool:
    """Whether `run_stage` would do the work.

    Raises:
        InputError: ``folder`` holds something else and ``overwrite`` is off.
    """
    if is_finished(folder, settings):
        return False
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise InputError(
            f"{folder} holds the output of other settings; choose another output folder or add --overwrite"
        )
    return True


def run_stage(
    folder: Path,
    settings: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any] | None],
    *,
    overwrite: bool = False,
) -> bool:
    """Run ``make(temporary_folder)`` unless ``folder`` already is what it would make.

    Args:
        folder: the final place of the output.
        settings: everything that the output depends on, as JSON values (settings, fingerprints of inputs, seed).
        make: writes the output into the folder it gets; what it returns is kept in the manifest as ``"result"``.
        overwrite: replace an output that other settings made.

    Returns:
        True if the work was done now, False if it was already there.

    Raises:
        InputError: ``folder`` holds something else and ``overwrite`` is off.
    """
    if not is_due(folder, settings, overwrite=overwrite):
        return False
    with atomic_folder(folder) as temporary:
        write_manifest(temporary, settings, make(temporary))
    return True


def write_manifest(folder: Path, settings: Mapping[str, Any], result: Mapping[str, Any] | None) -> None:
    """Say that ``folder`` is the finished output of a stage with these settings."""
    from clearir import __version__

    write_json(
        folder / MANIFEST,
        {
            "fingerprint": fingerprint(settings),
            "clearir": __version__,
            "settings": dict(settings),
            "result": None if result is None else dict(result),
        },
    )
