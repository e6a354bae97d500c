"""A run's folder as the pipeline writes it: seven languages, scores that look like real ones, texts written by hand."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearir.evaluation.scores import Direction, Scores, Texts
from clearir.report import Run, load_run

ROWS = {"de": 1536, "es": 900, "vi": 610, "zh": 420, "ar": 300, "hi": 120}
LANGUAGES = ["en", *ROWS]
WORDS = {
    "en": ["a fast editor for text", "tool that plays music", "library to read images", "server for mail"],
    "de": ["schneller Editor für Texte", "Werkzeug, das Musik spielt", "Bibliothek für Bilder", "Dienst für Post"],
    "es": ["editor de texto rápido", "programa que toca música", "biblioteca de imágenes", "servidor de correo"],
    "vi": ["trình soạn văn bản nhanh", "công cụ phát nhạc", "thư viện đọc ảnh", "máy chủ thư"],
    "zh": ["快速的文本编辑器", "播放音乐的工具", "读取图像的库", "邮件服务器"],
    "ar": ["محرر نصوص سريع", "أداة تشغل الموسيقى", "مكتبة لقراءة الصور", "خادم بريد"],
    "hi": ["तेज़ पाठ संपादक", "संगीत बजाने का उपकरण", "चित्र पढ़ने का पुस्तकालय", "डाक सर्वर"],
}
HOSTILE = '<script>alert("x")</script> | *b* \u202egnol\u202c & [a](http://x.example) "q" \'s\' `c` $x$ %'


def from_ranks(query: str, passage: str, ranks: list[int], ids: list[str] | None = None, **more: Any) -> Direction:
    """A direction with one relevant passage a query, which stands at these ranks."""
    ids = ids or [f"q{i}" for i in range(len(ranks))]
    return Direction(
        query_language=query,
        passage_language=passage,
        corpus_size=200,
        query_ids=ids,
        gold=[f"p{one[1:]}" for one in ids],
        values={
            "ndcg@10": [1 / math.log2(rank + 1) if rank <= 10 else 0.0 for rank in ranks],
            "recall@10": [float(rank <= 10) for rank in ranks],
        },
        ranks=ranks,
        top=[
            [f"p{one[1:]}" if rank == place else f"p{(int(one[1:]) * 7 + place) % 200}" for place in (1, 2, 3)]
            for one, rank in zip(ids, ranks, strict=True)
        ],
        **more,
    )


def scores_of(
    directions: list[Direction], pools: list[Direction] | None = None, model: str = "base-model", **more: Any
) -> Scores:
    return Scores(
        suite="packages",
        suite_hash="0123456789abcdef",
        model=model,
        model_hash="aaaa",
        bridge="en",
        directions={one.name: one for one in directions},
        pools={one.name: one for one in pools or []},
        environment={"clearir": "0.1.0", "python": "3.11"},
        **more,
    )


def _draw(random_: random.Random, skill: float, queries: int) -> list[int]:
    return [min(200, 1 + int(random_.expovariate(1.0) ** 2 * 12 * (1 - skill) ** 1.5)) for _ in range(queries)]


def _pool(direction: Direction, name: str, random_: random.Random, bias: float) -> Direction:
    """The same queries on several languages' passages together."""
    values = {
        **direction.values,
        "max@r": [float(random_.randint(2, 60)) for _ in direction.ranks],
        "complete@10": [float(random_.random() < 0.3) for _ in direction.ranks],
        "bridge@10": [min(1.0, max(0.0, random_.gauss(bias, 0.1))) for _ in direction.ranks],
    }
    return Direction(
        direction.query_language,
        name,
        400,
        direction.query_ids,
        direction.gold,
        values,
        direction.ranks,
        [[f"{direction.query_language}:{one}" for one in row] for row in direction.top],
    )


def write_run(folder: Path, languages: list[str] = LANGUAGES, queries: int = 60, hostile: bool = False) -> Path:
    """Write everything that the pipeline leaves in a run's folder."""
    (folder / "scores").mkdir(parents=True)
    (folder / "model").mkdir()
    random_ = random.Random(7)
    for stage, lift in (("before", 0.0), ("after", 0.22)):
        directions, pools = [], []
        for query in languages:
            for passage in languages:
                skill = 0.75 - 0.06 * (languages.index(query) + languages.index(passage)) * (1 - lift * 2)
                skill += 0.0 if query == passage == "en" else lift * (query != passage)
                directions.append(from_ranks(query, passage, _draw(random_, min(max(skill, 0), 0.9), queries)))
                if query != "en" and passage == query:
                    pools += [
                        _pool(directions[-1], f"en+{query}", random_, 0.6 - lift),
                        _pool(directions[-1], "all", random_, 0.5 - lift),
                    ]
        model = "sentence-transformers/all-MiniLM-L6-v2" if stage == "before" else "runs/demo/model"
        scores_of(directions, pools, model).save(folder / "scores" / f"{stage}.json")
    texts = Texts(
        {language: {f"q{i}": f"{WORDS[language][i % 4]} ({i})" for i in range(queries)} for language in languages},
        {language: {f"p{i}": f"{WORDS[language][i % 4]}, {i}. " * 3 for i in range(200)} for language in languages},
    )
    if hostile:
        for kind in (texts.queries, texts.passages):
            for language in kind:
                kind[language] = {key: f"{HOSTILE} {value}" for key, value in kind[language].items()}
    texts.save(folder / "scores" / "texts.json")
    write_extras(folder, hostile)
    return folder


def write_extras(folder: Path, hostile: bool = False) -> None:
    """The optional parts: training, data, recipe, searches."""
    log = [
        {
            "step": step,
            "forward": 0.2 + 0.5 * math.exp(-step / 10),
            "reverse": 0.6 + 2.4 * math.exp(-step / 15),
            "kl": 0.1 + 0.9 * math.exp(-step / 12),
            "learning_rate": 5e-5 * min(1, step / 10),
            "loss": 0.34 + 1.34 * math.exp(-step / 13),
        }
        for step in range(5, 65, 5)
    ]
    scale = {
        "used": 20,
        "auto": False,
        "found": 98.4,
        "pairs": 400,
        "curve": [[5, 4.73], [10, 4.2], [20, 3.28], [50, 1.51], [98.4, 1.05], [200, 1.39], [500, 3.3], [1000, 9.9]],
        "warning": "off by more than a factor of 2 for this model; set loss.scale=auto",
    }
    training = {"log": log, "seconds": 201.4, "steps": 60, "rows_by_language": ROWS, "scale": scale}
    data = {
        "languages": {language: {"train": n, "dev": 0, "test": 60} for language, n in ROWS.items()},
        "duplicates": 12,
        "skipped": {"target query is empty": 3},
        "negatives": [5, 5],
        "topped_up": [0, 4],
        "source": "debian",
    }
    extra = f" {HOSTILE}" if hostile else ""
    searches = [
        {
            "language": language,
            "query": WORDS[language][1] + extra,
            "before": [{"passage": WORDS["en"][i] + extra, "score": 0.4 - i / 20} for i in (0, 3, 2)],
            "after": [{"passage": WORDS["en"][i] + extra, "score": 0.7 - i / 20} for i in (1, 2, 0)],
        }
        for language in ("de", "ar")
    ]
    for name, value in (("model/training", training), ("data", data), ("searches", searches)):
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    name = f'"x {json.dumps(HOSTILE)[1:-1]}"' if hostile else "example"
    recipe = f"name: {name}\nmodel: BAAI/bge-m3\noutput: runs/example\nloss:\n  alpha: 0.4\n  beta: 0.2\n"
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run; read only."""
    return write_run(tmp_path_factory.mktemp("run") / "example")


@pytest.fixture(scope="session")
def full_run(run_folder: Path) -> Run:
    """`run_folder`, loaded and compared once for all tests."""
    return load_run(run_folder)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of three languages, which is compared in a moment; read only."""
    return write_run(tmp_path_factory.mktemp("run") / "small", ["en", "de", "ar"], 12)


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose texts, names and searches try to break out; read only."""
    return write_run(tmp_path_factory.mktemp("run") / "hostile", ["en", "de", "ar"], 12, hostile=True)


@pytest.fixture(scope="session")
def make_direction() -> Callable[..., Direction]:
    """`from_ranks`."""
    return from_ranks


@pytest.fixture(scope="session")
def make_scores() -> Callable[..., Scores]:
    """`scores_of`."""
    return scores_of
