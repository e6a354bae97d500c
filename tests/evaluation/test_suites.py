from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clearir.data.rows import Row
from clearir.evaluation.registry import load_suite
from clearir.evaluation.suites import Suite
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError

ROWS = [
    Row("What purrs?", "Cats purr.", "Was schnurrt?", "de", target_passage="Katzen schnurren.", query_id="1"),
    Row("What purrs?", "Cats purr.", "Mikä kehrää?", "fi", query_id="1"),
    Row("Who barks?", "Dogs bark.", "Wer bellt?", "de", target_passage="Hunde bellen.", query_id="2"),
    Row("Who meows?", "Cats purr.", "Wer miaut?", "de", target_passage="Katzen schnurren.", query_id="3"),
    Row("What moos?", "Cows moo.", query_id="4"),
]


def test_rows_become_a_suite_with_every_text_once() -> None:
    suite = Suite.from_rows(ROWS, "animals", licence="none")
    assert suite.languages == ["en", "de", "fi"]
    assert suite.bridge == "en"
    assert suite.licence == "none"
    assert suite.queries["en"] == {"1": "What purrs?", "2": "Who barks?", "3": "Who meows?", "4": "What moos?"}
    assert suite.queries["fi"] == {"1": "Mikä kehrää?"}
    assert sorted(suite.passages["en"].values()) == ["Cats purr.", "Cows moo.", "Dogs bark."]
    assert sorted(suite.passages["de"].values()) == ["Hunde bellen.", "Katzen schnurren."]
    assert "fi" not in suite.passages
    cats, dogs = fingerprint("Cats purr."), fingerprint("Dogs bark.")
    assert suite.relevant("en", "en")["3"] == {cats: 1}
    assert suite.relevant("de", "en") == {"1": {cats: 1}, "2": {dogs: 1}, "3": {cats: 1}}
    assert suite.relevant("fi", "de") == {"1": {f"de/{cats}": 1}}
    assert suite.relevant("en", "fi") == {}
    assert suite.clusters == {"1": cats, "2": dogs, "3": cats, "4": fingerprint("Cows moo.")}


def test_texts_that_a_reader_calls_the_same_are_one() -> None:
    rows = [
        Row("What purrs?", "Cats purr.", "Was schnurrt?", "de", target_passage="Katzen schnurren."),
        Row("What  purrs?\u200b", "\ufeffCATS purr.", "Was schnurrt?", "de", target_passage="Katzen schnur\u00adren."),
    ]
    suite = Suite.from_rows(rows, "animals")
    assert suite == Suite.from_rows(rows[:1], "animals")


def test_given_ids_are_kept() -> None:
    row = Row("q", "p", "Q", "de", target_passage="P", passage_id="doc7", query_id="ask1")
    suite = Suite.from_rows([row], "ids")
    assert suite.qrels == {"ask1": {"doc7": 1, "de/doc7": 1}}


def test_one_paragraph_whose_counterparts_stand_in_two() -> None:
    """As in MLQA: German has two paragraphs where English has one, and each answers one question only."""
    rows = [
        Row("one?", "Both.", "eins?", "de", target_passage="Eins.", passage_id="d", query_id="1"),
        Row("two?", "Both.", "zwei?", "de", target_passage="Zwei.", passage_id="d", query_id="2"),
        Row("three?", "Both.", passage_id="d", query_id="3"),
    ]
    suite = Suite.from_rows(rows, "split")
    assert suite.passages["de"] == {"de/d": "Eins.", "de/d/2": "Zwei."}
    assert suite.relevant("en", "de") == {"1": {"de/d": 1}, "2": {"de/d/2": 1}}
    assert suite.clusters == {"1": "d", "2": "d", "3": "d"}


def test_two_paragraphs_whose_counterpart_is_one() -> None:
    rows = [
        Row("one?", "First.", "eins?", "de", target_passage="Beide.", query_id="1"),
        Row("two?", "Second.", "zwei?", "de", target_passage="Beide.", query_id="2"),
    ]
    suite = Suite.from_rows(rows, "merged")
    assert len(suite.passages["de"]) == 1
    assert suite.relevant("de", "de")["1"] == suite.relevant("de", "de")["2"]


def test_two_phrasings_of_a_question_both_count() -> None:
    rows = [
        Row("What falls?", "Rain falls.", "Was fällt?", "de", query_id="1"),
        Row("What falls?", "Rain falls.", "Was fällt herunter?", "de", query_id="1"),
        Row("What falls?", "Snow falls.", "Was fällt nieder?", "de", query_id="1"),
        Row("What falls?", "Rain falls.", "Mikä putoaa?", "fi", query_id="1"),
        Row("What burns?", "Fire burns.", "Was brennt?", "de", query_id="1/2"),
    ]
    suite = Suite.from_rows(rows, "phrasings")
    assert suite.queries == {
        "en": {"1": "What falls?", "1/2": "What burns?"},
        "de": {"1": "Was fällt?", "1/3": "Was fällt herunter?", "1/4": "Was fällt nieder?", "1/2": "Was brennt?"},
        "fi": {"1": "Mikä putoaa?"},
    }
    both = {fingerprint("Rain falls."): 1, fingerprint("Snow falls."): 1}
    fire = {fingerprint("Fire burns."): 1}
    assert suite.qrels == {"1": both, "1/3": both, "1/4": both, "1/2": fire}
    assert suite.relevant("de", "en").keys() == {"1", "1/2", "1/3", "1/4"}
    assert suite.restrict(["de", "en"]).hash != suite.hash


def test_phrasings_without_ids_and_the_same_one_again() -> None:
    rows = [
        Row("What falls?", "Rain falls.", "Was fällt?", "de"),
        Row("What falls?", "Rain falls.", "Was fällt herunter?", "de"),
        Row("What falls?", "Rain falls.", "WAS fällt?", "de"),
    ]
    one = fingerprint("What falls?")
    suite = Suite.from_rows(rows, "phrasings")
    assert suite.queries["de"] == {one: "Was fällt?", f"{one}/2": "Was fällt herunter?"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows to score"),
        ([Row("a", "p", query_id="1"), Row("b", "p", query_id="1")], r"query id '1' has two texts in en, 'a' and 'b'"),
        ([Row("a", "p", passage_id="1"), Row("b", "r", passage_id="1")], r"passage id '1' has two texts in en"),
    ],
)
def test_rows_that_contradict_each_other(rows: list[Row], message: str) -> None:
    with pytest.raises(InputError, match=f"bad: {message}"):
        Suite.from_rows(rows, "bad")


def test_restricted_to_some_languages() -> None:
    suite = Suite.from_rows(ROWS, "animals").restrict(["deu_Latn", "en"])
    assert suite.languages == ["en", "de"]
    only = suite.restrict(["de"])
    assert only.languages == ["de"]
    assert only.relevant("de", "de").keys() == {"1", "2", "3"}
    assert all(passage.startswith("de/") for row in only.qrels.values() for passage in row)
    assert suite.restrict(None) is suite


def test_a_language_that_a_suite_lacks() -> None:
    suite = Suite.from_rows(ROWS, "animals")
    with pytest.raises(InputError, match="animals has no language 'sw'; it has en, de, fi"):
        suite.restrict(["en", "sw"])
    with pytest.raises(InputError, match="animals has no passages in fi; add one of de, en"):
        suite.restrict(["fi"])


def test_relevance_that_does_not_fit(suite: Suite) -> None:
    for qrels, message in [
        ({}, "no query has a relevant passage"),
        ({"q1": {"d1": 0}}, "no query has a relevant passage"),
        ({"q9": {"d1": 1}}, "names query 'q9', which has no text"),
        ({"q1": {"d9": 1}}, "relevance of query 'q1' names passage 'd9'"),
    ]:
        with pytest.raises(InputError, match=message):
            replace(suite, qrels=qrels)


def test_an_empty_text_is_named(suite: Suite) -> None:
    with pytest.raises(InputError, match="query 'q1' in de is empty"):
        replace(suite, queries=suite.queries | {"de": {"q1": " \u200b"}})


def test_queries_that_are_passages_under_their_own_id() -> None:
    queries = {"q1": "Who  purrs?", "q2": "who barks?", "q3": "who meows?", "4": "who sings?", "q5": "who?"}
    passages = {"q1": "who purrs?", "q2": "Dogs: who barks?", "q3": "who meows?", "4": "a number", "q5": "a who?"}
    qrels = {"q1": {"4": 1}, "q2": {"4": 1, "q2": 0}, "q3": {"q3": 1}, "4": {"q1": 1}, "q5": {"4": 1}}
    suite = Suite("s", {"en": queries, "de": {"q1": "wer schnurrt?"}}, {"en": passages, "de": {"q1": "x"}}, qrels)
    # The text is the query's (q1), after a title too (q2, q5); q3 answers itself, 4 is a number of something else.
    assert suite.repeated == {"q1", "q2", "q5"}


def test_a_lost_passage_is_relevant_in_every_direction_and_in_no_corpus(suite: Suite) -> None:
    lost = replace(suite, qrels={"q1": {"gone": 2, "d1": 1}, "q2": {"gone": 1}}, lost=frozenset(["gone"]))
    assert lost.relevant("de", "en") == {"q1": {"d1": 1, "gone": 2}, "q2": {"gone": 1}}
    assert lost.restrict(["de"]).relevant("de", "de") == lost.relevant("de", "de")
    assert lost.clusters == {"q1": "d1", "q2": "gone"}
    with pytest.raises(InputError, match="names passage 'gone'"):
        replace(lost, lost=frozenset())


def test_the_hash_is_of_texts_and_relevance(suite: Suite) -> None:
    assert replace(suite, name="other").hash == suite.hash
    assert replace(suite, qrels={"q1": {"d2": 1}}).hash != suite.hash
    assert suite.restrict(["en"]).hash != suite.hash


def test_mlqa_has_the_published_sizes(shared_data: Path) -> None:
    suite = load_suite("mlqa", shared_data / "mlqa")
    sizes = {language: (len(suite.queries[language]), len(suite.passages[language])) for language in suite.languages}
    assert suite.bridge == "en"
    assert sizes == {
        "en": (1148, 978),
        "ar": (517, 439),
        "de": (512, 456),
        "es": (500, 454),
        "hi": (507, 425),
        "vi": (511, 451),
        "zh": (504, 443),
    }
    assert len(suite.relevant("ar", "de")) == 207  # the questions of dev-context-de-question-ar.json
    assert len(load_suite("mlqa", shared_data / "mlqa", ["de", "ar"]).languages) == 2


def test_afriqa(shared_data: Path) -> None:
    suite = load_suite("afriqa", shared_data / "afriqa", ["en", "ha"])
    assert suite.languages == ["en", "ha"]
    assert suite.passages.keys() == {"en"}
    assert suite.relevant("ha", "en").keys() == suite.queries["ha"].keys()


# -- bitext


def test_translations_become_a_suite_without_directions_within_a_language() -> None:
    suite = Suite.from_translations(
        [{"de": "ein Hund", "en": "a dog", "fi": "koira"}, {"de": "eine Katze", "en": "a cat"}], "animals"
    )
    assert (suite.task, suite.bridge, suite.languages) == ("bitext", "en", ["en", "de", "fi"])
    assert suite.queries == suite.passages
    assert suite.queries["de"] == {"de/1": "ein Hund", "de/2": "eine Katze"}
    assert suite.relevant("de", "en") == {"de/1": {"en/1": 1}, "de/2": {"en/2": 1}}
    assert suite.relevant("fi", "de") == {"fi/1": {"de/1": 1}}
    assert suite.relevant("en", "en") == {}
    assert suite.restrict(["de", "fi"]).task == "bitext"


def test_a_sentence_that_stands_twice_is_one_and_all_its_translations_are_right(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pairs = [("Help", "Hilfe"), ("help\u200b", "hilfe"), ("Help", "Unterstützung"), ("Support", "Unterstützung")]
    suite = Suite.from_translations([{"en": en, "de": de} for en, de in pairs], "menu")
    assert suite.queries == {
        "en": {"en/1": "Help", "en/4": "Support"},
        "de": {"de/1": "Hilfe", "de/3": "Unterstützung"},
    }
    assert suite.relevant("en", "de") == {"en/1": {"de/1": 1, "de/3": 1}, "en/4": {"de/3": 1}}
    assert suite.relevant("de", "en") == {"de/1": {"en/1": 1}, "de/3": {"en/1": 1, "en/4": 1}}
    assert "menu: 2 times a sentence has several translations; each of them is right" in caplog.text
    assert "menu: 1 of 4 pairs are there already, and are dropped" in caplog.text


def test_pairs_that_share_a_sentence_in_two_languages_are_nothing_special(caplog: pytest.LogCaptureFixture) -> None:
    suite = Suite.from_translations([{"en": "Help", "de": "Hilfe"}, {"en": "Help", "fi": "Ohje"}], "menu")
    assert suite.relevant("de", "fi") == {}  # nobody says that these two are translations
    assert caplog.text == ""


def test_sentences_without_a_translation_are_no_bitext() -> None:
    with pytest.raises(InputError, match="menu: no sentence has a translation beside it"):
        Suite.from_translations([{"en": "Help"}, {"de": "Hilfe"}], "menu")
    # English need not be there.
    assert Suite.from_translations([{"fi": "Ohje", "de": "Hilfe"}], "menu").bridge == "fi"
