"""The numbers of a text, however they are written.

```python
missing("Did 1,00,000 people come in the 18th century?", "¿Vinieron 100.000 personas en el siglo XVIII?")  # nothing
```
"""

from __future__ import annotations

import re
from collections import Counter

# Thousands, closed up with the same sign each time: 1,000 and 1.000.000 and 1 000, and in India 1,00,000.
_THOUSANDS = re.compile(
    r"(?<!\d)\d{1,3}([.,'’\s\u066b\u066c])\d{3}(?:\1\d{3})*(?!\d)|(?<!\d)\d{1,2}(?:,\d{2})+,\d{3}(?!\d)"
)
_NUMBER = re.compile(r"\d+")
# "the 1990s" are the nineties in many languages, and "the 1600s" the 17th century.
_DECADE = re.compile(r"\d+(?=['’]?s\b)")
# Chinese, Japanese and Korean count in ten thousands: 30,000 is 3万.
_MYRIADS = re.compile(r"(\d+)\s*[万萬만億亿억]")


def missing(text: str, translation: str) -> list[int]:
    """Numbers of two or more digits that a translation lacks, or has less often.

    Digits of any script are read, leading zeros make no difference (``12.05.`` is ``12 May``), a Roman numeral up to
    400 will do, and so will ten thousands in their own sign. Decades (``1990s``) are not asked for.
    """
    plain, other = _closed_up(text), _closed_up(translation)
    wanted = Counter(number for number in _numbers(_DECADE.sub("", plain)) if number > 9)
    lost = wanted - Counter(_numbers(other))
    roman = set(re.findall(r"[IVXLC]+", translation))
    myriads = {found.rstrip("0") for found in _MYRIADS.findall(other)}
    return [number for number in lost if _roman(number) not in roman and str(number).rstrip("0") not in myriads]


def _closed_up(text: str) -> str:
    """ASCII digits for those of any script, and thousands without signs between them."""
    plain = "".join(str(int(char)) if char.isdecimal() else char for char in text)
    return _THOUSANDS.sub(lambda found: re.sub(r"\D", "", found[0]), plain)


def _numbers(plain: str) -> list[int]:
    # What is longer is a key or a hash, and Python reads no numbers of many thousand digits.
    return [int(digits[-100:]) for digits in _NUMBER.findall(plain)]


def _roman(number: int) -> str:
    """A Roman numeral, for centuries and kings; "" from 400 on."""
    if not 0 < number < 400:
        return ""
    text = ""
    for value, sign in (
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ):
        text += sign * (number // value)
        number %= value
    return text
