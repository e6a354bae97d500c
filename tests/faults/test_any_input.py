"""Whatever stands in a file, the command line ends well or with one message that says where and what to do.

    CLEARIR_EXAMPLES=10000 python -m pytest tests/faults/test_any_input.py

makes 10,000 inputs in all; without it there are few.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from clearir.cli.app import main
from clearir.evaluation.scores import Direction, Scores
from clearir.runs.recipe import Recipe

PROPERTIES = 8
EXAMPLES = max(10, int(os.environ.get("CLEARIR_EXAMPLES", "160")) // PROPERTIES)
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CLEARIR_EXAMPLES" not in os.environ,  # the plain run is the same every time, the long one never
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],  # an input is short already; to make it shorter takes minutes
)
NO_MODEL = "./no-model-here"
FIXES = ("; ", "give ", "check ", "write ", "choose ", "correct ", "add ", "did you mean", "make ", "say ")


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and messages of the command line. Anything that is not caught there fails the test."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["clearir", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        return int(end.code or 0), err.getvalue()
    finally:
        sys.argv = before
    return 0, err.getvalue()


def refused_well(status: int, message: str, *places: str) -> None:
    """It went well as far as the model that there is not, or it was refused with place and fix."""
    if status == 0 or NO_MODEL in message:
        return
    assert status == 2, message
    assert "error: " in message
    assert any(place in message for place in places), f"no place: {message}"
    assert any(fix in message for fix in FIXES), f"no fix: {message}"


# -- what is put in ---------------------------------------------------------------------------------------------

# Half surrogate pairs too, which JSON can write and UTF-8 cannot.
odd_text = st.text(max_size=12) | st.sampled_from(
    [
        "\u202eabc\u202c",
        "e\u0301",
        "\u00e9",
        "\U0001f469\u200d\U0001f4bb",
        "\x00",
        "\ufeff",
        "\ud800",
        '\u0000,\n"',
        " ",
    ]
)
scalar = st.none() | st.booleans() | st.integers() | st.floats() | odd_text
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3)
)
COLUMNS = ("query", "passage", "target_query", "language", "negative_1", "neg_query_1", "text", "id", "title", "bridge")
record = st.dictionaries(st.sampled_from(COLUMNS) | odd_text, anything, max_size=5)
good = st.fixed_dictionaries({"query": odd_text, "passage": odd_text, "text": odd_text}, optional={"id": scalar})


def as_lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in records).encode()


def as_parquet(records: list[dict[str, str]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), sink)
    return sink.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)  # with the same date every time
    return sink.getvalue()


ROWS = [
    {"query": f"what {i}", "passage": f"that {i}", "target_query": f"was {i}", "language": "de", "text": f"t {i}"}
    for i in range(3)
]
TEXT = "\n".join([",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)]) + "\n"
TABLES: dict[str, bytes] = {
    "a.jsonl": as_lines(ROWS),
    "a.json": json.dumps(ROWS).encode(),
    "a.csv": TEXT.encode(),
    "a.tsv": TEXT.replace(",", "\t").encode(),
    "a.parquet": as_parquet(ROWS),
    "a.jsonl.gz": gzip.compress(as_lines(ROWS), mtime=0),
    "semicolons.csv": TEXT.replace(",", ";").encode(),
    "windows.csv": TEXT.replace("was", "wäs").encode("cp1252"),
    "utf16.csv": TEXT.encode("utf-16"),
    "wide.csv": TEXT.replace("target_query,language", "question_de,Language").encode(),
    "a.csv.zip": zipped("a.csv", TEXT.encode()),
}
_SQUAD = {
    "data": [{"paragraphs": [{"context": "Rain falls.", "qas": [{"id": "1", "question": "What?", "lang": "de"}]}]}]
}
_QRELS = b"query-id\tcorpus-id\tscore\n1\t7\t1\n"
_TEXTS = {
    "corpus.jsonl": as_lines([{"_id": "7", "title": "a", "text": "b"}]),
    "queries.jsonl": as_lines([{"_id": "1", "text": "c"}]),
}
_DEBIAN = "Package: tea\nDescription-md5: m2\nDescription-{}: brews tea\n Tea is a program.\n"
_MKQA = {
    "example_id": "1",
    "queries": {"en": "what", "de": "was"},
    "answers": {"en": [{"text": "that"}], "de": [{"text": "das"}]},
}
_AFRIQA = {"id": 1, "context": "Rain falls.", "question_translated": "What falls?", "question_lang": "Nini?"}
#: name of a suite or a source -> its files
SUITES: dict[str, dict[str, bytes]] = {
    "own": {**_TEXTS, "qrels/test.tsv": _QRELS},
    "languages": {f"{code}/{name}": text for code in ("en", "sw") for name, text in _TEXTS.items()}
    | {"qrels.tsv": _QRELS},
    "xquad": {f"xquad.{code}.json": json.dumps(_SQUAD).encode() for code in ("en", "de")},
    "belebele": {
        "deu_Latn.jsonl": as_lines([{"link": "l", "question_number": 1, "question": "Was?", "flores_passage": "Das."}])
    },
    "mkqa": {"mkqa.jsonl": as_lines([_MKQA])},
    "xor-tydi": {"gp_squad_dev_data.json": json.dumps(_SQUAD).encode()},
    "afriqa": {"gold_span_passages.afriqa.swa.en.test.json": as_lines([_AFRIQA])},
    "debian": {f"Translation-{code}": _DEBIAN.format(code).encode() for code in ("en", "de")},
}
_HTML = "<h1 id='text'>{0} is one</h1><p>What stands in the first part.</p><h2 id='1'>{0} is two</h2><p>More {0}.</p>"
_MALLARD = "<page id='text'><title>{0} is one</title><p>What stands in the first <link xref='text'/>.</p></page>"
_GNOME = {f"{name}/a.page": _MALLARD.format(code).encode() for name, code in (("C", "this"), ("de", "das"))}
#: kind of source -> its files
SOURCES: dict[str, dict[str, bytes]] = {
    "squad": SUITES["xquad"],
    "afriqa": SUITES["afriqa"],
    "debian": SUITES["debian"],
    "beir": SUITES["own"],
    "help-html": {f"{name}/a.html": _HTML.format(code).encode() for name, code in (("en", "this"), ("de", "das"))},
    "mallard": _GNOME,
    "debian-help": {f"gnome/{name}": text for name, text in _GNOME.items()} | {"gnome/manifest.json": b"{}"},
}


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut off, with other bytes in some places, or with JSON of another kind in place of a value."""
    way = draw(st.sampled_from(["bytes", "value", "cut"]))
    if way == "cut":
        return content[: draw(st.integers(0, len(content)))]
    if way == "bytes":
        changed = bytearray(content)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    text = content.decode(errors="replace")
    words = [word for word in ('"1"', "1", '"de"', "[", '"text"', '"what"', "tea", '"data"') if word in text]
    if not words:
        return content
    return text.replace(draw(st.sampled_from(words)), json.dumps(draw(anything)), 1).encode(errors="replace")


@pytest.fixture(scope="module")
def folder() -> Any:
    """One folder for all examples: hypothesis asks for the fixtures once."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


# -- the commands -----------------------------------------------------------------------------------------------


@many
@given(st.lists(record | good, max_size=4))
def test_records_to_translate(folder: Path, records: list[Any]) -> None:
    table, out = folder / "any.jsonl", folder / "out.parquet"
    table.write_bytes(as_lines(records))
    status, message = run("translate", str(table), "command=cat", "--to", "eo", "--out", str(out), "--overwrite")
    refused_well(status, message, str(table), "row ", "command", "cat")


@many
@given(st.sampled_from(sorted(TABLES)), st.data())
def test_damaged_tables_to_mine(folder: Path, name: str, data: st.DataObject) -> None:
    table = folder / name
    table.write_bytes(data.draw(damaged(TABLES[name])))
    status, message = run("mine", str(table), "--model", NO_MODEL, "--out", str(folder / "mined.parquet"))
    refused_well(status, message, str(table))


@many
@given(st.sampled_from(sorted(TABLES)), st.data())
def test_damaged_corpora(folder: Path, name: str, data: st.DataObject) -> None:
    table = folder / name
    table.write_bytes(data.draw(damaged(TABLES[name]) | st.lists(record | good, max_size=4).map(as_lines)))
    option = data.draw(
        st.sampled_from(["language=de", "columns.text=query", "columns.nothing=x", "=", "language=[", ""])
    )
    status, message = run("index", NO_MODEL, str(table), *([option] if option else []), "--out", str(folder / "index"))
    refused_well(status, message, str(table), "columns", repr(option))


@many
@given(st.sampled_from(sorted(SUITES)), st.data())
def test_damaged_suites(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        contents = dict(SUITES[name])
        victim = data.draw(st.sampled_from(sorted(contents)))
        contents[victim] = data.draw(damaged(contents[victim]))
        write(Path(place), contents)
        suite = [place] if name in ("own", "languages") else [name, "--data", place]
        status, message = run("evaluate", NO_MODEL, "--suite", *suite, "--out", f"{place}/scores")
        refused_well(status, message, place, name, Path(place).name)


@many
@given(st.sampled_from(sorted(SOURCES)), st.sampled_from(["error", "skip"]), st.data())
def test_damaged_sources(kind: str, on_bad: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        contents = dict(SOURCES[kind])
        victim = data.draw(st.sampled_from(sorted(contents)))
        contents[victim] = data.draw(damaged(contents[victim]))
        write(Path(place), contents)
        recipe = {"name": "any", "model": NO_MODEL, "output": f"{place}/run"}
        recipe |= {"data": {"source": kind, "path": place, "on_bad": on_bad, "test": 1}}
        (Path(place) / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        status, message = run("train", f"{place}/recipe.yaml")
        refused_well(status, message, place, "row ", "the filter")


KEYS = sorted(Recipe.model_fields)
paths = st.lists(
    st.sampled_from([*KEYS, "path", "columns", "negatives", "window", "alpha", "batch_size", "backend", ""]),
    min_size=1,
    max_size=3,
)


@many
@given(
    st.dictionaries(st.sampled_from(KEYS) | odd_text, anything, max_size=4),
    st.lists(st.tuples(paths, anything), max_size=3),
)
def test_recipes(folder: Path, changes: dict[str, Any], overrides: list[tuple[list[str], Any]]) -> None:
    recipe, table = folder / "recipe.yaml", folder / "rows.jsonl"
    table.write_bytes(TABLES["a.jsonl"])
    content: dict[str, Any] = {"name": "any", "model": NO_MODEL, "output": str(folder / "run")}
    content |= {"data": {"path": str(table), "test": 1}} | changes
    # A place that an example chooses is not written to.
    content |= {"output": str(folder / "run")}
    recipe.write_bytes(yaml.safe_dump(content, allow_unicode=True).encode(errors="replace"))
    options = [f"{'.'.join(path)}={yaml.safe_dump(value).strip()}" for path, value in overrides]
    options = [option.replace("\x00", "") for option in options if not option.startswith(("output", "-"))]
    status, message = run("train", str(recipe), *options, "--overwrite")
    named = [option.partition("=")[0] for option in options]
    refused_well(status, message, str(folder), "override", "Usage", "Hub", *KEYS, *filter(None, named))


@many
@given(st.binary(max_size=80) | damaged(yaml.safe_dump({"name": "any", "model": "x", "output": "y"}).encode()))
def test_bytes_for_a_recipe(folder: Path, content: bytes) -> None:
    recipe = folder / "bytes.yaml"
    recipe.write_bytes(content)
    status, message = run(
        "train", str(recipe), f"model={NO_MODEL}", f"output={folder / 'run'}", "data.path=nothing.csv"
    )
    refused_well(status, message, str(recipe), "nothing.csv")


@pytest.fixture(scope="module")
def scores_file(folder: Path) -> bytes:
    """Scores of two queries, as `clearir evaluate` writes them."""
    one = Direction("de", "en", 3, ["1", "2"], ["7", "8"], {"ndcg@10": [1.0, 0.5]}, [1, 2], [["7"], ["9", "8"]])
    bridge = Direction("en", "en", 3, ["1", "2"], ["7", "8"], {"ndcg@10": [1.0, 1.0]}, [1, 1], [["7"], ["8"]])
    clusters = {"1": "7", "2": "8"}
    scores = Scores("any", "hash", "m", "hash", "en", {"de->en": one, "en->en": bridge}, {}, clusters)
    scores.save(folder / "scores.json")
    return (folder / "scores.json").read_bytes()


@many
@given(st.data())
def test_damaged_scores(folder: Path, scores_file: bytes, data: st.DataObject) -> None:
    one, other = folder / "before.json", folder / "after.json"
    one.write_bytes(scores_file)
    other.write_bytes(data.draw(damaged(scores_file)))
    for command in (
        ["compare", str(one), str(other)],
        ["report", str(one), str(other), "--out", str(folder / "report")],
    ):
        status, message = run(*command)
        refused_well(status, message, str(folder), "ndcg@10")
