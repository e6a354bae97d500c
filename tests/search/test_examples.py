"""Queries that a page offers: where they are read from, and how those are counted whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("lancedb", reason="the extra search is not installed")

from clearir.data.passages import Corpus
from clearir.data.prepared import read_part
from clearir.data.rows import Row
from clearir.runs.prepare_run import PrepareSettings, prepare
from clearir.search.examples import First, count_first, read_examples
from clearir.search.query import Searcher
from clearir.settings import SearchExample
from clearir.support.errors import InputError


def test_examples_out_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "searches.json"
    records = [
        {"language": "fin", "query": " levy ", "before": []},
        {"language": "fi", "query": "peli", "meaning": "game", "right": "plays chess"},
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    assert read_examples(path) == [
        SearchExample(language="fi", query="levy"),
        SearchExample(language="fi", query="peli", meaning="game", right="plays chess"),
    ]


def test_examples_out_of_the_rows_of_a_run_are_all_held_out_queries(tmp_path: Path) -> None:
    rows = [Row(f"query {i}", f"passage {i}", f"kysely {i}", "fi") for i in range(20)]
    done = prepare(rows, tmp_path / "rows", PrepareSettings(test=5, filter=None))
    held = {row.target_query: row for row in read_part(done.folder, "test")}
    found = read_examples(done.folder)
    assert {one.query for one in found} == held.keys()
    assert [(one.language, one.meaning, one.right) for one in found] == [
        ("fi", held[one.query].query, held[one.query].passage) for one in found
    ]
    assert len(found) == 5


def test_an_example_without_a_query_is_told(tmp_path: Path) -> None:
    path = tmp_path / "searches.json"
    path.write_text('[{"language": "fi"}]', encoding="utf-8")
    with pytest.raises(InputError, match=r"searches\.json, row 1: an example is"):
        read_examples(path)


def test_right_passages_in_the_first_place_are_counted(
    index_path: Path, other_index_path: Path, corpus: Corpus
) -> None:
    tuned, base = Searcher.open(index_path), Searcher.open(other_index_path)
    texts = [passage.text for passage in corpus.passages]
    examples = [SearchExample(language="en", query=text, right=text) for text in texts[:4]]
    examples.append(SearchExample(language="uk", query=texts[5], right="no such passage"))
    examples.append(SearchExample(language="uk", query=texts[5]))  # nobody knows its answer

    def expected(searcher: Searcher) -> int:
        return sum(searcher.search(text, 1)[0].text == text for text in texts[:4])

    assert count_first(examples, tuned, base) == [
        First("en", 4, expected(tuned), expected(base)),
        First("uk", 1, 0, 0),
    ]
    assert count_first(examples, tuned)[1] == First("uk", 1, 0, None)


def test_examples_without_right_passages_are_refused(index_path: Path) -> None:
    with pytest.raises(InputError, match=r'add it: \{"query"'):
        count_first([SearchExample(language="en", query="chess")], Searcher.open(index_path))
