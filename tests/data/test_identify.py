from __future__ import annotations

import pytest

from clearir.data.identify import identifier, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="py3langid is not installed (extra 'langid')")


def test_the_likeliest_language_comes_first():
    shares = identifier().shares("Wo steht die alte Brücke, die der Meister gebaut hat?")
    assert next(iter(shares)) == "de"
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)  # one of its labels stands for no language


def test_a_text_without_letters_is_in_no_language():
    assert identifier().shares("403?") == {}


@pytest.mark.parametrize(
    ("language", "known"),
    [
        ("de", True),
        ("nob_Latn", True),
        ("fil", True),
        ("pt-BR", True),
        ("sr", True),
        ("sr-Latn", False),
        ("bem", False),
    ],
)
def test_what_it_knows(language, known):
    assert identifier().knows(language) == known
