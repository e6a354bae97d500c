from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row, Rows
from clearir.data.sources.squad import read
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError

Paragraph = tuple[str, dict[str, str]]  # context, questions by id


def write(folder: Path, name: str, *paragraphs: Paragraph) -> Path:
    inside = [
        {"context": context, "qas": [{"id": id_, "question": text, "answers": []} for id_, text in questions.items()]}
        for context, questions in paragraphs
    ]
    path = folder / name
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": inside}]}), encoding="utf-8")
    return path


@pytest.fixture
def xquad(tmp_path: Path) -> Path:
    write(tmp_path, "xquad.en.json", ("Rain falls.", {"1": "What falls?"}), ("Fire burns.", {"2": "What burns?"}))
    write(tmp_path, "xquad.de.json", ("Regen fällt.", {"1": "Was fällt?"}), ("Feuer brennt.", {"2": "Was brennt?"}))
    return tmp_path


@pytest.fixture
def mlqa(tmp_path: Path) -> Path:
    """Two questions in German over English passages; a German passage for one of them."""
    write(tmp_path, "dev-context-en-question-en.json", ("Rain falls.", {"1": "What falls?", "2": "From where?"}))
    write(tmp_path, "dev-context-en-question-de.json", ("Rain falls.", {"1": "Was fällt?", "2": "Von wo?"}))
    write(tmp_path, "dev-context-de-question-de.json", ("Regen fällt.", {"1": "Was fällt?"}))
    return tmp_path


def test_xquad_is_joined_by_id(xquad: Path) -> None:
    rain, fire = fingerprint("Rain falls."), fingerprint("Fire burns.")
    assert list(read(xquad)) == [
        Row("What falls?", "Rain falls.", "Was fällt?", "de", (), (), "Regen fällt.", rain, "1"),
        Row("What burns?", "Fire burns.", "Was brennt?", "de", (), (), "Feuer brennt.", fire, "2"),
    ]


def test_languages_come_in_the_same_order_in_every_process(tmp_path: Path) -> None:
    codes = ["ar", "cs", "de", "el", "es", "fi", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
    for code in ["en", *codes]:
        write(tmp_path, f"xquad.{code}.json", ("Rain falls.", {"1": f"What falls, in {code}?"}))
    assert [row.language for row in read(tmp_path)] == codes


def test_mlqa_takes_questions_over_the_bridges_passages(mlqa: Path) -> None:
    rain = fingerprint("Rain falls.")
    assert list(read(mlqa)) == [
        Row("What falls?", "Rain falls.", "Was fällt?", "de", (), (), "Regen fällt.", rain, "1"),
        Row("From where?", "Rain falls.", "Von wo?", "de", (), (), None, rain, "2"),
    ]


def test_the_bridge_itself_has_no_target(mlqa: Path) -> None:
    rain = fingerprint("Rain falls.")
    assert list(read(mlqa, languages=["eng"])) == [
        Row("What falls?", "Rain falls.", passage_id=rain, query_id="1"),
        Row("From where?", "Rain falls.", passage_id=rain, query_id="2"),
    ]


def test_another_bridge(xquad: Path) -> None:
    rows = list(read(xquad, bridge="de"))
    assert [(row.query, row.target_query, row.language, row.bridge) for row in rows] == [
        ("Was fällt?", "What falls?", "en", "de"),
        ("Was brennt?", "What burns?", "en", "de"),
    ]


def test_questions_without_an_answer_are_left_out(xquad: Path) -> None:
    content = json.loads((xquad / "xquad.de.json").read_text())
    content["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = True
    (xquad / "xquad.de.json").write_text(json.dumps(content))
    assert [row.query_id for row in read(xquad)] == ["2"]


def test_bad_questions_are_refused_or_counted(xquad: Path) -> None:
    write(xquad, "xquad.de.json", ("Regen fällt.", {"1": "Was fällt?", "3": "Noch etwas?"}), ("Feuer.", {"2": " "}))
    with pytest.raises(
        InputError, match=r"xquad\.de\.json, article 1, paragraph 1, question 2: no question of this id"
    ):
        list(read(xquad))
    skipped: Counter[str] = Counter()
    assert [row.query_id for row in read(xquad, on_bad="skip", skipped=skipped)] == ["1"]
    assert skipped == {"no question of this id in 'en'": 1, "column 'question' is empty": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [', r"xquad\.de\.json:1: not JSON"),
        ("[1]", r"xquad\.de\.json: no list 'data'; a SQuAD file is"),
        ('{"data": [{}]}', r"xquad\.de\.json, article 1: no list 'paragraphs'"),
        ('{"data": [{"paragraphs": [7]}]}', r"article 1, paragraph 1: no list 'qas'"),
        ('{"data": [{"paragraphs": [{"qas": ["?"]}]}]}', r"paragraph 1, question 1: not an object"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": "1", "question": "?"}]}]}]}', "column 'context' holds nothing"),
        ('{"data": [{"paragraphs": [{"qas": [{"question": "?"}]}]}]}', "question 1: column 'id' holds nothing"),
        ('{"data": []}', "no rows"),
    ],
)
def test_broken_files_are_named_with_the_place(xquad: Path, content: str, message: str) -> None:
    (xquad / "xquad.de.json").write_text(content)
    with pytest.raises(InputError, match=message):
        list(read(xquad))


def test_bad_folders_and_languages(xquad: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match=r"no language 'sw'; choose from de, en"):
        read(xquad, languages=["sw"])
    with pytest.raises(InputError, match="no file with questions and passages in 'fr'; there are de, en"):
        read(xquad, bridge="fr")
    with pytest.raises(InputError, match="no such folder"):
        read(xquad / "no")
    with pytest.raises(InputError, match=r"no file with a name like xquad\.de\.json"):
        read(tmp_path_factory.mktemp("empty"))
    write(xquad, "xquad.deu.json")
    with pytest.raises(InputError, match=r"xquad\.de\.json and xquad\.deu\.json are for the same languages"):
        read(xquad)


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "paragraphs", "qas", "context", "question", "id"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(anything, st.sampled_from(["error", "skip"]))
def test_any_json_gives_rows_or_an_input_error(value: Any, on_bad: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, "xquad.en.json", ("Rain falls.", {"1": "What falls?"}))
        (folder / "xquad.de.json").write_text(json.dumps({"data": value}), encoding="utf-8")
        try:
            rows = list(read(folder, on_bad=on_bad))
        except InputError as error:
            rows = []
            assert name in str(error)  # noqa: PT017
        assert all(row.target_query for row in rows)


def test_mlqa_dev(shared_data: Path) -> None:
    folder = shared_data / "mlqa" / "MLQA_V1" / "dev"
    rows = Rows.collect(read(folder))
    assert rows.languages == {"ar": 517, "de": 512, "vi": 511, "hi": 507, "zh": 504, "es": 500}
    assert rows.duplicates == 0
    assert all(row.target_passage and row.query_id for row in rows)
    english = Rows.collect(read(folder, languages=["en"]))
    assert len(english) == 1148
    assert len({row.passage_id for row in english}) == len({row.passage for row in english}) == 978
    assert {row.query_id for row in rows} <= {row.query_id for row in english}
