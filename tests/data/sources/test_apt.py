from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from clearir.data.rows import Rows
from clearir.data.sources.debian import fetch, read, read_english
from clearir.support import progress
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError

HELPER = Path("/usr/lib/apt/apt-helper")
needs_apt = pytest.mark.skipif(not HELPER.exists(), reason="there is no apt here")
needs_network = pytest.mark.skipif(
    os.environ.get("CLEARIR_TEST_APT") != "1" or shutil.which("apt-get") is None,
    reason="fetches over the network; set CLEARIR_TEST_APT=1 on a machine with apt-get",
)


def test_no_apt_get_says_what_to_run_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no apt-get here, .*clearir train RECIPE\.yaml"):
        fetch(tmp_path / "out", ["de"])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def apt_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named apt-get before the real one; the test writes it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    program = folder / "apt-get"
    program.touch(mode=0o755)
    return program


@needs_apt
def test_a_failed_update_shows_the_last_words_of_apt(apt_that: Path, tmp_path: Path) -> None:
    apt_that.write_text(
        "#!/bin/sh\ncase $* in *update) echo dlstatus:1:40.0:x; echo 'Err:1 no such host' >&2; exit 100;; esac\n"
    )
    with pytest.raises(InputError, match=r"could not fetch(.|\n)*Its last words:\nErr:1 no such host$"):
        fetch(tmp_path / "out", ["de"])
    assert not (tmp_path / "out").exists()


# Stands in for a source whose lists came and one that failed: "de" has a list of its own, "fi" only in a release file.
PARTLY = """#!/bin/sh
for word; do case $word in Dir::State::Lists=*) lists=${word#*=};; esac; done
case $* in
*update)
  echo dlstatus:1:25.0:x; echo dlstatus:2:75.5:x
  printf 'Package: tea\\nDescription-md5: m\\nDescription-en: brews tea\\n Text.\\n' > $lists/Translation-en
  printf 'Package: tea\\nDescription-md5: m\\nDescription-de: kocht Tee\\n Wort.\\n' > $lists/Translation-de
  echo ' 0 0 main/i18n/Translation-de.xz' > $lists/InRelease
  echo 'W: Failed to fetch another source';;
*indextargets*) echo en $lists/Translation-en; echo de $lists/Translation-de; echo fi $lists/Translation-fi;;
esac
"""


@needs_apt
def test_a_source_that_fails_is_a_warning_where_the_lists_came(
    apt_that: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    apt_that.write_text(PARTLY)
    out = tmp_path / "out"
    assert fetch(out, ["deu"]) == [out / "Translation-en", out / "Translation-de"]
    assert "Failed to fetch another source" in caplog.text
    assert [row.target_query for row in read(out)] == ["kocht Tee"]


@needs_apt
def test_norwegian_is_asked_for_as_debian_writes_it(apt_that: Path, tmp_path: Path) -> None:
    script = PARTLY.replace("*update)", "*Languages=en,en_US,*nb*update)").replace("Translation-de", "Translation-nb")
    apt_that.write_text(script.replace("echo de ", "echo nb "))
    assert fetch(tmp_path / "out", ["nob_Latn"]) == [tmp_path / "out" / f"Translation-{code}" for code in ("en", "no")]


@needs_apt
def test_a_language_that_debian_lacks(apt_that: Path, tmp_path: Path) -> None:
    apt_that.write_text(PARTLY)
    with pytest.raises(InputError, match="no package descriptions in 'fi'; choose from de"):
        fetch(tmp_path / "out", ["de", "fi"])
    assert not (tmp_path / "out").exists()


@needs_apt
def test_a_finished_fetch_is_not_repeated(apt_that: Path, tmp_path: Path) -> None:
    apt_that.write_text(PARTLY)
    fetch(tmp_path / "out", ["de"])
    apt_that.write_text("#!/bin/sh\nexit 1\n")
    assert len(fetch(tmp_path / "out", ["de"])) == 2
    with pytest.raises(InputError, match="could not fetch"):
        fetch(tmp_path / "out", ["de", "uk"])
    assert len(list(read(tmp_path / "out", ["de"]))) == 1  # what was there is there still


@needs_apt
def test_progress_reaches_its_end(apt_that: Path, tmp_path: Path) -> None:
    from contextlib import contextmanager

    apt_that.write_text(PARTLY)
    seen: list[float] = []

    @contextmanager
    def listener(description: str, total: float | None):  # type: ignore[no-untyped-def]
        assert total == 100
        yield seen.append

    with progress.listening(listener):
        fetch(tmp_path / "out", ["de"])
    assert seen == [25.0, 75.5 - 25.0, 100 - 75.5]


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="contains files other than Debian's package descriptions"):
        fetch(tmp_path, ["de"])
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@needs_network
def test_the_real_descriptions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fetch(out, ["de", "uk", "fi"])
    assert sorted(path.name for path in out.iterdir()) == [
        "Translation-de",
        "Translation-en",
        "Translation-fi",
        "Translation-uk",
        MANIFEST,
    ]
    rows = Rows.collect(read(out))
    assert rows.duplicates == 0
    assert 5000 < rows.languages["de"] < 20_000
    assert 1500 < rows.languages["uk"] < 6000
    assert 200 < rows.languages["fi"] < 800
    corpus = read_english(out)
    assert len(corpus) > 25_000
    assert len({text.long for text in corpus.values()}) == len(corpus)
    for language in rows.languages:
        of_language = [row for row in rows if row.language == language]
        assert (
            len({row.query for row in of_language})
            == len({row.target_query for row in of_language})
            == len(of_language)
        )
