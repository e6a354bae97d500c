from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clearir.data import sources
from clearir.data.rows import Rows
from clearir.data.sources.debian_help import fetch, read, read_english
from clearir.support.artifacts import MANIFEST, read_json
from clearir.support.errors import InputError

HELPER = Path("/usr/lib/apt/apt-helper")
needs_apt = pytest.mark.skipif(
    not HELPER.exists() or shutil.which("dpkg-deb") is None, reason="there is no apt or no dpkg-deb here"
)
needs_network = pytest.mark.skipif(
    os.environ.get("CLEARIR_TEST_APT") != "1" or shutil.which("apt-get") is None,
    reason="fetches over the network; set CLEARIR_TEST_APT=1 on a machine with apt-get",
)
HTML = "usr/share/libreoffice/help"
MALLARD = "usr/share/help"
#: package -> its files
PAGES = {
    "libreoffice-help-en-us": {
        f"{HTML}/en-US/text/a.html": "<h1 id='a'>Save a document</h1><p>Press the button with the disk.</p>"
        "<h2 id='b'>About this computer</h2><p>It shows what the program is.</p>",
        f"{HTML}/en-US/text/a.js": "no page",
    },
    "libreoffice-help-om": {f"{HTML}/om/text/a.html": "<h1 id='a'>Galmee olkaa'i</h1><p>Qabduu diskii tuqi.</p>"},
    "libreoffice-help-sk": {f"{HTML}/readme.txt": "no page"},
    "gnome-user-docs": {
        f"{MALLARD}/C/gnome-help/b.page": "<page id='b'><title>About this computer</title><p>Open the settings and"
        " look.</p><section id='s'><title>Check the battery first</title><p>It is in the corner above.</p></section>"
        "</page>",
        f"{MALLARD}/ta/gnome-help/b.page": "<page id='b'><title>கணினி பற்றி</title><section id='s'><title>மின்கலம்"
        "</title><p>மேலே மூலையில் உள்ளது.</p></section></page>",
    },
}
APT = """#!/bin/sh
case $* in
*download*)
  for word; do name=$word; done
  echo dlstatus:1:50.0:x
  echo $name >> {root}/asked
  cp {root}/$name.deb ./${{name}}_1_all.deb;;
esac
"""
CACHE = "#!/bin/sh\nls {root} | sed -n 's/[.]deb$//p'; echo libc6\n"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, and programs named apt-get and apt-cache before the real ones that serve them."""
    root = tmp_path / "archive"
    for name, files in PAGES.items():
        build = root / "build" / name
        for path, text in files.items():
            (build / path).parent.mkdir(parents=True, exist_ok=True)
            (build / path).write_text(text)
        (build / "DEBIAN").mkdir(parents=True)
        (build / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: b\n"
        )
        build.chmod(0o755)
        subprocess.run(["dpkg-deb", "--build", str(build), str(root / f"{name}.deb")], check=True, capture_output=True)
    shutil.rmtree(root / "build")
    for name, text in (("apt-get", APT), ("apt-cache", CACHE)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text.format(root=root))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return root


def asked(archive: Path) -> list[str]:
    return (archive / "asked").read_text().split() if (archive / "asked").exists() else []


@needs_apt
def test_pages_of_both_are_fetched_and_read_together(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fetch(out, ["orm", "ta"])
    assert asked(archive) == ["libreoffice-help-en-us", "gnome-user-docs", "libreoffice-help-om"]
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()) == [
        "gnome-user-docs/C/gnome-help/b.page",
        "gnome-user-docs/manifest.json",
        "gnome-user-docs/ta/gnome-help/b.page",
        "libreoffice-help-en-us/en-US/text/a.html",
        "libreoffice-help-en-us/manifest.json",
        "libreoffice-help-om/manifest.json",
        "libreoffice-help-om/om/text/a.html",
        "manifest.json",
    ]
    assert read_json(out / "libreoffice-help-om" / MANIFEST)["result"] == {"version": "1"}
    # "About this computer" stands in both, so that it titles two sections.
    assert [(row.language, row.query) for row in read(out)] == [
        ("om", "Save a document"),
        ("ta", "Check the battery first"),
    ]
    assert list(read_english(out)) == ["gnome-help/b", "gnome-help/b#s", "text/a.html#a", "text/a.html#b"]


@needs_apt
def test_a_finished_fetch_is_not_repeated_and_another_language_is_added(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fetch(out, ["ta"])
    fetch(out, ["ta"])
    assert asked(archive) == ["libreoffice-help-en-us", "gnome-user-docs"]
    fetch(out, ["om"])
    assert asked(archive)[2:] == ["libreoffice-help-om"]
    assert {row.language for row in read(out)} == {"om", "ta"}


@needs_apt
def test_a_stopped_fetch_goes_on_where_it_was(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (archive / "libreoffice-help-om.deb").rename(archive / "away")
    (archive / "libreoffice-help-om.deb").write_text("cut off")
    with pytest.raises(InputError, match=r"dpkg-deb cannot unpack a package \((.|\n)*; run this on Debian"):
        fetch(out, ["om"])
    assert sorted(path.name for path in out.iterdir()) == ["gnome-user-docs", "libreoffice-help-en-us"]
    (archive / "away").rename(archive / "libreoffice-help-om.deb")
    fetch(out, ["om"])
    assert asked(archive).count("gnome-user-docs") == 1
    assert [row.language for row in read(out, ["om"])] == ["om"]


@needs_apt
def test_a_package_that_does_not_come_shows_the_last_words_of_apt(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\necho 'E: no such host'\n")
    with pytest.raises(InputError, match=r"could not fetch the package libreoffice-help-en-us(.|\n)*no such host$"):
        fetch(tmp_path / "out", ["om"])
    (tmp_path / "bin" / "apt-cache").write_text("#!/bin/sh\n")
    with pytest.raises(InputError, match=r"could not fetch Debian's lists of packages(.|\n)*no such host$"):
        fetch(tmp_path / "out", ["om"])


@needs_apt
@pytest.mark.parametrize("code", ["xh", "sk"])  # no package; a package without pages
def test_a_language_that_debian_lacks(code: str, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"Debian has no help pages in '{code}'; choose from om, (sk, )?ta"):
        fetch(tmp_path / "out", [code])


@needs_apt
def test_a_folder_of_other_things_is_not_replaced(archive: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "gnome-user-docs" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(InputError, match="gnome-user-docs holds something that clearir did not write"):
        fetch(tmp_path, ["om"])
    assert thesis.read_text() == "years of work"
    (tmp_path / MANIFEST).write_text("[1]")
    with pytest.raises(InputError, match="contains files other than help pages; choose another folder"):
        fetch(tmp_path, ["om"])


@needs_apt
def test_a_run_fetches_into_a_folder_of_its_own(archive: Path, tmp_path: Path) -> None:
    folder = sources.fetch("debian-help", tmp_path, ["om"])
    assert folder == str(tmp_path / "help")
    assert len(Rows.collect(sources.read("debian-help", folder, languages=["om"]))) == 1
    assert sources.fetch("table", tmp_path, ["om"]) is None


def test_no_apt_get_says_what_to_run_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no apt-get here, so Debian's help pages .*clearir train RECIPE"):
        fetch(tmp_path / "out", ["om"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_pages(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no help pages; leave data\.path out"):
        read(tmp_path)


KILLED = """
import sys
from pathlib import Path
from clearir.data.sources import debian_help

keep = debian_help._keep_pages
def killed(unpacked, whole):
    if "gnome" in str(whole):
        (whole / "half").write_text("x")
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    keep(unpacked, whole)
debian_help._keep_pages = killed
debian_help.fetch(sys.argv[1], ["om"])
"""


@needs_apt
def test_a_killed_fetch_leaves_nothing_half_done(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(out)], check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert run.returncode == -9
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == ["libreoffice-help-en-us"]
    fetch(out, ["om"])
    assert not list(out.glob(".*"))
    assert [row.language for row in read(out, ["om"])] == ["om"]


@needs_network
def test_the_real_pages(tmp_path: Path) -> None:
    fetch(tmp_path, ["ta"])
    rows = Rows.collect(read(tmp_path, ["ta"]))
    assert rows.duplicates == 0
    assert 150 < len(rows) < 600
    assert len({row.query for row in rows}) == len({row.target_query for row in rows}) == len(rows)
