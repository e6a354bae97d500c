"""Help pages of LibreOffice and GNOME in many languages, as Debian packages them.

```python
fetch("help", ["om", "ta"])                      # once, with apt-get
rows = Rows.collect(read("help", ["om", "ta"]))  # English and Oromo or Tamil headings, and the text under them
corpus = read_english("help")                    # every section to search, translated or not
```

LibreOffice's pages are read as `clearir.data.sources.help_html`, GNOME's as `clearir.data.sources.mallard`, and both
together, so that a heading that both have titles two sections.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources import help_html, mallard, sections
from clearir.data.sources.apt import ELSEWHERE, Apt
from clearir.data.sources.checks import OnBad, Skipped
from clearir.data.sources.sections import Section
from clearir.support import languages as codes
from clearir.support.artifacts import MANIFEST, read_json, run_stage, write_json
from clearir.support.errors import InputError
from clearir.support.progress import track

_NAME = "debian-help"
# How names of packages begin, and where pages stand in them. Ubuntu has GNOME's of each language in a package.
_PACKAGES = {"libreoffice-help": "usr/share/libreoffice/help", "gnome-user-docs": "usr/share/help"}
_ALWAYS = ("libreoffice-help-en-us", "gnome-user-docs")
_SUFFIXES = (*help_html.SUFFIXES, *mallard.SUFFIXES)


def fetch(folder: str | Path, languages: Iterable[str]) -> None:
    """Fetch the pages in English and ``languages`` into ``folder``, unless they are there.

    Each package becomes a folder there when it is whole, so that a fetch that was stopped goes on where it was. Some
    2 MB for English, 8 for GNOME's in all languages, 3 for LibreOffice's in each.

    Raises:
        InputError: there is no apt-get, it fails, or Debian has no pages in a language.
    """
    folder = Path(folder)
    wanted = list(dict.fromkeys(codes.normalise(code) for code in languages))
    there = _fetched(folder)
    if there is not None and set(wanted) <= set(there):
        return
    with Apt.private("help pages", "Acquire::Languages=none") as apt:
        said = apt.get("Fetching lists of packages", "update")
        names = [name for name in apt.ask("apt-cache", "pkgnames") if name.startswith(tuple(_PACKAGES))]
        if not set(_ALWAYS) <= set(names):
            raise _failed("apt-get could not fetch Debian's lists of packages", said)
        by_language = {name: code for name in names if (code := _language(name)) is not None}
        for name in [*_ALWAYS, *(name for name in sorted(by_language) if by_language[name] in wanted)]:
            _fetch_package(apt, name, folder / name)
    have = _languages(folder)
    for code in wanted:
        if code not in have:
            could = sorted({*have, *by_language.values()} - {"en", code})
            raise InputError(f"Debian has no help pages in {code!r}; choose from {', '.join(could)}")
    write_json(folder / MANIFEST, {"source": _NAME, "languages": list(dict.fromkeys([*(there or []), *wanted]))})


def read(
    folder: str | Path,
    languages: Iterable[str] | None = None,
    *,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """A row for each section and language it is translated into; see `clearir.data.sources.sections`.

    Args:
        folder: what `fetch` made.
        languages: target languages; all that are there by default, and that are all of GNOME's.
        on_bad: ``"skip"`` leaves pages out that cannot be read.
        skipped: gets the number of sections left out, by reason.

    Raises:
        InputError: with file and what to do.
    """
    return sections.read(_sources(Path(folder)), languages, folder, on_bad, skipped)


def read_english(folder: str | Path) -> dict[str, Section]:
    """The English sections by id, each text once.

    Raises:
        InputError: with file and what to do.
    """
    return sections.read_english(_sources(Path(folder)), folder)


def _fetched(folder: Path) -> list[str] | None:
    """The languages of an earlier fetch; None where there was none, or it was stopped."""
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    if manifest is not None and (not isinstance(manifest, dict) or manifest.get("source") != _NAME):
        raise InputError(f"{folder} contains files other than help pages; choose another folder")
    return None if manifest is None else list(manifest["languages"])


def _sources(folder: Path) -> list[sections.Folders]:
    packages = sorted(one.parent for one in folder.glob(f"*/{MANIFEST}"))
    if not packages:
        raise InputError(f"{folder}: no help pages; leave data.path out, or fetch them with debian_help.fetch(FOLDER)")
    return [(help_html if package.name.startswith("libreoffice") else mallard).source(package) for package in packages]


def _languages(folder: Path) -> set[str]:
    return {code for source in _sources(folder) for code in source.languages()}


def _prefix(package: str) -> str:
    return next(prefix for prefix in _PACKAGES if package.startswith(prefix))


def _language(package: str) -> str | None:
    """The language that the name of a package ends in."""
    try:
        return codes.normalise(package.removeprefix(f"{_prefix(package)}-"))
    except InputError:
        return None


def _fetch_package(apt: Apt, name: str, folder: Path) -> None:
    """Fetch a package, unless it is there, and keep its pages: ``folder/LANGUAGE/...``."""

    def make(whole: Path) -> dict[str, str]:
        with tempfile.TemporaryDirectory(dir=apt.scratch) as scratch:
            said = apt.get(f"Fetching {name}", "download", name, cwd=Path(scratch))
            file = next(Path(scratch).glob("*.deb"), None)
            if file is None:
                raise _failed(f"apt-get could not fetch the package {name}", said)
            _dpkg("-x", str(file), f"{scratch}/unpacked")
            _keep_pages(Path(scratch) / "unpacked" / _PACKAGES[_prefix(name)], whole)
            return {"version": _dpkg("-f", str(file), "Version")}

    run_stage(folder, {"source": _NAME, "package": name}, make)


def _keep_pages(unpacked: Path, whole: Path) -> None:
    pages = [file for file in sorted(unpacked.rglob("*")) if file.suffix in _SUFFIXES and file.is_file()]
    for page in track(pages, "Unpacking"):
        if not page.is_symlink():
            target = whole / page.relative_to(unpacked)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(page, target)


def _dpkg(*words: str) -> str:
    try:
        done = subprocess.run(["dpkg-deb", *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        raise InputError(f"dpkg-deb cannot unpack a package ({why}); {ELSEWHERE}") from error
    return done.stdout.strip()


def _failed(what: str, said: list[str]) -> InputError:
    last = "\n".join(said[-8:])
    return InputError(f"{what}. Check the network and 'apt-get update'; or {ELSEWHERE}. Its last words:\n{last}")
