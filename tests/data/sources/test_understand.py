"""Tables that nobody has described."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearir.data.rows import Row
from clearir.data.sources.understand import understand
from clearir.support.errors import InputError

SWAHILI, SPANISH = "Ninawezaje kuweka upya nywila?", "¿Cómo restablezco mi contraseña?"
ASK, ANSWER = "How do I reset my password?", "Open the sign-in page and click on Forgot."


def table(folder: Path, text: str, name: str = "faq.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("en;answer;sw;es", {"query": "en", "target_query": ["sw", "es"]}),
        (
            "English;Long text;Swahili;Spanish",
            {"query": "English", "target_query": ["Swahili", "Spanish"], "passage": "Long text"},
        ),
        ("question;answer;sw;es", {"target_query": ["sw", "es"]}),
        ("question;answer;question_sw;question_es", {}),
        ("query;passage;target_query_sw;target_query_es", {}),
    ],
)
def test_a_column_per_language(tmp_path: Path, header: str, columns: dict) -> None:
    found = understand(table(tmp_path, f"{header}\n{ASK};{ANSWER};{SWAHILI};{SPANISH}\nWhere?;There.;Wapi?;\n"))
    assert found.options.get("columns", {}) == columns
    assert list(found.rows) == [
        Row(ASK, ANSWER, SWAHILI, "sw"),
        Row(ASK, ANSWER, SPANISH, "es"),
        Row("Where?", "There.", "Wapi?", "sw"),
        Row("Where?", "There.", None, "es"),
    ]
    assert (found.translated, found.missing, found.passages) == ({"sw": 2, "es": 1}, {"es": 1}, 2)


def test_codes_of_three_letters_count_beside_a_sure_language_if_they_hold_sentences(tmp_path: Path) -> None:
    path = table(tmp_path, f"English,fon,url,raw,text\n{ASK},etɛ wɛ nyi,http://a.b/c,7,{ANSWER}\n")
    found = understand(path)
    assert found.options == {"columns": {"query": "English", "target_query": ["fon"]}}
    assert found.read_as == {"English": "query", "text": "passage", "fon": "target_query (fon)"}
    assert found.unread == ("url", "raw")


def test_a_row_per_pair_needs_nothing_said(tmp_path: Path) -> None:
    path = table(
        tmp_path, f'{{"query": "{ASK}", "passage": "a", "target_query": "x", "language": "sw"}}\n', "rows.jsonl"
    )
    found = understand(path)
    assert found.options == {}
    assert list(found.rows) == [Row(ASK, "a", "x", "sw")]


def test_what_is_said_comes_first(tmp_path: Path) -> None:
    path = table(tmp_path, f"frage,antwort,swali,en\n{ASK},{ANSWER},{SWAHILI},x\n")
    said = {"columns": {"query": "frage", "target_query": "swali"}, "language": "sw"}
    found = understand(path, said)
    assert found.options == {"columns": {**said["columns"], "passage": "antwort"}, "language": "sw"}
    assert list(found.rows) == [Row(ASK, ANSWER, SWAHILI, "sw")]
    assert found.unread == ("en",)


def test_another_bridge(tmp_path: Path) -> None:
    path = table(tmp_path, f"fr,text,en\n{ASK},{ANSWER},{SWAHILI}\n")
    found = understand(path, {"bridge": "fr"})
    assert list(found.rows) == [Row(ASK, ANSWER, SWAHILI, "en", bridge="fr")]
    assert found.options == {"columns": {"query": "fr", "target_query": ["en"]}, "bridge": "fr"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "no columns 'query' and 'passage'; the columns are 'a', 'b'; say which it is with columns.query=COLUMN",
        ),
        ("en,sw\n", "no rows"),
        ("query,passage,target_query\nq,p,t\n", "the language of the target query is not said"),
    ],
)
def test_what_cannot_be_understood_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        understand(table(tmp_path, text))
    assert message in str(caught.value)
