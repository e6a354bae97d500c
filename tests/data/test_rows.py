from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row, Rows
from clearir.support.errors import InputError

COLUMNS = [
    "query",
    "passage",
    "negative_1",
    "negative_2",
    "target_query",
    "target_negative_1",
    "language",
    "target_passage",
    "passage_id",
    "query_id",
    "bridge",
    "page_id",
]
WATER = Row("water", "A clear liquid.", "maji", "sw", ("fire", "earth"), ("moto",), "Kioevu.", "p1", "q1")
FIRE = Row("fire", "Hot and bright.", "moto", "sw", ("water", "earth"), ("maji",))


def test_an_equal_row_is_dropped_and_counted() -> None:
    rows = Rows.collect([WATER, FIRE, WATER, WATER])
    assert rows.rows == (WATER, FIRE)
    assert rows.duplicates == 4 - 2
    assert len(rows) == 2


def test_rows_that_differ_in_one_field_are_both_kept() -> None:
    other = Row("water", "A clear liquid.", "maji", "sw", ("fire", "earth"), ("moto",), "Kioevu.", "p1", "q2")
    assert Rows.collect([WATER, other]).duplicates == 0


def test_no_rows_names_the_source() -> None:
    with pytest.raises(InputError, match=r"^pairs\.csv: no rows; .+"):
        Rows.collect([], source="pairs.csv")


def test_languages_are_counted_the_most_first() -> None:
    german = Row("fire", "Hot and bright.", "Feuer", "de")
    assert list(Rows.collect([german, WATER, FIRE, Row("a", "b")]).languages.items()) == [("sw", 2), ("de", 1)]


def test_num_negatives() -> None:
    assert Rows.collect([WATER, FIRE]).num_negatives == (2, 1)
    assert Rows.collect([Row("a", "b")]).num_negatives == (0, 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("a", "b", "c", "sw", ("d",), ("e",)), "row 3 has 1 negatives and row 1 has 2; .*max_negatives=1 or mine"),
        (Row("a", "b", "c", "sw", ("d", "f"), ()), "row 3 has 0 target negatives and row 1 has 1; .*max_negatives=0"),
        (Row("a", "b", "c", "sw", ("d", "f"), ("g",) * 3), "row 3 has 3 target negatives .*max_negatives=1"),
    ],
)
def test_unequal_numbers_of_negatives_are_refused_as_a_dataset(row: Row, message: str) -> None:
    rows = Rows.collect([WATER, FIRE, row])
    with pytest.raises(InputError, match=message):
        rows.to_dataset()


def test_dataset_columns_and_values() -> None:
    dataset = Rows.collect([WATER, FIRE]).to_dataset()
    assert dataset.column_names == COLUMNS
    assert dataset[0] == {
        "query": "water",
        "passage": "A clear liquid.",
        "negative_1": "fire",
        "negative_2": "earth",
        "target_query": "maji",
        "target_negative_1": "moto",
        "language": "sw",
        "target_passage": "Kioevu.",
        "passage_id": "p1",
        "query_id": "q1",
        "bridge": "en",
        "page_id": None,
    }
    assert dataset[1]["target_passage"] is None


def test_datasets_reads_the_folder_of_the_parquet_file(tmp_path: Path) -> None:
    from datasets import load_dataset

    rows = Rows.collect([WATER, FIRE])
    rows.to_parquet(tmp_path / "out" / "train.parquet")
    dataset = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert dataset.column_names == COLUMNS
    assert list(dataset) == list(rows.to_dataset())


# A NUL, marks that turn the writing direction, combining marks, an emoji of several characters, no letter at all.
HARD = ["a\0b", "\u202eabc\u2069", "e\u0301\u0323", "👩🏽\u200d🔬", "\ufeff", "\r\n\u2028", "x" * 1_000_000]


@pytest.mark.parametrize("text", HARD, ids=["nul", "bidi", "combining", "emoji", "bom", "lines", "megabyte"])
def test_odd_texts_survive_unchanged(text: str, tmp_path: Path) -> None:
    rows = Rows.collect([Row(text, text, text, "sw", (text,), (text,), text, text, text)])
    rows.to_parquet(tmp_path / "rows.parquet")
    assert Rows.from_parquet(tmp_path / "rows.parquet") == rows
    if len(text) < 1000:
        assert rows.to_dataset()[0]["passage"] == text


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.none() | texts
any_row = st.builds(
    Row,
    query=texts,
    passage=texts,
    target_query=maybe,
    language=maybe,
    negatives=st.lists(texts, max_size=3).map(tuple),
    target_negatives=st.lists(texts, max_size=3).map(tuple),
    target_passage=maybe,
    passage_id=maybe,
    query_id=maybe,
    bridge=texts,
    page_id=maybe,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(any_row, min_size=1, max_size=5))
def test_reading_what_was_written_gives_equal_rows(rows: list[Row]) -> None:
    """Also where some rows have more negatives than others."""
    table = Rows.collect(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        table.to_parquet(path)
        assert Rows.from_parquet(path) == table
        assert [file.name for file in Path(folder).iterdir()] == ["rows.parquet"]


def test_a_file_of_before_there_were_pages_is_read(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "rows.parquet"
    rows = Rows.collect([WATER, FIRE])
    rows.to_parquet(path)
    pq.write_table(pq.read_table(path).drop_columns("page_id"), path)
    assert Rows.from_parquet(path) == rows


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    rows = Rows.collect([WATER, FIRE])
    rows.to_parquet(tmp_path / "a.parquet")
    rows.to_parquet(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_half_a_surrogate_pair_cannot_be_written(tmp_path: Path) -> None:
    rows = Rows.collect([WATER, Row("fine", "not \ud83d fine")])
    with pytest.raises(InputError, match="row 2, column 'passage': half a surrogate pair"):
        rows.to_parquet(tmp_path / "rows.parquet")
    assert list(tmp_path.iterdir()) == []


def test_reading_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "rows.parquet"
    with pytest.raises(InputError, match=r"rows\.parquet: no such file"):
        Rows.from_parquet(path)
    Rows.collect([WATER, FIRE]).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.parquet: not a whole Parquet file"):
        Rows.from_parquet(path)
    pq.write_table(pa.table({"query": ["a"], "text": ["b"]}), path)
    with pytest.raises(InputError, match=r"rows\.parquet: no column 'passage'.*'table'"):
        Rows.from_parquet(path)
