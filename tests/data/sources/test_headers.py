"""Which column is which: in any case, in other people's words, one a language; and what is said in doubt."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from pathlib import Path

import pytest

from clearir.data.rows import Row
from clearir.data.sources.checks import language_named
from clearir.data.sources.headers import find
from clearir.data.sources.tables import read
from clearir.runs.recipe import parse_assignments
from clearir.support.errors import InputError


def fields(*columns: str, bridge: str = "en") -> dict[str, str]:
    return {name: ", ".join(found) for name, found in find(columns, {}, bridge, "a.csv").fields.items()}


@pytest.mark.parametrize(
    "columns",
    [
        ("Query", "PASSAGE", "Target Query", "Language"),
        ("query", "passage", "targetQuery", "language"),
        ("anchor", "Positive", "cross-anchor", "LANGUAGE"),
        ("question", "answer", "question (translated)", "lang"),
        ("question_en", "answer_en", "question_local", "lang"),
        ("Question", "Context", "Local question", "Locale"),
        ("Question text", "Document", "translated_query", "target language"),
        ("English question", "text", "query_target", "lang_code"),
        ("query", "body", "target_query", "language", "title", "id", "url"),
    ],
)
def test_names_in_any_case_and_the_usual_words(columns: tuple[str, ...]) -> None:
    assert fields(*columns) == dict(zip(("query", "passage", "target_query", "language"), columns[:4], strict=True))


def test_our_own_names_come_first() -> None:
    found = fields("question", "query", "Query", "text", "answer", "passage", "context")
    assert found == {"query": "query", "passage": "passage"}
    assert fields("question", "context", "Passage") == {"query": "question", "passage": "Passage"}


def test_the_bridge_language_may_be_another() -> None:
    assert fields("question_fr", "answer_fr", bridge="fr") == {"query": "question_fr", "passage": "answer_fr"}


def test_negatives_in_any_case() -> None:
    found = find(["query", "passage", "Negative 2", "NEG_1", "Target-Negative 1"], {}, "en", "a.csv").fields
    assert found["negatives"] == ("NEG_1", "Negative 2")
    assert found["target_negatives"] == ("Target-Negative 1",)


@pytest.mark.parametrize(
    ("column", "language", "name"),
    [
        ("question_es", "es", "target_query"),
        ("Question (Spanish)", "es", "target_query"),
        ("Swahili question", "sw", "target_query"),
        ("es_question", "es", "target_query"),
        ("query_pt_BR", "pt-BR", "target_query"),
        ("question_zh-Hant", "zh-Hant", "target_query"),
        ("question_swh_Latn", "sw", "target_query"),
        ("question_fon_Latn", "fon", "target_query"),
        ("Question - Brazilian Portuguese", "pt-BR", "target_query"),
        ("target_query_fon", None, "target_query"),
        ("answer_es", "es", "target_passage"),
        ("Passage (Swahili)", "sw", "target_passage"),
    ],
)
def test_a_column_for_each_language(column: str, language: str | None, name: str) -> None:
    found = find(["question", "answer", column], {}, "en", "a.csv").by_language
    assert found == ({language: {name: column}} if language is not None else {})


WIDE = "question,answer,question_es,answer_es,question_sw\nq1,p1,p,r,s\nq2,p2,t,,\nq3,p3,,,\n"
WIDE_ROWS = [
    Row("q1", "p1", "p", "es", target_passage="r"),
    Row("q1", "p1", "s", "sw"),
    Row("q2", "p2", "t", "es"),
    Row("q3", "p3"),
]


def test_a_table_with_a_column_a_language_has_a_row_for_each_filled_cell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(WIDE)
    with caplog.at_level(logging.WARNING):
        assert list(read(path)) == WIDE_ROWS
    read_as = "'question' as query, 'answer' as passage, 'question_es' as target_query in Spanish (es), 'answer_es' as"
    rest = "target_passage in Spanish (es), 'question_sw' as target_query in Swahili (sw)"
    left_out = (
        "rows without a translation are left out: Swahili (sw) 1; to translate them, add translate: to the recipe"
    )
    assert [record.message for record in caplog.records] == [
        f"{path}: read {read_as} {rest}",
        f"{path}: {left_out}, or run clearir translate",
    ]


def test_cells_without_a_translation_are_counted_or_kept_to_be_translated(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("en;answer;sw;Español;zu\nq1;p1;s1;;\nq2;p2;s2;t2;\n".replace("Español", "Spanish"))
    said = {"query": "en", "target_query": ["sw", "Spanish", "zu"]}
    skipped: Counter[str] = Counter()
    whole = [Row("q1", "p1", "s1", "sw"), Row("q2", "p2", "s2", "sw"), Row("q2", "p2", "t2", "es")]
    assert list(read(path, columns=said, skipped=skipped)) == whole
    assert skipped == {"no translation": 3}  # zu twice, and es once
    kept = list(read(path, columns=said, keep_open=True))
    assert [row for row in kept if row.target_query] == whole
    assert [(row.query, row.language) for row in kept if row.target_query is None] == [
        ("q1", "es"),
        ("q1", "zu"),
        ("q2", "zu"),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"target_query": ["sw", "help"]},
            "target_query: 'help' does not name a language; write target_query_CODE: help",
        ),
        ({"query": ["en", "de"]}, "query is ['en', 'de'], not the name of a column"),
        ({"target_query": [1]}, "target_query is [1], not the name of a column"),
        ({"target_query": ["sw", "zu"]}, "no columns 'zu'"),
    ],
)
def test_columns_of_languages_that_cannot_be_read_are_said(tmp_path: Path, columns: dict, message: str) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("query,passage,sw\nq,p,s\n")
    with pytest.raises(InputError) as caught:
        list(read(path, columns=columns))
    assert message.replace("columns 'zu'", "column 'zu'") in str(caught.value)


def test_the_columns_of_languages_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("Frage,Antwort,Spanisch,question_id\nq,p,s,i\n")
    said = {"query": "frage", "passage": "Antwort", "target_query_es": "Spanisch", "target_query_id": "question_id"}
    assert list(read(path, columns=said)) == [Row("q", "p", "s", "es"), Row("q", "p", "i", "id")]


@pytest.mark.parametrize("column", ["question_id", "question_no", "question_raw", "question_fon", "es", "Spanish"])
def test_what_may_be_a_language_is_not_read_and_said(column: str) -> None:
    header = find(["query", "passage", column, "category", "url", "notes", "no", "id"], {}, "en", "a.csv")
    assert header.fields.keys() == {"query", "passage"}
    (note,) = header.notes
    assert note.startswith(f"not read: {column!r}; if it is the target_query in ")
    typed = parse_assignments(shlex.split(note.partition(", type ")[2]))["columns"]
    assert list(find(["query", "passage", column], typed, "en", "a.csv").by_language.values()) == [
        {"target_query": column}
    ]


def test_a_language_without_a_target_query_is_read_where_it_has_our_name() -> None:
    """`lang` beside one question may be the language of that question."""
    assert fields("question", "answer", "Language")["language"] == "Language"
    header = find(["question", "answer", "lang"], {}, "en", "a.csv")
    assert header.fields.keys() == {"query", "passage"}
    note = "not read: 'lang'; if it is the language to translate into, type columns.language=lang"
    assert header.notes[1:] == (note,)


def test_a_column_for_all_languages_comes_before_those_of_one(tmp_path: Path) -> None:
    header = find(["query", "passage", "target_query", "language", "question_es", "sw"], {}, "en", "a.csv")
    assert header.fields["target_query"] == ("target_query",)
    assert not header.by_language
    assert not header.notes


@pytest.mark.parametrize(
    ("columns", "said", "reason", "typed"),
    [
        (["query", "pasage"], {}, "no column 'passage'", "columns.passage=pasage"),
        (["qestion", "anwser"], {}, "no columns 'query' and 'passage'", "columns.query=qestion columns.passage=anwser"),
        (["a", "b"], {}, "no columns 'query' and 'passage'", "columns.query=COLUMN columns.passage=COLUMN"),
        ([], {}, "no columns 'query' and 'passage'", "columns.query=COLUMN columns.passage=COLUMN"),
        (["query", "passage"], {"query": "frage", "language": "lang"}, "no columns 'frage' and 'lang'",
         "columns.query=query columns.language=COLUMN"),
        (["question", "answer", "context"], {}, "'answer' and 'context' may each be the passage",
         "columns.passage=answer"),
        (["anser", "question", "question (en)"], {},
         "no column 'passage', and 'question' and 'question (en)' may each be the query",
         "columns.passage=anser columns.query=question"),
        (["Query", "QUERY", "passage"], {}, "'Query' and 'QUERY' may each be the query", "columns.query=Query"),
        (["query", "passage", "question_es", "Spanish question"], {},
         "'question_es' and 'Spanish question' may each be the target_query_es", "columns.target_query_es=question_es"),
        (["query", "My pasage"], {"passage": "My passage"}, "no column 'My passage'", "'columns.passage=My pasage'"),
        (["query", "null"], {"passage": "nul"}, "no column 'nul'", "'columns.passage=\"null\"'"),
    ],
)  # fmt: skip
def test_all_that_is_missing_or_in_doubt_is_told_at_once(
    columns: list[str], said: dict[str, str], reason: str, typed: str
) -> None:
    with pytest.raises(InputError) as caught:
        find(columns, said, "en", "a.csv")
    message = str(caught.value)
    assert message.startswith(f"a.csv: {reason}; the columns are ")
    recipe = typed.replace("columns.", "data.columns.")
    assert message.endswith(f"; say which it is with {typed} (behind a recipe: {recipe})")
    if "COLUMN" not in typed:  # what is advised can be typed, and does it
        given = parse_assignments(shlex.split(typed))["columns"]
        find(columns, said | given, "en", "a.csv")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Spanish", "es"),
        ("español", "es"),
        ("spanish (Mexico)", "es-MX"),
        ("Chinese (Traditional)", "zh-Hant"),
        ("Kiswahili", "sw"),
        ("Spanish (informal)", None),
        ("Elvish", None),
        ("", None),
        ("\x00" * 5, None),
    ],
)
def test_names_of_languages(text: str, code: str | None) -> None:
    assert language_named(text) == code
