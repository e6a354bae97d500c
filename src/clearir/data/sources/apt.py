"""Fetch Debian's package descriptions with apt-get: no root, nothing of the system touched.

apt-get works in a folder of its own with the system's package sources. What is kept is one plain file a language,
``Translation-en``, ``Translation-de`` ..., which `clearir.data.sources.debian` reads on any machine.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from clearir import progress
from clearir.artifacts import MANIFEST, atomic_folder, read_json, write_json
from clearir.data import languages as codes
from clearir.errors import InputError

PREFIX = "Translation-"
_HELPER = "/usr/lib/apt/apt-helper"
_ELSEWHERE = "run this on Debian or Ubuntu, or train on a table of your own: clearir train RECIPE.yaml"

logger = logging.getLogger(__name__)


def fetch(folder: str | Path, languages: Iterable[str]) -> list[Path]:
    """Fetch the descriptions in English and ``languages`` into ``folder``, unless they are there.

    Returns:
        The files, English first.

    Raises:
        InputError: there is no apt-get, it fails, or Debian has no translation into a language.
    """
    folder = Path(folder)
    wanted = list(dict.fromkeys(["en", *(codes.normalise(code) for code in languages)]))
    there = _fetched(folder)
    if not set(wanted) <= set(there):
        apt, helper = shutil.which("apt-get"), shutil.which(_HELPER)
        if apt is None or helper is None:
            raise InputError(f"there is no apt-get here, so Debian's descriptions cannot be fetched; {_ELSEWHERE}")
        with tempfile.TemporaryDirectory(prefix="clearir-apt-") as scratch, atomic_folder(folder) as whole:
            every = list(dict.fromkeys([*wanted, *there]))
            for code, sources in _update(apt, Path(scratch), every).items():
                _unpack(helper, sources, whole / f"{PREFIX}{code}")
            write_json(whole / MANIFEST, {"source": "debian", "languages": every})
    return [folder / f"{PREFIX}{code}" for code in wanted]


def _fetched(folder: Path) -> list[str]:
    """The languages that ``folder`` has from an earlier fetch. A folder of anything else is not to be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return []
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    if not isinstance(manifest, dict) or manifest.get("source") != "debian":
        raise InputError(f"{folder} holds other things than Debian's package descriptions; choose another folder")
    return [code for code in manifest["languages"] if (folder / f"{PREFIX}{code}").is_file()]


def _update(apt: str, scratch: Path, wanted: list[str]) -> dict[str, list[Path]]:
    """Let apt-get fetch its lists; the compressed ones of each language."""
    scratch.chmod(0o755)  # apt downloads as a user of its own, who has to get in
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (scratch / name).mkdir(parents=True)
    options = [
        f"Dir::State={scratch}/state",
        f"Dir::State::Lists={scratch}/lists",
        f"Dir::Cache={scratch}/cache",
        "Dir::Cache::pkgcache=",
        "Dir::Cache::srcpkgcache=",
        "Acquire::Languages=" + ",".join(spelling for code in wanted for spelling in _spellings(code)),
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false",  # the descriptions alone, half the bytes
    ]
    command = [apt, *(part for option in options for part in ("-o", option))]
    environment = os.environ | {"APT_CONFIG": str(_configuration(scratch)), "LC_ALL": "C.UTF-8"}
    said = _run([*command, "-o", "APT::Status-Fd=1", "-q", "update"], environment)
    listing = subprocess.run(
        [*command, "indextargets", "--format", "$(LANGUAGE) $(FILENAME)", "Created-By: Translations"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, list[Path]] = {}
    for line in listing.stdout.splitlines():
        language, _, file = line.partition(" ")
        code = codes.normalise(language)  # one of _spellings
        if code in wanted and Path(file).is_file():
            found.setdefault(code, []).append(Path(file))
    _complain(scratch, wanted, found, said)
    return found


def _spellings(code: str) -> list[str]:
    """How Debian may write a language: ``de, de_DE``, ``zh, zh_CN``, ``pt_BR``, ``no, no_NO, nb``."""
    import langcodes

    whole = langcodes.Language.get(code, normalize=False).maximize()
    return list(dict.fromkeys([code.replace("-", "_"), f"{whole.language}_{whole.territory}", *codes.members(code)]))


def _configuration(scratch: Path) -> Path:
    """The system's configuration (sources, keys, proxies) without hooks, which act on the system, and languages."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    own = [line for line in dump.splitlines() if not re.match(r"APT::Update::|Acquire::Languages|#", line)]
    file = scratch / "apt.conf"
    file.touch(mode=0o600)  # a proxy's address can hold a password
    file.write_text("\n".join([*own, 'Dir::Etc::Parts "/dev/null";', 'Dir::Etc::Main "/dev/null";', ""]))
    return file


def _run(command: list[str], environment: dict[str, str]) -> list[str]:
    """Run ``apt-get update`` under a progress bar; what it said besides."""
    said: list[str] = []
    with (
        progress.task("Fetching package descriptions", total=100) as advance,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as apt,
    ):
        done = 0.0
        for line in apt.stdout or ():
            if status := re.match(r"(?:dl|pm)status:[^:]*:([\d.]+):", line):
                advance(max(float(status[1]) - done, 0.0))
                done = max(float(status[1]), done)
            elif line.strip():
                said.append(line.strip())
        advance(100.0 - done)
    return said


def _complain(scratch: Path, wanted: list[str], found: dict[str, list[Path]], said: list[str]) -> None:
    """Say what is missing: an error where it is needed, else a line in the log."""
    last = "\n".join(line for line in said[-8:])
    if "en" not in found:
        raise InputError(
            f"apt-get could not fetch Debian's package descriptions. Check the network and 'apt-get update';"
            f" or {_ELSEWHERE}. Its last words:\n{last}"
        )
    missing = [code for code in wanted if code not in found]
    if missing:
        releases = "".join(file.read_text(errors="replace") for file in (scratch / "lists").glob("*Release"))
        there = sorted(set(re.findall(r"i18n/Translation-([\w@-]+)", releases)))
        raise InputError(
            f"Debian has no package descriptions in {', '.join(map(repr, missing))}; choose from {', '.join(there)}"
        )
    if any(line.startswith(("W:", "E:", "Err:")) for line in said):
        logger.warning("apt-get could not update all of the system's sources, but has the descriptions:\n%s", last)


def _unpack(helper: str, sources: list[Path], target: Path) -> None:
    """Write the compressed lists of a language into one plain file."""
    with target.open("wb") as out:
        for source in sources:
            done = subprocess.run([helper, "cat-file", str(source)], capture_output=True, check=False)
            if done.returncode:
                raise InputError(
                    f"{source.name}: apt-helper cannot read it ({done.stderr.decode().strip()}); try again"
                )
            out.write(done.stdout + b"\n")
