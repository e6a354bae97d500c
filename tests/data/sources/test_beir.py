from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clearir.data.rows import Row
from clearir.data.sources.beir import read
from clearir.support.errors import InputError

CORPUS = '{"_id": "d1", "title": "Rain", "text": "It falls."}\n{"_id": "d2", "title": "", "text": "Fire burns."}\n'
QUERIES = '{"_id": "q1", "text": "What falls?"}\n{"_id": "q2", "text": "What burns?"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(CORPUS)
    (tmp_path / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "qrels" / "train.tsv").write_text(QRELS)
    return tmp_path


def test_a_row_for_each_relevant_pair(folder: Path) -> None:
    assert list(read(folder)) == [
        Row("What falls?", "Rain It falls.", passage_id="d1", query_id="q1"),
        Row("What burns?", "Fire burns.", passage_id="d2", query_id="q2"),
    ]


def test_splits(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    assert [row.query_id for row in read(folder, split="test")] == ["q1"]
    with pytest.raises(InputError, match="several splits; choose one with split=test or train"):
        read(folder)
    with pytest.raises(InputError, match="no split 'dev'; choose from test, train"):
        read(folder, split="dev")


def test_an_unknown_id_is_refused_or_counted(folder: Path) -> None:
    (folder / "qrels" / "train.tsv").write_text(QRELS + "q3\td1\t1\n")
    with pytest.raises(InputError, match=r"train\.tsv:5: an id that is not in queries\.jsonl; add 'q3' there"):
        list(read(folder))
    skipped: Counter[str] = Counter()
    assert len(list(read(folder, on_bad="skip", skipped=skipped))) == 2
    assert skipped == {"an id that is not in queries.jsonl": 1}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "qrels/train.tsv",
            "q1\t0\td1\t1\nq2\t0\td2\t1\n",
            r"train\.tsv: no columns query-id, corpus-id, score; the f",
        ),
        (
            "qrels/train.tsv",
            QRELS.replace("\t2\n", "\tyes\n"),
            r"train\.tsv:3: column 'score' holds 'yes', not a number",
        ),
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\n", r"train\.tsv: no rows"),
        ("corpus.jsonl", CORPUS + "{", r"corpus\.jsonl:3: not JSON"),
        ("corpus.jsonl", '{"name": "d1", "text": "a"}', r"corpus\.jsonl:1: no '_id'; a line is"),
        ("corpus.jsonl", CORPUS + CORPUS, r"corpus\.jsonl:3: the id 'd1' stands twice; "),
        ("corpus.jsonl", CORPUS.replace('"_id"', '"id"'), None),
        ("corpus.jsonl", CORPUS.replace("It falls.", ""), None),  # a title alone will do
        ("corpus.jsonl", CORPUS.replace('"Fire burns."', "null"), r"corpus\.jsonl:2: neither title nor text; add one"),
        ("queries.jsonl", QUERIES.replace('"What falls?"', "3"), r"queries\.jsonl:1: column 'text' holds a value of"),
    ],
)
def test_bad_files_are_named_with_the_place(folder: Path, file: str, content: str, message: str | None) -> None:
    (folder / file).write_text(content)
    if message is None:
        assert len(list(read(folder))) == 2
    else:
        with pytest.raises(InputError, match=message):
            list(read(folder))


def test_missing_files(folder: Path) -> None:
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"corpus\.jsonl: no such file"):
        list(read(folder))
    with pytest.raises(InputError, match=r"no qrels/\*\.tsv; a BEIR folder has"):
        read(folder / "qrels")


def test_relevance_above_0_is_relevant_whatever_it_is(folder: Path) -> None:
    (folder / "qrels" / "train.tsv").write_text(QRELS.replace("\t2\n", "\t0.5\n"))
    assert [row.query_id for row in read(folder)] == ["q1", "q2"]


def test_a_bad_score_can_be_left_out(folder: Path) -> None:
    (folder / "qrels" / "train.tsv").write_text(QRELS.replace("\t2\n", "\tnan\n"))
    skipped: Counter[str] = Counter()
    assert len(list(read(folder, on_bad="skip", skipped=skipped))) == 1
    assert skipped == {"column 'score' holds 'nan', not a number": 1}
