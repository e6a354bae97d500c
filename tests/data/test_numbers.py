from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearir.data.numbers import missing


@pytest.mark.parametrize(
    ("query", "target", "lost"),
    [
        ("Who won in 1998?", "¿Quién ganó en 1998?", False),
        ("Who won in 1998?", "¿Quién ganó en 1989?", True),
        ("Who won in 1998?", "¿Quién ganó?", True),
        ("Are 1,000 people there?", "¿Hay 1.000 personas?", False),
        ("Are 1,000 people there?", "¿Hay 1 000 personas?", False),
        ("Who won in 1998?", "من فاز في عام ١٩٩٨؟", False),
        ("Who ruled in the 18th century?", "¿Quién reinó en el siglo XVIII?", False),
        ("Who ruled in the 18th century?", "¿Quién reinó en el siglo XIX?", True),
        ("Are there 3 of them?", "¿Hay tres de ellos?", False),  # one digit may be a word
        ("From 10 to 10?", "¿De 10 a diez?", True),  # each as often
        ("Did 1,00,000 people come?", "¿Vinieron 100.000 personas?", False),  # as written in India
        ("Did 100,000 people come?", "¿Vinieron 1,00,000 personas?", False),
        ("Did 12,34,567 people come?", "¿Vinieron 1.234.567 personas?", False),
        ("Did 1,00,000 people come?", "¿Vinieron 10.000 personas?", True),
        ("Is it open on 12.05.?", "¿Está abierto el 12 de mayo?", False),
        ("Is it open on 12.05.2024?", "¿Está abierto el 12/5/2024?", False),
        ("Is it open on 12.05.?", "¿Está abierto el 13 de mayo?", True),
        ("Is it 12.5 or 12.25 miles?", "¿Son 12,5 o 12,25 millas?", False),
        ("Is it 1,234.50 dollars?", "¿Son 1.234,50 dólares?", False),
        ("Did 300 people come in 1990?", "¿Vinieron en 1990 300 personas?", False),  # no 1990300
        ("Who led them in the 1990s?", "¿Quién los dirigió en los años noventa?", False),
        ("Who led them in the 1990's?", "¿Quién los dirigió en los años 90?", False),
        ("Is 10² a square?", "¿Es 10^2 un cuadrado?", False),
        ("Are there 30,000 of them?", "有3万人吗?", False),
        ("Are there 12 million of them?", "有1,200万人吗?", False),
        ("Are there 30,000 of them?", "有4万人吗?", True),
        ("Are there 30 of them?", "有3人吗?", True),
        ("Who won in 1998?", "1998 में कौन जीता?", False),
        ("Who won in 1998?", "१९९८ में कौन जीता?", False),
        ("Who won in 1998?", "၁၉၉၈ ခုနှစ်တွင် ဘယ်သူနိုင်ခဲ့လဲ", False),
        ("Who won in 1998?", "誰が１９９８年に勝ちましたか", False),
    ],
)
def test_numbers_that_a_translation_lacks(query, target, lost):
    assert bool(missing(query, target)) == lost


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("0123456789.,' ")))
def test_a_text_lacks_none_of_its_own_numbers(text):
    assert missing(text, text) == []
