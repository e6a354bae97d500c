from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearir.evaluation.matrix import evaluate
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.models.prompts import Prompts
from clearir.models.shift import shifted
from clearir.support.errors import InputError


def test_every_direction_by_hand(echo: Any, suite: Suite) -> None:
    scores = evaluate(echo, suite, name="echo")
    assert set(scores.directions) == {"en->en", "en->de", "de->en", "de->de"}
    assert scores.pools == {}
    # German q2 is (0.9, 1, 0): d2 before d1 in English, d1 (1, 0.1, 0) before d2 (0, 0.2, 1) in German.
    ranks = {name: direction.ranks for name, direction in scores.directions.items()}
    assert ranks == {"en->en": [1, 1], "en->de": [1, 1], "de->en": [1, 1], "de->de": [1, 2]}
    assert scores.directions["de->de"].values["ndcg@10"] == pytest.approx([1, 1 / log2(3)], abs=1e-6)
    assert scores.directions["de->de"].values["ndcg@1"] == [1, 0]
    assert scores.directions["de->de"].values["mrr@10"] == [1, 1 / 2]
    assert scores.mean("de->de", "recall@1") == (1 + 0) / 2
    assert scores.directions["de->en"].corpus_size == 3
    assert scores.directions["de->en"].top == [["d1", "d2", "d3"], ["d2", "d1", "d3"]]
    assert scores.directions["de->de"].gold == ["d1", "d2"]
    assert (scores.suite, scores.model, scores.bridge) == ("toy", "echo", "en")
    assert scores.suite_hash == suite.hash
    assert scores.clusters == {"q1": "d1", "q2": "d2"}


def test_pools_by_hand(echo: Any, suite: Suite) -> None:
    scores = evaluate(echo, suite, pools=("pair", "all"))
    assert set(scores.pools) == {"en->en+de", "de->en+de", "en->all", "de->all"}
    pool = scores.pools["de->en+de"]
    assert pool.corpus_size == 3 + 2
    # q1 (1, 0.2, 0): de:d1, en:d1, en:d2, de:d2, en:d3. q2 (0.9, 1, 0): en:d2, de:d1, en:d1, de:d2, en:d3.
    assert pool.top == [["de:d1", "en:d1", "en:d2"], ["en:d2", "de:d1", "en:d1"]]
    assert pool.gold == ["de:d1", "de:d2"]  # those in the query's language
    assert pool.ranks == [1, 1]
    assert pool.values["max@r"] == [2, 4]
    assert pool.values["complete@10"] == [1, 1]
    assert pool.values["bridge@10"] == [3 / 5, 3 / 5]
    assert pool.values["recall@1"] == [1 / 2, 1 / 2]
    ideal = 1 / log2(2) + 1 / log2(3)
    assert pool.values["ndcg@10"] == pytest.approx([1, (1 / log2(2) + 1 / log2(5)) / ideal], abs=1e-6)
    assert "bridge@10" not in scores.pools["en->en+de"].values
    assert scores.pools["de->all"].values == pool.values  # two languages are all languages


def test_passages_lose_the_vector_of_their_language_and_queries_do_not(echo: Any, suite: Suite) -> None:
    model = shifted(echo, {"de": np.array([0.9, 0, 0], np.float32)})
    scores, plain = (evaluate(one, suite, pools=("all",)) for one in (model, echo))
    # German d1 (0.995, 0.1, 0) becomes (0.69, 0.72, 0), d2 (0, 0.2, 0.98) becomes (-0.67, 0.15, 0.73).
    # q1 (0.98, 0.2, 0): en:d1 0.98, de:d1 0.82, en:d2 0.2. q2 (0.67, 0.74, 0): de:d1 0.99, en:d2 0.74, en:d1 0.67.
    assert scores.pools["de->all"].top == [["en:d1", "de:d1", "en:d2"], ["de:d1", "en:d2", "en:d1"]]
    assert plain.pools["de->all"].top == [["de:d1", "en:d1", "en:d2"], ["en:d2", "de:d1", "en:d1"]]
    assert scores.directions["de->en"] == plain.directions["de->en"]
    assert scores.model_hash != plain.model_hash


def test_a_pair_has_the_queries_with_a_passage_in_both(echo: Any, suite: Suite) -> None:
    german = {"d1": suite.passages["de"]["d1"]}
    less = replace(suite, passages={**suite.passages, "de": german})
    scores = evaluate(echo, less, pools=("pair", "all"))
    assert scores.directions["en->de"].query_ids == ["q1"]
    assert scores.directions["en->en"].query_ids == ["q1", "q2"]
    assert scores.pools["en->en+de"].query_ids == ["q1"]
    assert scores.pools["en->all"].query_ids == ["q1", "q2"]
    assert scores.pools["en->all"].values["complete@10"] == [1, 1]  # q2 has one passage, and it is found


def test_each_text_is_encoded_once(echo: Any, suite: Suite) -> None:
    echo[0].seen.clear()
    evaluate(echo, suite, pools=("pair", "all"))
    texts = [text for side in (suite.queries, suite.passages) for texts in side.values() for text in texts.values()]
    assert sorted(echo[0].seen) == sorted(texts)


def test_prompts_are_the_models_or_the_callers(echo: Any, suite: Suite) -> None:
    def prompts(**options: Any) -> set[str]:
        echo[0].seen.clear()
        scores = evaluate(echo, suite, **options)
        assert set(scores.settings["prompts"]) == {"query", "passage"}
        return {text[:3] for text in echo[0].seen if text[1] == ":"}

    assert prompts() == set()
    assert prompts(prompts=Prompts("q: ", "p: ")) == {"q: ", "p: "}


def test_equal_scores_go_by_id_from_the_end_as_in_trec_eval(echo: Any) -> None:
    suite = Suite(
        "ties",
        {"en": {"q": "a [1 0]"}},
        {"en": {"b": "x [1 0]", "a": "y [1 0]", "c": "z [1 0]"}},
        {"q": {"b": 1}},
    )
    direction = evaluate(echo, suite).directions["en->en"]
    assert direction.top == [["c", "b", "a"]]
    assert direction.ranks == [2]
    assert direction.values["mrr@10"] == [1 / 2]


def test_equal_scores_in_a_pool_go_by_language_and_id_from_the_end(echo: Any) -> None:
    suite = Suite(
        "ties",
        {"de": {"q": "a [1 0]"}},
        {"en": {"d": "x [1 0]", "e": "z [1 0]"}, "de": {"d": "y [1 0]"}},
        {"q": {"d": 1}},
    )
    pool = evaluate(echo, suite, pools=("all",)).pools["de->all"]
    assert pool.top == [["en:e", "en:d", "de:d"]]
    assert pool.values["max@r"] == [3]


def test_graded_relevance(echo: Any) -> None:
    suite = Suite(
        "grades",
        {"en": {"q": "a [1 0]"}},
        {"en": {"b": "x [1 0]", "a": "y [0.9 0.1]", "c": "z [0 1]"}},
        {"q": {"b": 1, "a": 3, "c": 0}},
    )
    direction = evaluate(echo, suite, metrics=["ndcg@10", "recall@10"]).directions["en->en"]
    expected = (1 / log2(2) + 3 / log2(3)) / (3 / log2(2) + 1 / log2(3))
    assert direction.values == {"ndcg@10": [pytest.approx(expected, abs=1e-6)], "recall@10": [1.0]}


def test_queries_without_passages_in_their_language(echo: Any, suite: Suite) -> None:
    only = replace(suite, passages={"en": suite.passages["en"]})
    scores = evaluate(echo, only, pools=("pair", "all"))
    assert set(scores.directions) == {"en->en", "de->en"}
    assert scores.pools == {}


def test_some_languages(echo: Any, suite: Suite) -> None:
    scores = evaluate(echo, suite, languages=["de"])
    assert set(scores.directions) == {"de->de"}
    assert scores.suite_hash != suite.hash
    with pytest.raises(InputError, match="toy has no language 'fi'"):
        evaluate(echo, suite, languages=["fi"])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pools": ["pairs"]}, "unknown pool 'pairs'"), ({"metrics": ["ndcg"]}, "unknown metric 'ndcg'")],
)
def test_a_wrong_option_is_named_before_anything_is_encoded(
    echo: Any, suite: Suite, options: dict[str, Any], message: str
) -> None:
    echo[0].seen.clear()
    with pytest.raises(InputError, match=message):
        evaluate(echo, suite, **options)
    assert echo[0].seen == []


def test_nothing_to_score(echo: Any, suite: Suite) -> None:
    apart = replace(suite, qrels={"q1": {"d3": 1}})
    with pytest.raises(InputError, match="toy: no query has a relevant passage in de; check the relevance"):
        evaluate(echo, apart, languages=["de"])


def test_a_cache_changes_no_value(tiny_model: Any, tmp_path: Path) -> None:
    suite = Suite(
        "words",
        {"en": {"1": "cat", "2": "dog"}, "de": {"1": "katze", "2": "hund"}},
        {"en": {"1": "a cat purrs", "2": "a dog barks"}, "de": {"1": "die katze", "2": "der hund"}},
        {"1": {"1": 1}, "2": {"2": 1}},
    )
    first = evaluate(tiny_model(), suite, pools=("all",), cache=tmp_path)
    again = evaluate(tiny_model(), suite, pools=("all",), cache=tmp_path)
    assert (first.directions, first.pools, first.model_hash) == (again.directions, again.pools, again.model_hash)
    assert first.environment["versions"].keys() >= {"clearir", "torch", "sentence-transformers"}
    assert set(first.environment["seconds"]) == {"encoding", "scoring"}


def test_minilm_finds_english_better_than_german(minilm_path: Path) -> None:
    topics = {
        "cats": (
            "What sound does a happy cat make?",
            "Welchen Laut macht eine zufriedene Katze?",
            "A cat purrs when it is content.",
        ),
        "bread": (
            "How long is dough left to rise?",
            "Wie lange muss der Teig gehen?",
            "Let the bread dough rest for two hours.",
        ),
        "tides": (
            "What makes the sea level change twice a day?",
            "Warum steigt und sinkt das Meer zweimal am Tag?",
            "Tides are caused by the pull of the moon.",
        ),
        "chess": (
            "Which piece moves diagonally?",
            "Welche Figur zieht schräg?",
            "Bishops travel along diagonals of the chess board.",
        ),
        "steel": (
            "What protects iron against rust?",
            "Was schützt Eisen vor Rost?",
            "A zinc coating keeps steel from corroding.",
        ),
    }
    suite = Suite(
        "topics",
        {"en": {k: v[0] for k, v in topics.items()}, "de": {k: v[1] for k, v in topics.items()}},
        {"en": {k: v[2] for k, v in topics.items()}},
        {k: {k: 1} for k in topics},
    )
    scores = evaluate(load_model(minilm_path), suite)
    assert scores.mean("en->en") > 0.95
    assert scores.mean("en->en") > scores.mean("de->en") > 0


def test_a_query_that_is_a_passage_is_left_out_of_its_own_ranking_alone(echo: Any, suite: Suite) -> None:
    """Each question stands in the corpus, where it would be found first."""
    passages = {code: texts | suite.queries[code] for code, texts in suite.passages.items()}
    itself = replace(suite, passages=passages)
    assert itself.repeated == {"q1", "q2"}
    scores = evaluate(echo, itself, pools=("pair",))
    english = scores.directions["en->en"]
    assert english.corpus_size == 3 + 2
    # Of q1 (1, 0, 0): d1, then q2, d3, d2, all 0, by falling id; of q2 likewise. Neither finds itself.
    assert english.top == [["d1", "q2", "d3"], ["d2", "q1", "d3"]]
    assert english.values["ndcg@10"] == [1, 1]
    # German q2 (0.9, 1, 0) before q1 (1, 0.2, 0): d1 (1, 0.1) has .739, q1 .802, d2 (0, .2, 1) .146.
    assert scores.directions["de->de"].top[1] == ["q1", "d1", "d2"]
    assert scores.directions["de->de"].ranks == [1, 3]
    pool = scores.pools["en->en+de"]
    for query, row in zip(pool.query_ids, pool.top, strict=True):
        assert not {f"en:{query}", f"de:{query}"} & set(row)


def test_a_lost_passage_counts_as_not_found(echo: Any, suite: Suite) -> None:
    lost = replace(suite, qrels={"q1": {"d1": 1, "gone": 1}, "q2": {"gone": 1}}, lost=frozenset(["gone"]))
    scores = evaluate(echo, lost, pools=("pair",))
    one = scores.directions["en->en"]
    assert (one.ranks, one.gold) == ([1, 3 + 1], ["d1", "gone"])
    ideal = 1 / log2(2) + 1 / log2(3)
    assert one.values["ndcg@10"] == pytest.approx([1 / ideal, 0], abs=1e-6)
    assert one.values["recall@100"] == [1 / 2, 0]
    # In a pool it is one passage, not one in each language: d1 in both languages and gone.
    pool = scores.pools["en->en+de"]
    assert pool.values["recall@100"] == pytest.approx([2 / 3, 0], abs=1e-6)
    assert pool.values["max@r"] == [5 + 1, 5 + 1]
    assert pool.values["complete@10"] == [0, 0]
