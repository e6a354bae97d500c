"""Outputs on disk: whole or absent, each with a manifest that tells what made it.

A stage writes a folder. Its ``manifest.json`` is written last inside a folder that is then renamed into place, so a
folder under its final name is finished. The manifest holds the settings and the fingerprints of the inputs; run again
with the same ones, the stage is skipped; with other ones it says which they are and asks for ``overwrite``. A folder
that holds anything else is never replaced.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import psutil

from clearir.support.disk import disk_errors
from clearir.support.errors import InputError
from clearir.support.locks import alone
from clearir.support.version import VERSION

MANIFEST = "manifest.json"


def cache_home() -> Path:
    """Where things are kept that can be made again: ``$CLEARIR_CACHE``, else ``clearir`` in the user's cache."""
    given = os.environ.get("CLEARIR_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clearir"


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits that are the same for the same JSON value, on every machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def path_fingerprint(path: Path, but: Collection[str] = ()) -> str:
    """Fingerprint of a file's bytes, or of all files in a folder (names and bytes, hidden files left out).

    As fast as the disk, or about a second for each 5 GB that the system has in memory.

    Args:
        path: file or folder.
        but: names of files that are left out too.
    """
    import xxhash

    digest = xxhash.xxh3_64()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        name = "" if path.is_file() else file.relative_to(path).as_posix()
        if file.name in but or any(part.startswith(".") for part in Path(name).parts):
            continue
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return str(digest.hexdigest())


#: what may lie beside a model's files without being a part of it
_BESIDE_A_MODEL = ("README.md", MANIFEST, "training.json", "merge.json")


def model_content(path: Path) -> str:
    """Fingerprint of a saved model, a folder or file: what it is loaded from. Read again only after a change."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = {file: file.stat() for file in sorted(files)}
    return _model_content(path, tuple((file, one.st_size, one.st_mtime_ns, one.st_ino) for file, one in stats.items()))


@lru_cache
def _model_content(path: Path, stamp: tuple[Any, ...]) -> str:
    return path_fingerprint(path, but=_BESIDE_A_MODEL)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@cache
def _machine() -> str:
    """8 hexadecimal digits of where this process's number means something: a machine, or a container on it."""
    numbers = ""
    with suppress(OSError):
        numbers = str(Path("/proc/self/ns/pid").readlink())
    return fingerprint([socket.gethostname(), numbers])[:8]


def _prefix(path: Path) -> str:
    return f".{path.name}.{_machine()}-{os.getpid()}."


def _sweep(path: Path) -> None:
    """Remove what processes of this machine that are gone left half-written for ``path``.

    One that was killed between taking the old folder away and putting the new one there left the old one as ``.old``;
    it is put back.
    """
    ours = f".{path.name}.{_machine()}-"
    for leftover in path.parent.glob(f"{glob.escape(ours)}*.*"):
        process = leftover.name.removeprefix(ours).partition(".")[0]
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
    with disk_errors(path):
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
def atomic_folder(path: Path, mark: str = MANIFEST) -> Iterator[Path]:
    """Like `atomic_file` for a folder. What was at ``path`` is kept until the new folder is whole.

    Args:
        path: the folder's name.
        mark: a file that every folder of this kind has. One without it is not ours, and is not replaced.

    Raises:
        InputError: ``path`` holds something else, another process writes it, or the disk is at fault.
    """
    with disk_errors(path), alone(path):
        _sweep(path)
        check_replaceable(path, mark)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            check_replaceable(path, mark)
            replace_folder(path, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path, mark: str = MANIFEST) -> None:
    """
    Raises:
        InputError: ``path`` is a file, or a folder with files but no ``mark`` in it.
    """
    if path.is_dir():
        if (path / mark).is_file() or not any(path.iterdir()):
            return
    elif not path.exists():
        return
    raise InputError(f"{path} holds something that clearir did not write, and is not replaced; choose another output")


def replace_folder(path: Path, new: Path) -> None:
    """Give the folder ``new``, on the same disk, the name ``path``, and remove what had that name."""
    _sweep(path)
    old = path.with_name(f"{_prefix(path)}{os.urandom(4).hex()}.old")
    if path.exists():
        path.replace(old)
    try:
        new.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
        InputError: ``folder`` holds output made with other settings and ``overwrite`` is off, or what no stage wrote.
    """
    if is_finished(folder, settings):
        return False
    check_replaceable(folder)
    if (folder / MANIFEST).is_file() and not overwrite:
        there = read_json(folder / MANIFEST).get("settings", {})
        raise InputError(
            f"{folder} holds output made with other settings ({differences(there, settings)}); choose another output "
            "folder or add --overwrite"
        )
    return True


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Which settings are not the same, in words: ``train.learning_rate is 5e-05 there and 0.0001 here``."""
    before, now = _flat(there), _flat(json.loads(json.dumps(wanted, default=str)))
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    words = [_difference(key, before.get(key), now.get(key)) for key in changed]
    more = [f"{len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
    return ", ".join(words[:_SHOWN] + more) or "another version wrote it"


_SHOWN = 4


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = _flat(value) if isinstance(value, Mapping) else {}
        found |= {f"{key}.{name}": one for name, one in inner.items()} or {key: value}
    return found


def _difference(key: str, before: Any, now: Any) -> str:
    if all(isinstance(one, str) and len(one) == 16 and _is_hexadecimal(one) for one in (before, now)):
        return f"other {key}"  # fingerprints say nothing to people
    was, become = ("not set" if one is None else json.dumps(one, ensure_ascii=False)[:60] for one in (before, now))
    return f"{key} is {was} there and {become} here"


def _is_hexadecimal(text: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in text)


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
    write_json(
        folder / MANIFEST,
        {
            "fingerprint": fingerprint(settings),
            "clearir": VERSION,
            "settings": dict(settings),
            "result": None if result is None else dict(result),
        },
    )
