from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row, Rows
from clearir.data.sources.tables import read
from clearir.support.errors import InputError
from clearir.support.texts import is_blank

Records = list[dict[str, Any]]

OURS: Records = [
    {"query": "water", "passage": "A clear liquid.", "target_query": "maji", "language": "swh_Latn"},
    {"query": "fire", "passage": "Hot and bright.", "target_query": "Feuer", "language": "de"},
]
ROWS = [Row("water", "A clear liquid.", "maji", "sw"), Row("fire", "Hot and bright.", "Feuer", "de")]


def as_lines(records: Records) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def as_separated(records: Records, separator: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(records[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().encode()


def as_parquet(records: Records) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), out)
    return out.getvalue()


WRITERS: Mapping[str, Callable[[Records], bytes]] = {
    "a.jsonl": as_lines,
    "a.ndjson": as_lines,
    "a.json": lambda records: json.dumps(records, indent=1).encode(),
    "data.json": lambda records: json.dumps({"data": records}).encode(),
    "lines.json": as_lines,  # JSON lines are often called .json
    "a.csv": lambda records: as_separated(records, ","),
    "a.tsv": lambda records: as_separated(records, "\t"),
    "a.parquet": as_parquet,
    "a.jsonl.gz": lambda records: gzip.compress(as_lines(records), mtime=0),
    "a.csv.gz": lambda records: gzip.compress(as_separated(records, ","), mtime=0),
}


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    assert list(read(write(tmp_path, name, WRITERS[name](OURS)))) == ROWS


def test_several_files_and_a_folder_of_shards(tmp_path: Path) -> None:
    one = write(tmp_path, "shards/0.jsonl", as_lines(OURS[:1]))
    two = write(tmp_path, "shards/part/1.jsonl", as_lines(OURS[1:]))
    write(tmp_path, "shards/README.md", "not a table")
    write(tmp_path, "shards/.cache/2.jsonl", "not a shard")
    write(tmp_path, "shards/manifest.json", "{}")
    assert list(read([two, one])) == [ROWS[1], ROWS[0]]
    assert list(read(tmp_path / "shards")) == ROWS


def test_what_rows_write_is_read_as_a_table(tmp_path: Path) -> None:
    row = Row("a", "b", "c", "sw", ("d", "e"), ("f",), "g", "p1", "q1", bridge="fr")
    rows = Rows.collect([row, Row("h", "i")])
    rows.to_parquet(tmp_path / "rows.parquet")
    assert tuple(read(tmp_path / "rows.parquet")) == rows.rows


@pytest.mark.parametrize(
    "record",
    [
        {"anchor": "q", "positive": "p", "cross_anchor": "t", "neg_1": "a", "neg_2": "b", "neg_query_1": "c"},
        {"en_question": "q", "paragraphs": "p", "lang_question": "t", "neg_2": "b", "neg_1": "a", "neg_query_1": "c"},
        {"query": "q", "passage": "p", "target_query": "t", "negatives": ["a", "b"], "target_negatives": ["c"]},
        {
            "query": "q",
            "passage": "p",
            "target_query": "t",
            "negative_1": "a",
            "negative_2": "b",
            "target_negative_1": "c",
        },
    ],
)
def test_names_that_are_understood_unasked(record: dict[str, Any], tmp_path: Path) -> None:
    expected = [Row("q", "p", "t", "de", ("a", "b"), ("c",))]
    assert list(read(write(tmp_path, "a.jsonl", as_lines([record])), language="deu")) == expected


def test_columns_are_mapped_and_negatives_ordered_by_number(tmp_path: Path) -> None:
    record = {"frage": "q", "text": "p", "n10": "ten", "neg_2": "two", "neg_1": "one", "nr": 7, "unused": [1]}
    columns = {"query": "frage", "passage": "text", "negative_10": "n10", "passage_id": "nr"}
    path = write(tmp_path, "a.jsonl", as_lines([record]))
    assert list(read(path, columns=columns)) == [Row("q", "p", negatives=("one", "two", "ten"), passage_id="7")]


def test_rows_may_have_different_numbers_of_negatives_and_can_be_cut(tmp_path: Path) -> None:
    header = "query,passage,neg_1,neg_2\n"
    path = write(tmp_path, "a.csv", header + "a,b,c,d\ne,f,g,\n")
    assert [row.negatives for row in read(path)] == [("c", "d"), ("g",)]
    assert [row.negatives for row in read(path, max_negatives=1)] == [("c",), ("g",)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.parquet"])
def test_a_row_may_name_its_language_alone(name: str, tmp_path: Path) -> None:
    """`translate` makes the target query in that language; where it is the bridge's there is nothing to translate."""
    records = [{"query": "water", "passage": "A liquid.", "language": code} for code in ("swh_Latn", "en")]
    rows = list(read(write(tmp_path, name, WRITERS[name](records)), language="de"))
    assert rows == [Row("water", "A liquid.", None, "sw"), Row("water", "A liquid.")]


NOTHING: Records = [
    {"query": "water", "passage": "A liquid.", "target_query": "maji", "language": "sw"},
    {"query": "fire", "passage": "Hot.", "target_query": "", "language": ""},
]
OPTIONAL = ("target_passage", "passage_id", "query_id", "bridge", "negative_1", "target_negative_1")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("blank", ["", "  ", "\u200b", None])
def test_nothing_null_and_empty_are_the_same(name: str, blank: str | None, tmp_path: Path) -> None:
    records = [row | dict.fromkeys(OPTIONAL, blank) for row in NOTHING]
    expected = [Row("water", "A liquid.", "maji", "sw"), Row("fire", "Hot.")]
    assert list(read(write(tmp_path, name, WRITERS[name](records)))) == expected


def test_rows_that_were_saved_as_csv_are_the_same_rows(tmp_path: Path) -> None:
    rows = Rows.collect([Row("a", "b", "c", "sw", query_id="7"), Row("d", "e", bridge="fr"), Row("f", "g", None, "de")])
    rows.to_parquet(tmp_path / "rows.parquet")
    records = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert tuple(read(write(tmp_path, "rows.csv", as_separated(records, ",")))) == rows.rows


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_numbers_in_text_columns_are_text_and_counted(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Columns of numbers with gaps are floats in pandas, and the gaps NaN."""
    records = [
        {"query": 7, "passage": 0.5, "passage_id": 3.0, "target_query": 12.0, "negative_1": 1},
        {"query": 8, "passage": 2.0, "passage_id": math.nan, "target_query": math.nan, "negative_1": 2},
    ]
    path = write(tmp_path, name, WRITERS[name](records))
    with caplog.at_level(logging.WARNING):
        rows = list(read(path, language="sw"))
    assert rows == [Row("7", "0.5", "12", "sw", ("1",), passage_id="3"), Row("8", "2", negatives=("2",))]
    counts = "'target_query' (1), 'query' (2), 'passage' (2), 'negative_1' (2)"
    said = [record.message for record in caplog.records]
    assert said == [f"{path}: numbers in columns of texts are read as text: {counts}"]


def test_names_of_languages_are_codes_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["Spanish", "sw", "spanish (Mexico)", "Kiswahili", "Spanish", "pt_BR"]
    cells = "".join(f"q{i},p{i},t{i},{name}\n" for i, name in enumerate(names))
    path = write(tmp_path, "a.csv", "query,passage,target_query,language\n" + cells)
    with caplog.at_level(logging.WARNING):
        assert [row.language for row in read(path)] == ["es", "sw", "es-MX", "sw", "es", "pt-BR"]
    said = "names of languages are read as codes: 'Spanish' (es), 'spanish (Mexico)' (es-MX), 'Kiswahili' (sw)"
    assert caplog.messages == [f"{path}: {said}"]


def test_a_bridge_language_other_than_english(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "query,passage,target_query\neau,texte,sin\n")
    assert list(read(path, language="fon", bridge="fra")) == [Row("eau", "texte", "sin", "fon", bridge="fr")]


def test_english_only_data_needs_no_language(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "query,passage\nq,p\n")
    assert list(read(path, language="sw")) == [Row("q", "p")]


def test_text_is_read_as_it_is(tmp_path: Path) -> None:
    texts = [
        "\u202eabc\u2069",
        "e\u0301",
        "👩🏽\u200d🔬",
        "a\u2028b",
        " x ",
        "line\nline",
        'say "a, b"',
        "x" * 1_000_000,
    ]
    records = [{"query": text, "passage": text} for text in texts]
    for name in ("a.jsonl", "a.csv", "a.tsv", "a.parquet"):
        assert [row.query for row in read(write(tmp_path, name, WRITERS[name](records)))] == texts


def test_a_byte_order_mark_and_empty_lines_are_no_matter(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert list(read(write(tmp_path, "a.csv", mark + b"query,passage\r\n\r\nq,p\r\n\r\n"))) == [Row("q", "p")]
    assert list(read(write(tmp_path, "a.jsonl", mark + b'{"query": "q", "passage": "p"}\n\n'))) == [Row("q", "p")]


LINE = '{"query": "q", "passage": "p"}\n'


#: without a time in it: names of tests have to be the same in every process
CUT_GZIP = gzip.compress(b"query,passage\nq,p\n", mtime=0)[:-9]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", LINE + '{"query": "q"\n', r"a\.jsonl:2: not JSON \(.+ at character 14\); a line must be one"),
        ("a.jsonl", LINE + "[1]\n", r"a\.jsonl:2: a JSON list, not an object; "),
        ("a.jsonl", LINE + "[" * 100_000, r"a\.jsonl:2: not usable JSON; "),
        ("a.jsonl", LINE + '{"query": ' + "9" * 5000 + "}", r"a\.jsonl:2: "),
        ("a.jsonl", LINE.encode() + b'{"query": "\xe9"}\n', r"a\.jsonl:2: byte 12 of the line is not UTF-8; .*iconv"),
        ("a.jsonl", LINE + '{"query": "", "passage": "p"}', r"a\.jsonl:2: column 'query' is empty; .*on_bad=skip"),
        ("a.jsonl", LINE + '{"query": " \\n", "passage": "p"}', r"a\.jsonl:2: column 'query' is empty"),
        ("a.jsonl", LINE + '{"query": true, "passage": "p"}', r"a\.jsonl:2: column 'query' holds a value of type bool"),
        ("a.jsonl", LINE + '{"query": Infinity, "passage": "p"}', r":2: column 'query' holds a value of type float"),
        ("a.jsonl", LINE + '{"query": NaN, "passage": "p"}', r":2: column 'query' holds nothing, not text"),
        ("a.jsonl", LINE + '{"query": "q", "passage": null}', r"a\.jsonl:2: column 'passage' holds nothing, not text"),
        ("a.jsonl", LINE + '{"query": "q\\ud800", "passage": "p"}', r":2: column 'query' holds half a surrogate"),
        ("a.jsonl", LINE + '{"query": "q", "texte": "p"}', r":2: no column 'passage'; the columns are 'query', 'te"),
        ("a.jsonl", "", r"a\.jsonl: no rows; "),
        ("a.jsonl", "\n\n", r"a\.jsonl: no rows; "),
        ("a.json", "[]", r"a\.json: no rows; "),
        ("a.json", "7", r"a\.json: not a table; write a list of objects"),
        ("a.json", '[{"query": "q"},\n', r"a\.json:2: not JSON"),
        ("a.json", '[{"query": "q", "passage": "p"}, 3]', r"a\.json, row 2: a JSON int, not an object"),
        ("a.csv", "", r"a\.csv: no rows; "),
        ("a.csv", "query,passage\n", r"a\.csv: no rows; "),
        ("a.csv", "query,pasage\nq,p\n", r"no column 'passage'; .* with columns\.passage=pasage "),
        ("a.csv", "query,query,passage\nq,r,p\n", r"a\.csv:1: two columns are called 'query'"),
        ("a.csv", "query,passage\nq,p\nq,p,r\n", r"a\.csv:3: 3 cells where the header has 2; quote cells"),
        ("a.csv", 'query,passage\nq,p\nq,"p\n', r"a\.csv:3: unexpected end of data; put cells"),
        ("a.csv", "query,passage\nq,p\n,p\n", r"a\.csv:3: column 'query' is empty"),
        ("a.csv", "query,passage\rq,p\r", r"a\.csv:1: a line ends with CR only; save the file as CSV UTF-8"),
        ("a.csv", b"query,passage\nq,\xc3\xa4\nq,\xff\n", r"a\.csv:3: byte 3 of the line is not UTF-8"),
        ("a.csv", "query,passage,target_query\nq,p,t\n", r"a\.csv:2: the language of the target .*language=sw"),
        ("a.csv", "query,passage,target_query,language\nq,p,t,xqq\n", r"a\.csv:2: unknown language code 'xqq'; "),
        ("a.csv", "query,passage,target_query,language\nq,p,t,swahilli\n", r":2: .*did you mean 'sw' \(Swahili\)\?"),
        ("a.csv", "query,passage,target_query,language\nq,p,t,en\n", r":2: the target language 'en' is the bridge"),
        ("a.csv.gz", CUT_GZIP, r"a\.csv\.gz: cannot be read \(.+\); fetch or make"),
        ("a.csv.gz", b"query,passage\nq,p\n", r"a\.csv\.gz: cannot be read \(.+\); fetch or make"),
        ("a.parquet", as_parquet(OURS)[:-30], r"a\.parquet: not a whole Parquet file \(.+\); fetch or make it again"),
        ("a.parquet", b"", r"a\.parquet: not a whole Parquet file"),
        ("a.parquet", as_parquet([{"query": [1], "passage": "p"}]), r"a\.parquet, row 1: column 'query' holds a v"),
        ("a.parquet", as_parquet([{"text": "p"}]), r"a\.parquet: no column 'query'; the columns are 'text'; "),
        ("a.docx", "PK", r"a\.docx: unknown kind of file; the name must end in \.jsonl"),
    ],
)  # fmt: skip
def test_bad_input_is_named_with_place_and_fix(name: str, content: bytes | str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        list(read(write(tmp_path, name, content)))


def test_bad_places_and_arguments(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "query,passage\nq,p\n")
    with pytest.raises(InputError, match=r"b\.csv: no such file; .* has a\.csv"):
        read(tmp_path / "b.csv")
    with pytest.raises(InputError, match="no files given"):
        read([])
    with pytest.raises(InputError, match=r"columns: 'question' is not a field of a row; write one of query, passage"):
        read(tmp_path / "a.csv", columns={"question": "query"})
    with pytest.raises(InputError, match=r"no column 'frage'; the columns are .* with columns\.query=query \("):
        list(read(tmp_path / "a.csv", columns={"query": "frage"}))
    with pytest.raises(InputError, match="on_bad is 'ignore'; write 'error' or 'skip'"):
        list(read(tmp_path / "a.csv", on_bad="ignore"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown language code 'klingon'"):
        read(tmp_path / "a.csv", language="klingon")
    with pytest.raises(InputError, match="no table in this folder"):
        read(write(tmp_path, "empty/notes.txt", "").parent)
    write(tmp_path, "b.parquet", as_parquet(OURS))
    with pytest.raises(InputError, match=r"holds \.csv and \.parquet files; name the file"):
        read(tmp_path)


def test_bad_rows_are_left_out_and_counted_by_reason(tmp_path: Path) -> None:
    lines = [
        LINE,
        '{"query": "", "passage": "p"}',
        "{",
        '{"query": "q", "passage": [5]}',
        '{"query": "", "passage": "p"}',
    ]
    skipped: Counter[str] = Counter()
    path = write(tmp_path, "a.jsonl", "\n".join(lines))
    assert list(read(path, on_bad="skip", skipped=skipped)) == [Row("q", "p")]
    not_json = next(reason for reason in skipped if reason.startswith("not JSON"))
    expected = {"column 'query' is empty": 2, not_json: 1, "column 'passage' holds a value of type list, not text": 1}
    assert skipped == expected


def test_no_good_row_is_an_error_even_where_bad_rows_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"query": "q", "url": "p"}\n' * 3)
    with pytest.raises(InputError, match=r"none of the 3 rows can be used\. The first: .*:1: no column 'passage'"):
        list(read(path, on_bad="skip"))


def test_a_column_that_a_whole_table_lacks_is_never_skipped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: no column 'passage'"):
        list(read(write(tmp_path, "a.csv", "query,url\nq,p\n"), on_bad="skip"))


cell = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=3))
names = st.sampled_from(["query", "passage", "target_query", "language", "neg_1", "negatives", "passage_id", "bridge"])
record = st.dictionaries(names | st.text(max_size=5), cell, max_size=8)
good = st.fixed_dictionaries(
    {"query": st.just("q"), "passage": st.just("p")}, optional={"neg_1": cell, "query_id": cell}
)


def outcome(name: str, content: bytes, **options: Any) -> list[Row]:
    """The rows, or none where the file is refused with an `InputError` that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), name, content)
        try:
            return list(read(path, **options))
        except InputError as error:
            message = str(error)
    assert name in message
    assert "; " in message
    return []


@settings(max_examples=150, deadline=None)
@given(st.lists(record | good, max_size=4), st.sampled_from(["error", "skip"]))
def test_any_cells_give_rows_or_an_input_error(records: Records, on_bad: str) -> None:
    for row in outcome("a.jsonl", as_lines(records), language="sw", on_bad=on_bad):
        texts = [row.query, row.passage, *row.negatives, *row.target_negatives]
        assert all(text.strip() for text in texts)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(WRITERS)), st.binary(max_size=60))
def test_any_bytes_give_rows_or_an_input_error(name: str, content: bytes) -> None:
    outcome(name, content)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WRITERS)), st.data())
def test_a_damaged_file_gives_rows_or_an_input_error(name: str, data: st.DataObject) -> None:
    """Cut off, or with a few bytes that are other ones."""
    content = bytearray(WRITERS[name](OURS))
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)):
        content[place] = value
    outcome(name, bytes(content[: data.draw(st.integers(0, len(content)))]))


C1 = "".join(map(chr, range(0x80, 0xA0)))  # bad cells, see test_textfiles.py
characters = st.characters(exclude_categories=["Cs"], exclude_characters=C1)
texts = st.text(characters, min_size=1, max_size=10).filter(lambda text: not is_blank(text))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.sampled_from(["a.jsonl", "a.json", "a.parquet"]))
def test_any_text_comes_through_unchanged(pairs: list[tuple[str, str]], name: str) -> None:
    records = [{"query": query, "passage": passage} for query, passage in pairs]
    assert outcome(name, WRITERS[name](records)) == [Row(query, passage) for query, passage in pairs]
