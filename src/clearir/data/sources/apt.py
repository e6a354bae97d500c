"""Fetch from Debian with apt-get: no root, nothing of the system touched.

`Apt` is apt-get in a folder of its own with the system's package sources; `clearir.data.sources.debian_help` fetches
packages with it, and `fetch` package descriptions. What is kept of these is one plain file a language,
``Translation-en``, ``Translation-de`` ..., which `clearir.data.sources.debian` reads on any machine.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clearir.support import languages as codes
from clearir.support import progress
from clearir.support.artifacts import MANIFEST, atomic_folder, read_json, write_json
from clearir.support.errors import InputError

PREFIX = "Translation-"
_HELPER = "/usr/lib/apt/apt-helper"
ELSEWHERE = "run this on Debian or Ubuntu, or train on a table of your own: clearir train RECIPE.yaml"

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
        every = list(dict.fromkeys([*wanted, *there]))
        with Apt.private("descriptions", *_descriptions_of(every)) as apt, atomic_folder(folder) as whole:
            for code, sources in _update(apt, every).items():
                _unpack(sources, whole / f"{PREFIX}{code}")
            write_json(whole / MANIFEST, {"source": "debian", "languages": every})
    return [folder / f"{PREFIX}{code}" for code in wanted]


@dataclass(frozen=True)
class Apt:
    """apt-get and its kin with lists, cache and state in a folder of their own.

    Attributes:
        scratch: that folder.
        options: that keep them there.
    """

    scratch: Path
    options: tuple[str, ...]

    @classmethod
    @contextmanager
    def private(cls, what: str, *options: str) -> Iterator[Apt]:
        """Set one up with the system's package sources; all is gone when the block ends.

        Args:
            what: of Debian is wanted, for the message.
            options: of apt's configuration, ``NAME=VALUE``.

        Raises:
            InputError: there is no apt-get.
        """
        if shutil.which("apt-get") is None or shutil.which(_HELPER) is None:
            raise InputError(f"there is no apt-get here, so Debian's {what} cannot be fetched; {ELSEWHERE}")
        with tempfile.TemporaryDirectory(prefix="clearir-apt-") as name:
            scratch = Path(name)
            scratch.chmod(0o755)  # apt downloads as a user of its own, who has to get in
            for inside in ("lists/partial", "cache/archives/partial", "state"):
                (scratch / inside).mkdir(parents=True)
            _configure(scratch)
            places = (
                f"Dir::State={scratch}/state",
                f"Dir::State::Lists={scratch}/lists",
                f"Dir::Cache={scratch}/cache",
            )
            yield cls(scratch, tuple(part for option in (*places, *options) for part in ("-o", option)))

    def get(self, description: str, *words: str, cwd: Path | None = None) -> list[str]:
        """Run apt-get under a progress bar; what it said besides."""
        command = ["apt-get", *self.options, "-o", "APT::Status-Fd=1", "-q", *words]
        said: list[str] = []
        with (
            progress.task(description, total=100) as advance,
            subprocess.Popen(
                command,
                env=self._environment,
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
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

    def ask(self, program: str, *words: str) -> list[str]:
        """The lines that apt-get or apt-cache answers with."""
        done = subprocess.run(
            [program, *self.options, *words], env=self._environment, capture_output=True, text=True, check=False
        )
        return done.stdout.splitlines()

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"APT_CONFIG": str(self.scratch / "apt.conf"), "LC_ALL": "C.UTF-8"}


def _fetched(folder: Path) -> list[str]:
    """The languages that ``folder`` has from an earlier fetch. A folder of anything else is not to be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return []
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    if not isinstance(manifest, dict) or manifest.get("source") != "debian":
        raise InputError(f"{folder} contains files other than Debian's package descriptions; choose another folder")
    return [code for code in manifest["languages"] if (folder / f"{PREFIX}{code}").is_file()]


def _descriptions_of(wanted: list[str]) -> list[str]:
    return [
        "Dir::Cache::pkgcache=",
        "Dir::Cache::srcpkgcache=",
        "Acquire::Languages=" + ",".join(spelling for code in wanted for spelling in _spellings(code)),
        "Acquire::IndexTargets::deb::Packages::DefaultEnabled=false",  # the descriptions alone, half the bytes
    ]


def _update(apt: Apt, wanted: list[str]) -> dict[str, list[Path]]:
    """Let apt-get fetch its lists; the compressed ones of each language."""
    said = apt.get("Fetching package descriptions", "update")
    found: dict[str, list[Path]] = {}
    for line in apt.ask("apt-get", "indextargets", "--format", "$(LANGUAGE) $(FILENAME)", "Created-By: Translations"):
        language, _, file = line.partition(" ")
        code = codes.normalise(language)  # one of _spellings
        if code in wanted and Path(file).is_file():
            found.setdefault(code, []).append(Path(file))
    _complain(apt.scratch, wanted, found, said)
    return found


def _spellings(code: str) -> list[str]:
    """How Debian may write a language: ``de, de_DE``, ``zh, zh_CN``, ``pt_BR``, ``no, no_NO, nb``."""
    import langcodes

    whole = langcodes.Language.get(code, normalize=False).maximize()
    return list(dict.fromkeys([code.replace("-", "_"), f"{whole.language}_{whole.territory}", *codes.members(code)]))


def _configure(scratch: Path) -> None:
    """The system's configuration (sources, keys, proxies) without hooks, which act on the system, and languages."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    own = [line for line in dump.splitlines() if not re.match(r"APT::Update::|Acquire::Languages|#", line)]
    file = scratch / "apt.conf"
    file.touch(mode=0o600)  # a proxy's address can hold a password
    file.write_text("\n".join([*own, 'Dir::Etc::Parts "/dev/null";', 'Dir::Etc::Main "/dev/null";', ""]))


def _complain(scratch: Path, wanted: list[str], found: dict[str, list[Path]], said: list[str]) -> None:
    """Say what is missing: an error where it is needed, else a line in the log."""
    last = "\n".join(line for line in said[-8:])
    if "en" not in found:
        raise InputError(
            f"apt-get could not fetch Debian's package descriptions. Check the network and 'apt-get update';"
            f" or {ELSEWHERE}. Its last words:\n{last}"
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


def _unpack(sources: list[Path], target: Path) -> None:
    """Write the compressed lists of a language into one plain file."""
    with target.open("wb") as out:
        for source in sources:
            done = subprocess.run([_HELPER, "cat-file", str(source)], capture_output=True, check=False)
            if done.returncode:
                raise InputError(
                    f"{source.name}: apt-helper cannot read it ({done.stderr.decode().strip()}); try again"
                )
            out.write(done.stdout + b"\n")
