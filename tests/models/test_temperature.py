from __future__ import annotations

import numpy as np
import pytest

from clearir.losses.scale import SHOWN
from clearir.models.prompts import Prompts
from clearir.models.temperature import Scale, scale_for

PAIRS = [(f"q{i}", f"p{i}") for i in range(64)]
PROMPTS = Prompts("query: ", "passage: ")


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, object]]:
    """Vectors in two directions, the first two queries in the wrong one; what was asked for."""
    calls: list[tuple[str, object]] = []

    def encode(model, texts, languages, *, prompt, cache, description):
        calls.append((prompt, cache))
        numbers = [int(text[1:]) for text in texts]
        return np.eye(2, dtype=np.float32)[[(n + (n < 2 and prompt == "query: ")) % 2 for n in numbers]]

    monkeypatch.setattr("clearir.models.any_kind.encode_by_language", encode)
    return calls


def test_the_scale_is_found_from_different_pairs(asked, tmp_path):
    scale = scale_for("auto", PAIRS * 2, None, PROMPTS, cache=tmp_path)
    assert asked == [("query: ", tmp_path), ("passage: ", tmp_path)]
    assert scale.used == scale.found
    assert scale.auto
    assert scale.pairs == 64
    assert 2.5 < scale.used < 3.43  # the least is at ln(62 / 2), as in tests/losses/test_scale.py
    assert [point[0] for point in scale.curve] == sorted([*SHOWN, scale.used])
    assert scale.sentence == f"scale {scale.used:g} (found from 64 pairs)"


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (1.9, False), (2.1, True), (0.55, False), (0.45, True)])
def test_a_number_is_honoured_and_warned_of_beyond_a_factor_of_two(asked, factor, warned):
    found = scale_for("auto", PAIRS, None, PROMPTS).found
    scale = scale_for(factor * found, PAIRS, None, PROMPTS)
    assert (scale.used, scale.auto, scale.found) == (factor * found, False, found)
    assert ("off by more than a factor of 2" in scale.warning) == warned
    assert scale.sentence.startswith(f"scale {factor * found:g} (set; {found:g} was found from 64 pairs)")
    assert (
        scale.sentence.endswith(". Warning: off by more than a factor of 2 for this model; set loss.scale=auto")
        == warned
    )


def test_a_number_is_not_judged_by_a_doubtful_one(asked):
    few = scale_for("auto", PAIRS[:5], None, PROMPTS)
    assert "too few" in few.sentence
    assert few.used == 20
    assert scale_for(500, PAIRS[:5], None, PROMPTS) == Scale(500, False, 20, 5, few.curve)
