from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clearir.evaluation.scores import Scores, Texts, read_scores, texts_behind
from clearir.support.errors import InputError

Make = Callable[..., Scores]


def test_means_over_all_or_some_queries(make_scores: Make) -> None:
    scores = make_scores({"de->en": [1.0, 0.5, 0.0]})
    assert scores.mean("de->en") == (1 + 0.5 + 0) / 3
    assert scores.mean("de->en", query_ids=["q0", "q1", "elsewhere"]) == (1 + 0.5) / 2
    assert scores.directions["de->en"].means == {"ndcg@10": 0.5}


def test_what_was_not_scored_is_named(make_scores: Make) -> None:
    scores = make_scores({"de->en": [1.0]}, pools={"de->en+de": [1.0]})
    with pytest.raises(InputError, match=r"base on toy have no fi->en; there are: de->en, de->en\+de"):
        scores.mean("fi->en")
    with pytest.raises(InputError, match=r"de->en has no metric 'map@5'; there are ndcg@10"):
        scores.mean("de->en", "map@5")
    with pytest.raises(InputError, match="none of the given queries"):
        scores.mean("de->en", query_ids=["elsewhere"])


def test_kinds_of_direction_count_each_direction_the_same(make_scores: Make) -> None:
    scores = make_scores(
        {
            "en->en": [0.9],
            "de->en": [0.5, 0.7],
            "fi->en": [0.2],
            "en->de": [0.8],
            "de->de": [0.6],
            "de->fi": [0.1],
            "fi->de": [0.3],
        }
    )
    assert scores.summary() == pytest.approx(
        {"en->en": 0.9, "x->en": (0.6 + 0.2) / 2, "en->x": 0.8, "x->x": 0.6, "x->y": (0.1 + 0.3) / 2}
    )
    assert scores.languages == ["en", "de", "fi"]


def test_directions_on_common_queries(make_scores: Make) -> None:
    scores = make_scores({"en->en": [1.0, 0.0, 0.0], "de->en": [0.5, 1.0]}, pools={"en->all": [1.0, 0.5, 0.25]})
    common = scores.common()
    assert common.directions["en->en"].query_ids == ["q0", "q1"]
    assert common.mean("en->en") == (1 + 0) / 2
    assert common.mean("en->all") == (1 + 0.5) / 2
    assert len(common.directions["en->en"].gold) == len(common.directions["en->en"].ranks) == 2
    apart = replace(scores, directions={**scores.directions, "fi->en": scores.directions["en->en"].select(["q2"])})
    with pytest.raises(InputError, match="no query is in every direction"):
        apart.common()


def test_saved_and_loaded_they_are_equal(make_scores: Make, tmp_path: Path) -> None:
    scores = make_scores(
        {"de->en": [1.0, 0.630930], "en->en": [0.0, 0.5]},
        pools={"de->all": [0.25, 1.0]},
        clusters={"q0": "p0", "q1": "p0"},
        environment={"python": "3.11"},
        settings={"prompts": {"query": "frage: ", "passage": ""}},
        model="größe/модель",
    )
    scores.save(tmp_path / "deep" / "scores.json")
    assert Scores.load(tmp_path / "deep" / "scores.json") == scores
    assert (
        json.loads((tmp_path / "deep" / "scores.json").read_text())["directions"]["de->en"]["values"]["ndcg@10"][0] == 1
    )
    assert len((tmp_path / "deep" / "scores.json").read_text().splitlines()) < 20  # one line a direction


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("", "not JSON"),
        ("[1, 2]", "not a clearir-scores/1 file; write one with: clearir evaluate"),
        ('{"format": "clearir-texts/1"}', "not a clearir-scores/1 file"),
        ('{"format": "clearir-scores/1", "suite": "x"}', "a part missing or wrong"),
        ('{"format": "clearir-scores/1", "directions": {"a->b": 1}, "pools": {}}', "a part missing or wrong"),
    ],
)
def test_what_is_no_file_of_scores(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"{path}.*{message}"):
        Scores.load(path)


def test_lists_of_different_lengths_are_refused(make_scores: Make, tmp_path: Path) -> None:
    scores = make_scores({"de->en": [1.0, 0.5]})
    scores.directions["de->en"].ranks.pop()
    scores.save(tmp_path / "scores.json")
    with pytest.raises(InputError, match="de->en: not one value per query"):
        Scores.load(tmp_path / "scores.json")


def test_texts_are_those_that_the_scores_name(make_scores: Make, tmp_path: Path) -> None:
    scores = make_scores({"de->en": [1.0, 0.5]}, pools={})
    pool = replace(
        scores.directions["de->en"],
        passage_language="all",
        gold=["de:p7", "en:p0"],
        top=[["de:p7", "en:p1"], ["en:x:y"]],
    )
    scores = replace(scores, pools={"de->all": pool})
    queries = {"de": {"q0": "eins", "q1": "zwei", "q2": "drei"}, "en": {"q0": "one"}}
    passages = {
        "en": {"p0": "zero", "p1": "one", "p2": "two", "p3": "three", "x:y": "colon"},
        "de": {"p7": "sieben", "p8": "acht"},
    }
    texts = texts_behind([scores], queries, passages)
    assert texts.queries == {"de": {"q0": "eins", "q1": "zwei"}}
    assert texts.passages == {
        "en": {"p0": "zero", "p1": "one", "p2": "two", "x:y": "colon"},
        "de": {"p7": "sieben"},
    }
    assert texts.passage("p1", "en") == "one"
    assert texts.passage("de:p7", "all") == "sieben"
    assert texts.passage("en:x:y", "en+de") == "colon"
    assert texts.passage("p9", "en") is None
    texts.save(tmp_path / "texts.json")
    assert Texts.load(tmp_path / "texts.json") == texts
    with pytest.raises(InputError, match="not a clearir-scores/1 file"):
        Scores.load(tmp_path / "texts.json")


def test_a_folder_of_scores_is_read_beside_its_texts(make_scores: Make, tmp_path: Path) -> None:
    dates = {"zulu": "2026-01-01T00:00:00", "alpha": "2026-01-02T00:00:00"}
    for model, date in dates.items():
        make_scores({"de->en": [1.0]}, model=model, environment={"date": date}).save(tmp_path / f"{model}.json")
    Texts({}, {}).save(tmp_path / "texts.json")
    (tmp_path / "notes.json").write_text("{}")
    assert [one.model for one in read_scores([tmp_path]).values()] == ["zulu", "alpha"]  # the first scored first
    make_scores({"de->en": [1.0]}, model="b", environment={"date": "2026-01-03"}).save(tmp_path / "before.json")
    assert [one.model for one in read_scores([tmp_path]).values()] == ["b", "zulu", "alpha"]
    files = [tmp_path / f"{name}.json" for name in ("alpha", "texts", "zulu")]  # as a shell has them
    assert [one.model for one in read_scores(files).values()] == ["alpha", "zulu"]


def test_the_folder_of_a_run_leads_to_its_scores(make_scores: Make, tmp_path: Path) -> None:
    make_scores({"de->en": [1.0]}).save(tmp_path / "scores" / "after.json")
    assert list(read_scores([tmp_path])) == [tmp_path / "scores" / "after.json"]


def test_what_holds_no_scores_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no scores in this folder; write some with: clearir evaluate"):
        read_scores([tmp_path])
    with pytest.raises(InputError, match=r"gone\.json: No such file"):
        read_scores([tmp_path / "gone.json"])
