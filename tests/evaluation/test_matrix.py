from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearir.evaluation.compare import compare
from clearir.evaluation.matrix import evaluate
from clearir.evaluation.scores import Scores
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.models.prompts import Prompts
from clearir.models.reranker import Reranking
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


# -- with a reranker behind the model ---------------------------------------------------------------------------------


@pytest.fixture
def animals() -> Suite:
    """By the model, of q1: d3 1, d2 0.8, d1 0.6, d4 0; of q2: d4 1, d1 0.8, d2 0.6, d3 0.

    By the words, of q1: d3 -0.01, d2 0.99, d1 1.99, d4 2; of q2: d4 -0.02, d1 -0.03, d2 -0.02, d3 -0.01.
    """
    return Suite(
        "animals",
        {"en": {"q1": "red cat [1 0]", "q2": "dog [0 1]"}},
        {
            "en": {
                "d1": "red cat sleeps [0.6 0.8]",
                "d2": "blue cat [0.8 0.6]",
                "d3": "tree [1 0]",
                "d4": "red cat [0 1]",
            }
        },
        {"q1": {"d1": 1}, "q2": {"d2": 1}},
    )


@pytest.mark.parametrize(
    ("top", "ranks", "best"),
    [
        (1, [3, 3], [["d3", "d2", "d1"], ["d4", "d1", "d2"]]),
        (2, [3, 3], [["d2", "d3", "d1"], ["d4", "d1", "d2"]]),
        (3, [1, 2], [["d1", "d2", "d3"], ["d4", "d2", "d1"]]),  # d4 and d2 are equal, and d4 was first
        (4, [2, 3], [["d4", "d1", "d2"], ["d3", "d4", "d2"]]),
        (50, [2, 3], [["d4", "d1", "d2"], ["d3", "d4", "d2"]]),
    ],
)
def test_the_first_passages_are_reranked_and_those_behind_keep_their_order(
    echo: Any, overlap: Any, animals: Suite, top: int, ranks: list[int], best: list[list[str]]
) -> None:
    scores = evaluate(echo, animals, name="echo", rerank=Reranking(overlap, "overlap", top))
    direction = scores.directions["en->en"]
    assert (direction.ranks, direction.top) == (ranks, best)
    assert direction.values["mrr@10"] == pytest.approx([1 / rank for rank in ranks], abs=1e-6)
    assert direction.values["recall@100"] == [1, 1]
    assert direction.corpus_size == 4
    assert scores.model == f"echo + overlap (top {top})"


def test_the_model_alone_is_scored_too_and_told_apart(echo: Any, overlap: Any, animals: Suite, tmp_path: Path) -> None:
    before: list[Scores] = []
    three, four = (
        evaluate(echo, animals, name="echo", rerank=Reranking(overlap, "overlap", top), first_stage=before.append)
        for top in (3, 4)
    )
    alone = evaluate(echo, animals, name="echo")
    assert [one.directions for one in before] == [alone.directions] * 2
    assert (before[0].model, before[0].model_hash) == ("echo", alone.model_hash)
    assert "rerank" not in before[0].settings
    assert len({alone.model_hash, three.model_hash, four.model_hash}) == 3
    assert three.settings["rerank"] | {"reranker_hash": ""} == {
        "model": "echo",
        "model_hash": alone.model_hash,
        "reranker": "overlap",
        "reranker_hash": "",
        "reranker_max_seq_length": None,
        "top": 3,
        "first_weight": 0,
    }
    assert set(three.environment["seconds"]) == {"encoding", "scoring", "reranking"}
    three.save(tmp_path / "three.json")
    assert Scores.load(tmp_path / "three.json") == three
    comparison = compare(alone, three)
    assert comparison.baseline == "echo"
    assert set(comparison.sentences) == {"echo + overlap (top 3)"}
    # q1 from rank 3 to 1, q2 from 3 to 2: of nDCG 1/2 to 1, and to 1 / log2(3)
    assert comparison.rows[0].difference == pytest.approx((1 + 1 / log2(3)) / 2 - 1 / 2, abs=1e-6)


def test_each_pair_of_texts_is_scored_once_however_many_directions_and_pools(
    echo: Any, overlap: Any, animals: Suite
) -> None:
    german = {"q1": animals.queries["en"]["q1"], "q2": "hund [0 1]"}
    both = replace(
        animals,
        queries={**animals.queries, "de": german},
        passages={**animals.passages, "de": {"d1": "rote katze [1 0]", "d2": "hund [0 1]"}},
    )
    overlap[0].seen.clear()
    scores = evaluate(echo, both, pools=("pair", "all"), rerank=Reranking(overlap, "overlap", 50))
    assert len(scores.directions) == 4
    # Three different queries with six different passages
    assert len(overlap[0].seen) == len(set(overlap[0].seen)) == 3 * 6
    pool = scores.pools["de->en+de"]
    assert pool.top[1] == ["de:d2", "en:d3", "en:d4"]  # 1; -0.01; -0.02, as en:d2, which the model has behind it
    # de:d2 1st, en:d2: behind en:d3 and en:d4
    assert (pool.ranks[1], pool.values["max@r"][1]) == (1, 4)


def test_a_query_in_the_corpus_stays_out_of_its_own_ranking_when_reranked(
    echo: Any, overlap: Any, animals: Suite
) -> None:
    passages = {"en": {**animals.passages["en"], "q1": animals.queries["en"]["q1"]}}
    itself = replace(animals, passages=passages)
    overlap[0].seen.clear()
    direction = evaluate(echo, itself, rerank=Reranking(overlap, "overlap", 3)).directions["en->en"]
    assert (direction.ranks[0], direction.top[0]) == (1, ["d1", "d2", "d3"])
    assert (passages["en"]["q1"], passages["en"]["q1"]) not in overlap[0].seen


def test_the_first_score_counts_beside_the_rerankers(echo: Any, overlap: Any) -> None:
    words = Suite(
        "words",
        {"en": {"q": "red dog [1 0]"}},
        {"en": {"far": "red dog [0 1]", "near": "red [1 0]", "none": "x y [-1 0]"}},
        {"q": {"far": 1}},
    )

    def found(weight: float) -> Any:
        return evaluate(echo, words, rerank=Reranking(overlap, "overlap", 3, weight))

    # Cosine + overlap: far 0 + 2; near 1 + 1, less nothing as it has no other word; none -1 - 0.02.
    for weight, top in ((0, ["far", "near", "none"]), (0.9, ["far", "near", "none"]), (1.1, ["near", "far", "none"])):
        assert found(weight).directions["en->en"].top == [top]
    alone, both = found(0), found(1.1)
    assert alone.model_hash != both.model_hash
    assert (alone.settings["rerank"]["first_weight"], both.settings["rerank"]["first_weight"]) == (0, 1.1)
    assert both.model.endswith(" + overlap (top 3, first weight 1.1)")


def test_a_lost_passage_stays_lost_when_reranked(echo: Any, overlap: Any, animals: Suite) -> None:
    lost = replace(animals, qrels={"q1": {"d1": 1, "gone": 1}, "q2": {"gone": 1}}, lost=frozenset(["gone"]))
    direction = evaluate(echo, lost, rerank=Reranking(overlap, "overlap", 3)).directions["en->en"]
    assert direction.ranks == [1, 4 + 1]
    assert direction.values["recall@100"] == [1 / 2, 0]


def test_a_real_reranker_orders_as_sentence_transformers_does(tiny_model: Any, tiny_reranker_path: Path) -> None:
    texts = {"1": "a cat purrs", "2": "a dog barks", "3": "bread", "4": "the tide", "5": "chess"}
    suite = Suite("words", {"en": {"1": "cat", "2": "dog"}}, {"en": texts}, {"1": {"1": 1}, "2": {"2": 1}})
    reranking = Reranking.load(str(tiny_reranker_path), top=5)
    direction = evaluate(tiny_model(), suite, rerank=reranking).directions["en->en"]
    names = list(texts)
    for query, found in zip(("cat", "dog"), direction.top, strict=True):
        expected = reranking.model.rank(query, list(texts.values()))
        assert found == [names[one["corpus_id"]] for one in expected[:3]]
    with pytest.raises(InputError, match="top is 0; give the number of passages to rerank"):
        Reranking.load(str(tiny_reranker_path), top=0)


# -- bitext


@pytest.fixture
def bitext() -> Suite:
    """Three sentences in two languages. German 2 lies nearest to English 1."""
    return Suite.from_translations(
        [
            {"en": "one [1 0 0]", "de": "eins [1 0.1 0]"},
            {"en": "two [0 1 0]", "de": "zwei [0.9 0.8 0]"},
            {"en": "three [0 0 1]", "de": "drei [0 0.1 1]"},
        ],
        "numbers",
    )


def test_bitext_both_ways_by_hand(echo: Any, bitext: Suite) -> None:
    scores = evaluate(echo, bitext)
    assert (scores.task, scores.main_metric) == ("bitext", "accuracy")
    assert set(scores.directions) == {"en->de", "de->en"}
    # de->en: 1 and 2 find English 1. en->de: 2 (0, 1, 0) finds German 2, as do 1 and 3 theirs.
    assert scores.directions["de->en"].values["accuracy"] == [1, 0, 1]
    assert scores.directions["de->en"].values["f1"] == [round(2 / (2 + 1), 6), 0, 1]
    assert scores.directions["de->en"].values["mrr@10"] == [1, 1 / 2, 1]
    assert scores.mean("en->de") == 1
    assert scores.summary() == {"x->en": (1 + 0 + 1) / 3, "en->x": 1}
    assert scores.clusters == {f"{a}/{n}": f"{b}/{n}" for a, b in (("en", "de"), ("de", "en")) for n in (1, 2, 3)}


def test_bitext_reads_every_sentence_once_and_as_a_query(echo: Any, bitext: Suite) -> None:
    echo[0].seen.clear()
    scores = evaluate(echo, bitext, prompts=Prompts("q: ", "p: "))
    assert sorted(echo[0].seen) == sorted(f"q: {text}" for text in bitext.texts())
    assert scores.settings["prompts"] == {"query": "q: ", "passage": "q: "}


def test_in_a_bitext_of_all_languages_a_sentence_does_not_find_itself(echo: Any, bitext: Suite) -> None:
    pool = evaluate(echo, bitext, pools=("all",)).pools["en->all"]
    assert pool.corpus_size == 6
    assert [row[0] for row in pool.top] == ["de:de/1", "de:de/2", "de:de/3"]
    with pytest.raises(InputError, match="pool 'pair': in bitext no query has a right answer in its own language"):
        evaluate(echo, bitext, pools=("pair",))


def test_bitext_scores_are_saved_and_compared_by_accuracy(echo: Any, bitext: Suite, tmp_path: Path) -> None:
    scores = evaluate(echo, bitext)
    scores.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == scores
    assert compare(scores, scores).metric == "accuracy"
