"""Tables as people have them, through the command line: what is typed, what is said, what comes out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clearir.cli.app import main
from clearir.data.rows import Row, Rows

Clearir = Callable[..., str]


@pytest.fixture
def clearir(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Clearir:
    """Runs the command line and gives back all that it said."""

    def run(*arguments: object, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["clearir", *map(str, arguments)])
        ended = 0
        try:
            main()
        except SystemExit as end:
            ended = int(end.code or 0)
        said = capsys.readouterr()
        assert ended == status, said.err
        return said.out + said.err

    return run


def translated(clearir: Clearir, table: Path, *options: str) -> tuple[Row, ...]:
    """The rows after a translation by `cat`, which leaves the queries as they are."""
    out = table.with_suffix(".out.parquet")
    clearir("translate", table, "command=cat", *options, "--out", out)
    return Rows.from_parquet(out).rows


def test_rows_that_name_their_language_alone_are_translated_into_it(clearir: Clearir, tmp_path: Path) -> None:
    table = tmp_path / "mixed.csv"
    table.write_text("query,passage,target_query,language\nq1,p1,t1,de\nq2,p2,,sw\nq3,p3,,\n")
    expected = (Row("q1", "p1", "t1", "de"), Row("q2", "p2", "q2", "sw"), Row("q3", "p3", "q3", "es"))
    assert translated(clearir, table, "--to", "es") == expected


def test_the_holes_of_a_table_with_a_column_per_language_are_translated(clearir: Clearir, tmp_path: Path) -> None:
    table = tmp_path / "wide.csv"
    table.write_text("en;answer;sw;es\nq1;p1;s1;\nq2;p2;s2;t2\n")
    expected = (
        Row("q1", "p1", "s1", "sw"),
        Row("q1", "p1", "q1", "es"),
        Row("q2", "p2", "s2", "sw"),
        Row("q2", "p2", "t2", "es"),
    )
    assert translated(clearir, table, "columns.query=en", "columns.target_query=[sw, es]", "--to", "es") == expected


OTHER_NAMES = "Frage,Antwort,Wort\nq1,p1,t1\nq2,p2,t2\n"


def test_every_command_says_the_line_to_paste_and_takes_it(
    clearir: Clearir, tmp_path: Path, tiny_model_path: Path
) -> None:
    table = tmp_path / "faq.csv"
    table.write_text(OTHER_NAMES)
    model = ("--model", tiny_model_path, "--window", "1,1", "--target-negatives", 1)
    commands = {
        "translate": (("translate", table, "command=cat", "--to", "es"), ("--out", tmp_path / "es.parquet")),
        "mine": (("mine", table), (*model, "--out", tmp_path / "mined.parquet", "--negatives", 1)),
        "evaluate": (("evaluate", tiny_model_path), ("--data", table, "--out", tmp_path / "scores")),
        "merge": (("merge", tiny_model_path, tiny_model_path), ("--data", table, "--out", tmp_path / "merged")),
        "export": (("export", tiny_model_path), ("--data", table, "--out", tmp_path / "onnx")),
    }
    for name, (command, options) in commands.items():
        said = clearir(*command, *options, status=2)
        assert "no columns 'query' and 'passage'; the columns are 'Frage', 'Antwort', 'Wort'; say which" in said, name
        assert "with columns.query=COLUMN columns.passage=COLUMN (behind a recipe: data.columns.query=" in said, name
    typed = ("columns.query=Frage", "columns.passage=Antwort", "columns.target_query=Wort", "language=no")
    assert translated(clearir, table, *typed) == (Row("q1", "p1", "t1", "no"), Row("q2", "p2", "t2", "no"))
    for name in ("mine", "evaluate"):
        command, options = commands[name]
        clearir(*command, *typed, *options)
    assert [row.language for row in Rows.from_parquet(tmp_path / "mined.parquet").rows] == ["no", "no"]


def test_bad_rows_can_be_left_out_by_what_the_message_says(clearir: Clearir, tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("query,passage\nq1,p1\n,p2\n")
    said = clearir("translate", table, "command=cat", "--to", "es", "--out", tmp_path / "a.parquet", status=2)
    assert f"{table}:3: column 'query' is empty; correct the cell, or leave such rows out with on_bad=skip" in said
    assert translated(clearir, table, "on_bad=skip", "--to", "es") == (Row("q1", "p1", "q1", "es"),)


def test_options_that_are_of_no_table_are_refused(clearir: Clearir, tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text(OTHER_NAMES)
    said = clearir("mine", table, "colums.query=Frage", "--model", "m", "--out", tmp_path / "o.parquet", status=2)
    assert (
        "'colums.query=Frage' is not an option of a table; these are: columns, language, bridge, max_negatives, on_bad"
        in said
    )
    assert "no model to score" in clearir("evaluate", "columns.query=Frage", "--data", table, status=2)
    for beside in (("--suite", "xquad"), ("--mteb", "XQuADRetrieval")):
        assert "columns: no effect with" in clearir("evaluate", "m", "columns.query=Frage", *beside, status=2)
    (tmp_path / "corpus.jsonl").write_text("")
    said = clearir("evaluate", "m", "language=de", "--data", tmp_path, status=2)
    assert "not a table of rows, so it has no option 'language'; leave it out" in said


def test_a_suite_with_a_missing_passage_is_scored_by_what_the_message_says(
    clearir: Clearir, tmp_path: Path, tiny_model_path: Path
) -> None:
    folder = tmp_path / "own"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "Rain", "text": ""}\n{"_id": "d2", "text": "x"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "what falls?"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\tgone\t1\n")
    scored = (tiny_model_path, "--out", tmp_path / "scores")
    for option in ("--suite", "--data"):
        said = clearir("evaluate", *scored, option, folder, status=2)
        assert (
            "test.tsv:3, passage 'gone': in no corpus.jsonl; add it, or let it count as not found with on_bad=skip"
            in said
        )
        assert clearir("evaluate", *scored, "on_bad=skip", option, folder, "--overwrite")
