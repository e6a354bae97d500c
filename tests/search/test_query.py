from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder

from clearir.data.passages import Corpus, Passage
from clearir.models.load import load_late_interaction
from clearir.models.reranker import Reranking
from clearir.search.index import build_index, load_info
from clearir.search.query import (
    Compared,
    Hit,
    IndexGoneError,
    Moved,
    Searcher,
    check_same_corpus,
    compare,
    fuse,
    is_url,
    snippet,
    to_json,
)
from clearir.support.errors import InputError

pytest.importorskip("lancedb", reason="the extra search is not installed")


@pytest.fixture(scope="module")
def searcher(index_path) -> Searcher:
    return Searcher.open(index_path)


@pytest.fixture(scope="module")
def base(other_index_path) -> Searcher:
    return Searcher.open(other_index_path)


def test_hits_are_ranked_by_the_cosine_of_the_model(searcher, corpus, tiny_model):
    query = "play chess"
    model = tiny_model()
    texts = [one.content for one in corpus.passages]
    vectors = model.encode([query, *texts], normalize_embeddings=True)
    cosines = vectors[1:] @ vectors[0]
    hits = searcher.search(query, 6)
    assert [hit.id for hit in hits] == [corpus.passages[i].id for i in np.argsort(-cosines)]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1], atol=1e-5)


def test_an_exported_model_gives_the_same_hits(index_path, exported_path, searcher, monkeypatch):
    queries = ["play chess", "encrypt a disk"]
    expected = searcher.search_many(queries, 6)
    light = Searcher.open(index_path, model=str(exported_path), light=True)
    monkeypatch.setattr("clearir.models.encode.encode", None)  # torch is not asked
    for ours, theirs in zip(light.search_many(queries, 6), expected, strict=True):
        assert [hit.id for hit in ours] == [hit.id for hit in theirs]
        np.testing.assert_allclose([hit.score for hit in ours], [hit.score for hit in theirs], atol=1e-5)
    assert light.search("play chess", 1) == light.search("play chess", 1)


def test_a_hit_has_all_of_its_passage(searcher):
    hit = next(hit for hit in searcher.search("encrypt a disk", 6) if hit.id == "luks")
    assert (hit.title, hit.text, hit.language) == ("disk encryption", "encrypt a disk", "en")
    assert hit.fields == {"section": "admin", "size": 5, "free": True}
    assert hit.words is None


def test_k(searcher):
    assert len(searcher.search("chess", 2)) == 2
    assert len(searcher.search("chess", 100)) == 6
    for k in (0, -1, 1001):
        with pytest.raises(InputError, match="from 1 to 1000"):
            searcher.search("chess", k)


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query(searcher, query):
    with pytest.raises(InputError, match="the query is empty"):
        searcher.search(query)


@pytest.mark.parametrize("query", ["chess \ud800", "a\0b"])
def test_what_is_no_character_is_refused(searcher, query):
    with pytest.raises(InputError, match="the query holds"):
        searcher.search(query, hybrid=True)
    with pytest.raises(InputError, match="the filter holds"):
        searcher.search("chess", filters=[f"section={query}"])


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["section=games"], {"chess", "shakki", "chess-uk"}),
        (["section=games", "language=fi"], {"shakki"}),
        (["language=fi", "language=uk"], {"shakki", "chess-uk"}),
        (["size>=7"], {"gimp", "vim"}),
        (["size>2", "size<7"], {"chess", "luks"}),
        (["size>4.5", "size<6"], {"luks"}),
        (["free=true"], {"luks"}),
        (["o'hara=it's"], {"vim"}),
        (["id=gimp"], {"gimp"}),
        (["section=' OR 1=1 --"], set()),
    ],
)
@pytest.mark.parametrize("hybrid", [False, True])
def test_filters(searcher, filters, ids, hybrid):
    assert {hit.id for hit in searcher.search("chess", filters=filters, hybrid=hybrid)} == ids


def test_fusion_is_the_sum_of_reciprocal_ranks():
    # a: 1/61 + 1/63, b: 1/62, c: 1/63 + 1/61, d: 1/62; ties stay in the order of the first ranking
    assert 1 / 61 + 1 / 63 > 2 / 63 > 1 / 62
    assert fuse(["a", "b", "c"], ["c", "d", "a"]) == ["a", "c", "b", "d"]
    assert fuse(["a", "b"], []) == ["a", "b"]


def test_a_word_of_the_query_brings_a_passage_up(searcher):
    hits = searcher.search("шахи", 6, hybrid=True)
    assert hits[0].id == "chess-uk"
    assert hits[0].words == 1
    cosines = {hit.id: hit.score for hit in searcher.search("шахи", 6)}
    assert all(hit.score == pytest.approx(cosines[hit.id], abs=1e-5) for hit in hits)


def test_queries_together_are_as_one_by_one(searcher):
    many = searcher.search_many(["play chess", "edit text"], 3)
    assert [[hit.id for hit in hits] for hits in many] == [
        [hit.id for hit in searcher.search(query, 3)] for query in ("play chess", "edit text")
    ]


def test_several_threads_at_once(searcher):
    alone = {f"query {i}": [hit.id for hit in searcher.search(f"query {i}")] for i in range(20)}
    again = Searcher(searcher.info, searcher._table, searcher._model)
    with ThreadPoolExecutor(8) as pool:
        found = dict(pool.map(lambda query: (query, [hit.id for hit in again.search(query)]), list(alone) * 3))
    assert found == alone


def test_the_query_is_encoded_as_the_index_says(searcher, tiny_model):
    with_prompt = Searcher(replace(searcher.info, query_prompt="query: "), searcher._table, searcher._model)
    expected = tiny_model().encode(["query: chess"], normalize_embeddings=True)[0]
    np.testing.assert_allclose(with_prompt.encode(["chess"])[0], expected, atol=1e-6)


def test_remembered_vectors_are_the_same_and_bounded(searcher, monkeypatch):
    monkeypatch.setattr("clearir.search.query._REMEMBERED", 2)
    fresh = Searcher(searcher.info, searcher._table, searcher._model)
    first = fresh.encode(["a", "b", "c"])
    assert list(fresh._vectors) == ["b", "c"]
    np.testing.assert_allclose(fresh.encode(["c", "a"]), [first[2], first[0]], atol=1e-6)


def test_another_model_is_refused(index_path, tiny_model, tmp_path):
    import torch

    model = tiny_model()
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(str(tmp_path / "other"), create_model_card=False)
    with pytest.raises(InputError, match="encoded by another model"):
        Searcher.open(index_path, model=str(tmp_path / "other"))


def test_the_model_may_have_moved(index_path, tiny_model_path, tmp_path):
    (tmp_path / "moved").symlink_to(tiny_model_path)
    assert Searcher.open(index_path, model=str(tmp_path / "moved")).search("chess")


# -- two models


def test_moves_are_ranks_of_the_other_model(base, searcher):
    found = compare(base, searcher, "play chess", 3)
    before = {hit.id: hit.rank for hit in base.search("play chess", 6)}
    after = {hit.id: hit.rank for hit in searcher.search("play chess", 6)}
    assert [moved.other for moved in found.tuned] == [before[moved.hit.id] for moved in found.tuned]
    assert [moved.other for moved in found.base] == [after[moved.hit.id] for moved in found.base]
    assert len(found.base) == len(found.tuned) == 3
    assert before != after  # or this test would show nothing


def test_the_right_passage_is_found_beyond_what_is_shown(base, searcher, corpus):
    right = base.search("play chess", 6)[-1]
    found = compare(base, searcher, "play chess", 1, right=f" {right.text}\n").right
    assert found is not None
    assert [one.id for one in found if one is not None] == [right.id, right.id]
    assert found[0] == right
    assert compare(base, searcher, "play chess", 1, right="no such text").right == (None, None)
    assert compare(base, searcher, "play chess", 1).right is None


def test_a_passage_that_the_other_has_nowhere(base, searcher, monkeypatch):
    monkeypatch.setattr("clearir.search.query.DEPTH", 1)
    found = compare(base, searcher, "play chess", 1)
    ids = [one[0].hit.id for one in (found.base, found.tuned)]
    assert [one[0].other for one in (found.base, found.tuned)] == ([1, 1] if ids[0] == ids[1] else [None, None])


def test_different_corpora_are_not_compared(index_path):
    info = load_info(index_path)
    check_same_corpus(info, replace(info, corpus="elsewhere"))
    with pytest.raises(InputError, match="not of the same corpus"):
        check_same_corpus(replace(info, corpus_hash="7"), info)


def test_json():
    hit = Hit(1, 0.123456, "a", "t", "x", None, {"n": 1})
    plain = {"rank": 1, "score": 0.1235, "id": "a", "title": "t", "text": "x", "language": None, "fields": {"n": 1}}
    assert to_json("q", [hit]) == {"query": "q", "hits": [{**plain, "words": None, "rerank_score": None}]}
    assert to_json("q", Compared([Moved(hit, 3)], [])) == {
        "query": "q",
        "base": [{**plain, "words": None, "rerank_score": None, "other": 3}],
        "tuned": [],
    }


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ("https://help.example.org/a?b=1#c", True),
        ("http://x", True),
        ("see https://x.org", False),
        ("javascript:alert(1)", False),
        ("https://x.org/<script>", False),
        ("ftp://x.org", False),
        (7, False),
    ],
)
def test_addresses_of_web_pages(value, is_one):
    assert is_url(value) is is_one


def test_the_closest_sentence_of_a_passage(tiny_model_path, tmp_path):
    text = "Ab cd ef gh\nZz qq xx\nIj kl mn op"
    passages = (Passage("a", text), Passage("b", "One sentence alone"), Passage("c", "x" * 80 + "\nZz qq xx"))
    build_index(Corpus("c", passages), str(tiny_model_path), tmp_path / "i", cache=tmp_path / "c")
    searcher = Searcher.open(tmp_path / "i")
    found = searcher.best_sentence("zz qq xx", "a")
    assert found is not None
    assert found[0][found[1] : found[2]] == "Zz qq xx"
    assert searcher.best_sentence("zz qq xx", "b") is None
    assert searcher.best_sentence("zz qq xx", "c") is None  # the model read no more than its 64 tokens
    assert searcher.best_sentence("zz qq xx", "nowhere") is None


def test_fields_that_hold_addresses(tiny_model_path, tmp_path):
    fields = {"url": "https://x.org/1", "note": "https://x.org/1", "size": 2}
    passages = (Passage("a", "a", fields=fields), Passage("b", "b", fields={"note": "none"}))
    build_index(Corpus("c", passages), str(tiny_model_path), tmp_path / "i", cache=tmp_path / "c")
    assert Searcher.open(tmp_path / "i").url_fields() == {"url"}


# -- a model of late interaction: a vector for each token


@pytest.fixture(scope="module")
def late(late_index_path) -> Searcher:
    return Searcher.open(late_index_path)


@pytest.fixture(scope="module")
def maxsim(late_model_path, corpus):
    """A function that gives mean MaxSim of a query with each passage, by their ids: sentence-transformers and NumPy."""
    model = MultiVectorEncoder(str(late_model_path), device="cpu")
    passages = [one.cpu().double().numpy() for one in model.encode_document([one.content for one in corpus.passages])]

    def scores(query: str) -> dict[str, float]:
        asking = model.encode_query(query).cpu().double().numpy()
        best = [(asking @ passage.T).max(axis=1).mean() for passage in passages]
        return {one.id: score for one, score in zip(corpus.passages, best, strict=True)}

    return scores


@pytest.mark.parametrize("query", ["play chess", "гра в шахи", "encrypt a disk that holds photos"])
def test_hits_are_ranked_by_mean_maxsim(late, maxsim, query):
    expected = maxsim(query)
    hits = late.search(query, 6)
    assert [hit.id for hit in hits] == sorted(expected, key=lambda one: -expected[one])
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([hit.score for hit in hits], [expected[hit.id] for hit in hits], atol=1e-5)


def test_mean_maxsim_with_filters(late, maxsim):
    expected = maxsim("play chess")
    hits = late.search("play chess", 2, filters=["language=en", "size<=7"])
    assert [hit.id for hit in hits] == sorted(["chess", "luks", "vim"], key=lambda one: -expected[one])[:2]


def test_mean_maxsim_with_words(late, maxsim):
    hits = late.search("шахи", 6, hybrid=True)
    assert (hits[0].id, hits[0].words) == ("chess-uk", 1)
    expected = maxsim("шахи")
    near = sorted(expected, key=lambda one: -expected[one])
    assert [hit.id for hit in hits] == fuse(near, ["chess-uk"])
    np.testing.assert_allclose([hit.score for hit in hits], [expected[hit.id] for hit in hits], atol=1e-5)


def test_token_vectors_of_queries_are_remembered(late):
    fresh = Searcher(late.info, late._table, late._model)
    one, two = fresh.encode(["chess", "edit text"])
    assert one.shape[1] == two.shape[1] == 128
    assert fresh.encode(["edit text", "chess"])[0] is two


def test_a_dense_model_beside_one_of_late_interaction(searcher, late):
    found = compare(searcher, late, "play chess", 3)
    before = {hit.id: hit.rank for hit in searcher.search("play chess", 6)}
    assert [moved.hit.id for moved in found.tuned] == [hit.id for hit in late.search("play chess", 3)]
    assert [moved.other for moved in found.tuned] == [before[moved.hit.id] for moved in found.tuned]


def test_the_closest_sentence_by_mean_maxsim(late_model_path, tmp_path):
    passages = (Passage("a", "Ab cd ef gh\nZz qq xx\nIj kl mn op"), Passage("b", "One sentence alone"))
    build_index(Corpus("c", passages), str(late_model_path), tmp_path / "i", cache=tmp_path / "c")
    searcher = Searcher.open(tmp_path / "i")
    found = searcher.best_sentence("zz qq xx", "a")
    assert found is not None
    assert found[0][found[1] : found[2]] == "Zz qq xx"
    assert searcher.best_sentence("zz qq xx", "b") is None


def test_another_model_of_late_interaction_is_refused(late_index_path, tiny_model_path, tmp_path):
    load_late_interaction(tiny_model_path, seed=1, device="cpu").save_pretrained(
        str(tmp_path / "other"), create_model_card=False
    )
    for other in (tmp_path / "other", tiny_model_path):
        with pytest.raises(InputError, match="encoded by another model"):
            Searcher.open(late_index_path, model=str(other))


# -- snippets


def test_a_short_text_is_shown_whole():
    assert snippet("one\ntwo", "one", 20) == "one two"


def test_a_long_text_is_cut():
    assert snippet("word " * 50, "other", 20) == "word word word word…"


def test_the_part_with_a_word_of_the_query_is_shown():
    text = "first " * 50 + "then comes Encryption of disks " + "last " * 50
    shown = snippet(text, "encryption (disks)", 60)
    assert shown.startswith("… first")
    assert "Encryption of disks" in shown
    assert len(shown) <= 60


@pytest.mark.parametrize("hybrid", [False, True])
def test_an_index_that_is_replaced_meanwhile_is_said_to_be_gone(hybrid, index_path, tmp_path):
    shutil.copytree(index_path, tmp_path / "index")
    open_ = Searcher.open(tmp_path / "index")
    assert open_.search("chess", hybrid=hybrid)
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(IndexGoneError, match="replaced or removed"):
        open_.search("chess", hybrid=hybrid)


# -- with a reranker: of "edit text" it gives vim 1.98, gimp 0.94, shakki and chess-uk -0.03, luks -0.04, chess -0.07


def test_the_first_hits_are_reranked(index_path, searcher, overlap):
    plain = searcher.search("edit text", 6)
    cosines = {hit.id: hit.score for hit in plain}
    hits = Searcher.open(index_path, rerank=Reranking(overlap, "overlap")).search("edit text", 6)
    equal = [hit.id for hit in plain if hit.id in ("shakki", "chess-uk")]  # these stay in the order of the model
    assert [hit.id for hit in hits] == ["vim", "gimp", *equal, "luks", "chess"]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([hit.rerank_score for hit in hits], [1.98, 0.94, -0.03, -0.03, -0.04, -0.07], rtol=1e-6)
    assert {hit.id: hit.score for hit in hits} == cosines
    assert all(hit.rerank_score is None for hit in plain)


def test_hits_behind_the_reranked_ones_keep_their_place(index_path, searcher, overlap):
    plain = searcher.search("edit text", 6)
    given = {"vim": 1.98, "gimp": 0.94, "shakki": -0.03, "chess-uk": -0.03, "luks": -0.04, "chess": -0.07}
    three = Searcher.open(index_path, rerank=Reranking(overlap, "overlap", 3))
    hits = three.search("edit text", 6)
    assert [hit.id for hit in hits[:3]] == sorted((hit.id for hit in plain[:3]), key=lambda one: -given[one])
    assert hits[3:] == plain[3:]
    assert three.search("edit text", 1) == hits[:1]  # three are reranked, whatever is shown


def test_the_cosine_counts_beside_the_reranker_as_much_as_asked_for(index_path, searcher, overlap):
    plain = searcher.search("edit text", 6)
    given = {"vim": 1.98, "gimp": 0.94, "shakki": -0.03, "chess-uk": -0.03, "luks": -0.04, "chess": -0.07}
    for weight in (1, 1000):
        hits = Searcher.open(index_path, rerank=Reranking(overlap, "overlap", first_weight=weight)).search(
            "edit text", 6
        )
        both = {hit.id: given[hit.id] + weight * hit.score for hit in plain}
        assert [hit.id for hit in hits] == sorted(both, key=lambda one: -both[one])
        assert [hit.rerank_score for hit in hits] == pytest.approx([given[hit.id] for hit in hits])
    assert [hit.id for hit in hits] == [hit.id for hit in plain]


def test_a_reranker_goes_with_words_filters_and_an_exported_model(index_path, exported_path, overlap):
    reranking = Reranking(overlap, "overlap")
    both = Searcher.open(index_path, rerank=reranking)
    hybrid = both.search("edit text", 2, hybrid=True)
    assert [hit.id for hit in hybrid] == ["vim", "gimp"]
    assert [hit.words for hit in hybrid] == [1, 2]
    assert [hit.id for hit in both.search("edit text", 1, filters=["section=graphics"])] == ["gimp"]
    assert both.search("edit text", filters=["size>1000"]) == []
    light = Searcher.open(index_path, model=str(exported_path), light=True, rerank=reranking)
    assert [hit.id for hit in light.search("edit text", 2)] == ["vim", "gimp"]


def test_a_pair_is_read_once_for_both_models_and_at_the_next_search(index_path, other_index_path, overlap):
    reranking = Reranking(overlap, "overlap")
    tuned, base = (Searcher.open(path, rerank=reranking) for path in (index_path, other_index_path))
    overlap[0].seen.clear()
    compared = compare(base, tuned, "edit text", 2)
    assert [[moved.hit.id for moved in side] for side in (compared.base, compared.tuned)] == [["vim", "gimp"]] * 2
    assert [moved.other for moved in compared.tuned] == [1, 2]
    tuned.search_many(["edit text", "edit text"])
    assert len(overlap[0].seen) == 6
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda query: tuned.search(query, 1)[0].id, ["edit text", "encrypt a disk"] * 8))
    assert found == ["vim", "luks"] * 8
    assert len(overlap[0].seen) == 12


def test_a_real_reranker_reads_title_and_text(index_path, corpus, tiny_reranker_path):
    reranking = Reranking.load(str(tiny_reranker_path))
    hits = Searcher.open(index_path, rerank=reranking).search("play chess", 6)
    expected = reranking.model.rank("play chess", [one.content for one in corpus.passages])
    assert [hit.id for hit in hits] == [corpus.passages[one["corpus_id"]].id for one in expected]
    np.testing.assert_allclose([hit.rerank_score for hit in hits], [one["score"] for one in expected], rtol=1e-4)
    [shown] = [hit for hit in to_json("play chess", hits)["hits"] if hit["rank"] == 1]
    assert shown["rerank_score"] == pytest.approx(expected[0]["score"], rel=1e-3)
