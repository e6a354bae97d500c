"""The report in a real browser. The pictures it leaves under ``artifacts/`` are for people to look at."""

from __future__ import annotations

import html as escaping
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from clearir.report import Run, load_run, write_report

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
Browse = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Browse:
    """A function that opens a page in headless Chromium with the given switches."""
    program = os.environ.get("CLEARIR_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium; install it with: apt-get install chromium")
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *switches: str) -> subprocess.CompletedProcess[str]:
        command = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}", *switches, page.as_uri()),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)

    return run


@pytest.fixture(scope="module")
def report(full_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(full_run, tmp_path_factory.mktemp("report"), ["html"])[0]


@pytest.fixture(scope="module")
def hostile_report(hostile_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(load_run(hostile_folder), tmp_path_factory.mktemp("report"), ["html"])[0]


def complaints(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in run.stderr.splitlines() if "CONSOLE" in line]


def test_this_browser_would_complain(browse: Browse, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<script>undefined.x</script>", encoding="utf-8")
    assert complaints(browse(page, "--dump-dom"))


def test_no_complaint_and_every_figure_is_drawn(browse: Browse, report: Path) -> None:
    run = browse(report, "--dump-dom")
    assert complaints(run) == []
    assert len(re.findall(r'<figure[^>]*>\s*<figcaption>.*?</figcaption><svg [^>]*role="img"', run.stdout, re.S)) == 10
    for section in ("languages", "proof", "directions", "pools", "training", "examples", "searches", "data"):
        assert f'<section id="{section}">' in run.stdout


def test_no_request_leaves(browse: Browse, hostile_report: Path, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    run = browse(hostile_report, "--dump-dom", f"--log-net-log={log}")
    assert complaints(run) == []  # a blocked request would be one
    assert "x.example" in run.stdout
    assert "x.example" not in log.read_text(encoding="utf-8")


def test_the_log_of_requests_would_tell(browse: Browse, tmp_path: Path) -> None:
    page, log = tmp_path / "bad.html", tmp_path / "net.json"
    page.write_text('<img src="http://x.example/a.png">', encoding="utf-8")
    browse(page, "--dump-dom", f"--log-net-log={log}")
    assert "x.example" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_sticks_out(browse: Browse, report: Path, hostile_report: Path, tmp_path: Path, width: int) -> None:
    """Both pages in frames of that width, which a script outside of them measures."""
    frames = "".join(
        f'<iframe style="width:{width}px" srcdoc="{escaping.escape(page.read_text(encoding="utf-8"))}"></iframe>'
        for page in (report, hostile_report)
    )
    script = (
        "onload = () => document.title = [...document.querySelectorAll('iframe')]"
        ".map(f => f.contentDocument.documentElement.scrollWidth).join()"
    )
    page = tmp_path / "frames.html"
    page.write_text(f"<title></title><script>{script}</script>{frames}", encoding="utf-8")
    assert f"<title>{width},{width}</title>" in browse(page, "--dump-dom").stdout


@pytest.mark.parametrize(
    ("name", "switches"),
    [
        ("desktop", ["--window-size=1280,4000"]),
        ("phone", ["--window-size=500,6000"]),
        ("dark", ["--window-size=1280,4000", "--blink-settings=preferredColorScheme=0"]),
    ],
)
def test_pictures(browse: Browse, report: Path, name: str, switches: list[str]) -> None:
    from PIL import Image

    ARTIFACTS.mkdir(exist_ok=True)
    picture = ARTIFACTS / f"report-{name}.png"
    picture.unlink(missing_ok=True)
    browse(report, *switches, f"--screenshot={picture}")
    with Image.open(picture) as image:
        corner = image.convert("L").getpixel((2, 2))
        assert len(image.convert("RGB").getcolors(2**24) or []) > 50
    assert isinstance(corner, int)
    assert (corner < 64) == (name == "dark")


def test_print(browse: Browse, report: Path) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    pages = ARTIFACTS / "report.pdf"
    pages.unlink(missing_ok=True)
    browse(report, f"--print-to-pdf={pages}", "--no-pdf-header-footer", "--blink-settings=preferredColorScheme=0")
    assert pages.read_bytes().startswith(b"%PDF")
