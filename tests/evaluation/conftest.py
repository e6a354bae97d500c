"""A model whose vectors are written in the texts, so that every ranking is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clearir.evaluation.scores import Direction, Scores
from clearir.evaluation.suites import Suite


@pytest.fixture(scope="session")
def echo() -> Any:
    """``"a dog [1 0 0]"`` -> (1, 0, 0), made to unit length; ``echo[0].seen`` has the texts that were encoded."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import InputModule

    class Echo(InputModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.max_seq_length = None

        def preprocess(self, inputs: list[str], prompt: str | None = None, **kwargs: Any) -> dict[str, torch.Tensor]:
            texts = [(prompt or "") + text for text in inputs]
            self.seen += texts
            numbers = [[float(n) for n in text.rpartition("[")[2].rstrip("]").split()] for text in texts]
            return {"numbers": torch.tensor(numbers)}

        def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
            return features | {"sentence_embedding": features["numbers"] * self.weight}

        def save(self, *args: Any, **kwargs: Any) -> None: ...

    return SentenceTransformer(modules=[Echo()], device="cpu")


@pytest.fixture
def suite() -> Suite:
    """Two languages, two questions, three English and two German passages; q2's German passage is misplaced.

    English axes: d1, d2, d3. German texts lie in the same space, the German query 2 nearer to the wrong passage.
    """
    return Suite(
        name="toy",
        queries={
            "en": {"q1": "one [1 0 0]", "q2": "two [0 1 0]"},
            "de": {"q1": "eins [1 0.2 0]", "q2": "zwei [0.9 1 0]"},
        },
        passages={
            "en": {"d1": "first [1 0 0]", "d2": "second [0 1 0]", "d3": "third [0 0 1]"},
            "de": {"d1": "erste [1 0.1 0]", "d2": "zweite [0 0.2 1]"},
        },
        qrels={"q1": {"d1": 1}, "q2": {"d2": 1}},
    )


@pytest.fixture
def make_scores() -> Callable[..., Scores]:
    """Scores out of values: ``make_scores({"de->en": [1.0, 0.5]})``, queries q0, q1 ..., gold p0, p1 ..."""

    def direction(name: str, values: list[float], gold: list[str] | None, metric: str) -> Direction:
        query, passage = name.split("->")
        count = len(values)
        return Direction(
            query_language=query,
            passage_language=passage,
            corpus_size=100,
            query_ids=[f"q{n}" for n in range(count)],
            gold=gold or [f"p{n}" for n in range(count)],
            values={metric: values},
            ranks=[1] * count,
            top=[["p0", "p1", "p2"]] * count,
        )

    def make(
        directions: dict[str, list[float]],
        *,
        pools: dict[str, list[float]] | None = None,
        gold: list[str] | None = None,
        model: str = "base",
        metric: str = "ndcg@10",
        **fields: Any,
    ) -> Scores:
        return Scores(
            **{"suite": "toy", "suite_hash": "0123", "model_hash": "4567", "bridge": "en"} | fields,
            model=model,
            directions={name: direction(name, values, gold, metric) for name, values in directions.items()},
            pools={name: direction(name, values, gold, metric) for name, values in (pools or {}).items()},
        )

    return make
