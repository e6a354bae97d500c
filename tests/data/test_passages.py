from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearir.data.passages import QUESTION, Passage, read_corpus
from clearir.support.errors import InputError


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def test_a_passage_a_line(tmp_path):
    path = tmp_path / "faq.txt"
    path.write_text("first\n\n  second, with spaces  \n", encoding="utf-8")
    corpus = read_corpus(path, language="swh_Latn")
    assert corpus.passages == (
        Passage("1", "first", language="sw"),
        Passage("3", "second, with spaces", language="sw"),
    )
    assert corpus.left_out == {"no text": 1}


def test_lines_out_of_gzip(tmp_path):
    with gzip.open(tmp_path / "faq.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("чай\n")
    assert read_corpus(tmp_path / "faq.txt.gz").passages == (Passage("1", "чай"),)


def test_json_lines_keep_title_id_language_and_other_fields(tmp_path):
    path = write(
        tmp_path / "c.jsonl",
        {"id": 7, "title": "Tea", "text": "hot", "language": "eng", "year": 2020, "tags": ["a"], "none": None},
        {"_id": "x", "passage": "kahvi", "lang": "fi", "metadata": {"url": "u", "new": True}},
        {"text": "third", "price": 0.5, "empty": ""},
    )
    assert read_corpus(path).passages == (
        Passage("7", "hot", "Tea", "en", {"year": 2020, "tags": '["a"]'}),
        Passage("x", "kahvi", "", "fi", {"url": "u", "new": True}),
        Passage("3", "third", fields={"price": 0.5}),
    )


def test_the_model_reads_the_title_before_the_text():
    assert Passage("1", "hot water", "Tea").content == "Tea hot water"
    assert Passage("1", "hot water").content == "hot water"


def test_columns_with_other_names(tmp_path):
    (tmp_path / "c.csv").write_text("nr,kappale,otsikko\n1,teksti,nimi\n", encoding="utf-8")
    found = read_corpus(tmp_path / "c.csv", columns={"text": "kappale", "title": "otsikko", "id": "nr"})
    assert found.passages == (Passage("1", "teksti", "nimi"),)


def test_columns_in_any_case(tmp_path):
    (tmp_path / "c.csv").write_text("ID,Text,TITLE,Language,Colour,Passage\n7,hot,Tea,fi,red,x\n", encoding="utf-8")
    expected = Passage("7", "hot", "Tea", "fi", {"Colour": "red", "Passage": "x"})
    assert read_corpus(tmp_path / "c.csv").passages == (expected,)
    found = read_corpus(tmp_path / "c.csv", columns={"text": "colour"}).passages
    assert [one.text for one in found] == ["red"]


def test_a_title_alone_is_a_passage(tmp_path):
    path = write(tmp_path / "c.jsonl", {"title": "Stones", "text": ""}, {"title": "", "text": " "}, {"text": "a"})
    corpus = read_corpus(path)
    assert corpus.passages == (Passage("1", "Stones"), Passage("3", "a"))
    assert corpus.left_out == {"no text": 1}


def test_ids_of_several_files_do_not_collide(tmp_path):
    write(tmp_path / "a.jsonl", {"text": "one"})
    write(tmp_path / "b.jsonl", {"text": "two"})
    assert [one.id for one in read_corpus(tmp_path).passages] == ["a.jsonl:1", "b.jsonl:1"]


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"contents": ["a", "b"], "n": [1, None]}), tmp_path / "c.parquet")
    found = read_corpus(tmp_path / "c.parquet").passages
    assert found == (Passage("1", "a", fields={"n": 1}), Passage("2", "b"))


def test_the_same_passage_again_is_one(tmp_path):
    path = write(tmp_path / "c.jsonl", {"id": "a", "text": "one"}, {"id": "a", "text": "one"})
    corpus = read_corpus(path)
    assert len(corpus) == 1
    assert corpus.left_out == {"the same passage again": 1}


def test_passages_of_a_source_of_rows_come_once(tmp_path):
    path = write(
        tmp_path / "rows.jsonl",
        {"query": "q1", "passage": "first", "target_query": "k1", "language": "fi"},
        {"query": "q2", "passage": "first", "target_query": "k2", "language": "fi"},
        {"query": "q3", "passage": "second"},
    )
    corpus = read_corpus(path, "table")
    assert corpus.passages == (
        Passage("1", "first", language="en", fields={QUESTION: "q1"}),
        Passage("3", "second", language="en", fields={QUESTION: "q3"}),
    )


def test_sections_of_help_pages(tmp_path):
    page = (
        "<h1 id='a'>Saving</h1><p>How to keep one document.</p>"
        "<h2 id='b'>Options</h2><p>There are many more options.</p>"
    )
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "p.html").write_text(page, encoding="utf-8")
    assert read_corpus(tmp_path, "help-html").passages == (
        Passage("p.html#a", "How to keep one document.", "", "en", {QUESTION: "Saving"}),
        Passage("p.html#b", "There are many more options.", "", "en", {QUESTION: "Saving: Options"}),
    )


TARGETS = {"es": "¿Qué cae?", "sw": "Nini huanguka?", "ar": "ماذا يسقط؟"}


def test_rows_that_trained_a_model_give_each_passage_once_in_the_bridge_language(tmp_path):
    rows = [
        {
            "query": query,
            "passage": text,
            "target_query": target,
            "language": code,
            "negative_1": "Snow melts.",
            "year": n,
        }
        for n, (query, text) in enumerate([("what falls?", "Rain falls."), ("what burns?", "Fire burns.")])
        for code, target in TARGETS.items()
    ]
    rows.append(rows[0] | {"passage": "RAIN  falls.\u200b"})
    corpus = read_corpus(write(tmp_path / "rows.jsonl", *rows))
    assert corpus.passages == (
        Passage("1", "Rain falls.", language="en", fields={"year": 0, "question": "what falls?"}),
        Passage("4", "Fire burns.", language="en", fields={"year": 1, "question": "what burns?"}),
    )
    assert corpus.left_out == {"the same passage again": 2 + 2 + 1}
    french = read_corpus(write(tmp_path / "fr.jsonl", *(row | {"bridge": "fra"} for row in rows)))
    assert {passage.language for passage in french.passages} == {"fr"}
    assert {passage.language for passage in read_corpus(tmp_path / "rows.jsonl", language="fr").passages} == {"fr"}
    with_ids = read_corpus(write(tmp_path / "ids.jsonl", *(row | {"passage_id": f"p{row['year']}"} for row in rows)))
    assert [passage.id for passage in with_ids.passages] == ["p0", "p1"]


def test_rows_with_a_column_for_each_language_give_each_passage_once(tmp_path):
    (tmp_path / "wide.csv").write_text(
        "question,answer,question_es,question_sw,area\nwhat falls?,Rain falls.,¿Qué cae?,Nini huanguka?,sky\n",
        encoding="utf-8",
    )
    (passage,) = read_corpus(tmp_path / "wide.csv").passages
    assert passage == Passage("1", "Rain falls.", language="en", fields={"area": "sky", "question": "what falls?"})


def test_rows_that_are_still_to_be_translated_are_rows_too(tmp_path):
    row = {"query": "what falls?", "passage": "Rain falls.", "language": "sw"}
    (passage,) = read_corpus(write(tmp_path / "rows.jsonl", row, row | {"language": "es"})).passages
    assert passage.language == "en"


def test_a_corpus_with_questions_keeps_its_language_and_ids(tmp_path):
    records = [{"id": n, "text": "Vesi kiehuu.", "question": f"milloin? {n}", "language": "fi"} for n in (7, 8)]
    assert read_corpus(write(tmp_path / "c.jsonl", *records)).passages == (
        Passage("7", "Vesi kiehuu.", language="fi", fields={"question": "milloin? 7"}),
        Passage("8", "Vesi kiehuu.", language="fi", fields={"question": "milloin? 8"}),
    )


def test_debian_descriptions(tmp_path):
    (tmp_path / "Translation-en").write_text(
        "Package: gimp\nDescription-md5: 1\nDescription-en: image editor\n It edits\n images.\n", encoding="utf-8"
    )
    assert read_corpus(tmp_path, "debian").passages == (Passage("gimp", "It edits images.", "image editor", "en"),)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"body": "x"}], "c.jsonl:1: no column 'text' or 'passage' or 'contents'; the columns are 'body'"),
        ([{"text": 3}], "c.jsonl:1: column 'text' holds a value of type int"),
        ([{"text": "a", "language": "xqq"}], "c.jsonl:1: unknown language code"),
        ([{"id": "a", "text": "one"}, {"id": "a", "text": "two"}], "c.jsonl:2: an earlier passage has the same"),
        ([{"text": ""}], "no passages"),
        ([], "no passages"),
        ([["text"]], "c.jsonl:1: a JSON list"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path, lines, words):
    with pytest.raises(InputError, match=r"c\.jsonl") as caught:
        read_corpus(write(tmp_path / "c.jsonl", *lines))
    assert words in str(caught.value)


def test_a_file_without_a_column_of_texts(tmp_path):
    (tmp_path / "c.csv").write_text("name,body\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"say which one holds the passages with columns\.text=COLUMN"):
        read_corpus(tmp_path / "c.csv")


def test_unknown_names_and_options():
    with pytest.raises(InputError, match="'body' is not a column of passages"):
        read_corpus("missing.jsonl", columns={"body": "x"})
    with pytest.raises(InputError, match="no such file"):
        read_corpus("missing.jsonl")
    with pytest.raises(InputError, match="no such file"):
        read_corpus("missing.txt")
    with pytest.raises(InputError, match="name a source of rows with --source"):
        read_corpus("c.jsonl", split="dev")
    with pytest.raises(InputError, match="path: a file of passages has only the options language and columns"):
        read_corpus("c.jsonl", **{"path": "d.jsonl"})
    with pytest.raises(InputError, match=r"skipped: not an option; .* on_bad=skip"):
        read_corpus("passages.jsonl", "table", skipped="x")
    with pytest.raises(InputError, match="no option 'path'"):
        read_corpus("c.jsonl", "table", **{"path": "d.jsonl"})
    with pytest.raises(InputError, match="write bridge=fi instead"):
        read_corpus("c.jsonl", "table", language="fi")


names = st.sampled_from(["text", "id", "title", "language", "metadata", "year"]) | st.text(min_size=1, max_size=3)
values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.lists(st.none())
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(records=st.lists(st.dictionaries(names, values, max_size=4), max_size=4))
def test_any_json_lines_are_read_or_refused_with_a_message(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    try:
        corpus = read_corpus(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - whether it is raised depends on the records
    else:
        assert len({passage.id for passage in corpus.passages}) == len(corpus) > 0
