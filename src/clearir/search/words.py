"""The words that a search compares: passage and query are folded alike, however they were typed.

```python
folded("L\u2019objet d\u2019\u0130stanbul")  # "lobjet l objet distanbul d istanbul"
```
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import regex

# Typed for each other: ' and `, typographic quotes, modifier letters (Ukrainian, Uzbek, Hawaiian), full width, the
# Armenian apostrophe, geresh, the acute accent.
_APOSTROPHES = re.compile("[`\u2018\u2019\u201b\u02b9\u02bb\u02bc\uff07\u055a\u05f3\ua78c\u00b4]")
_INVISIBLE = r"\p{Default_Ignorable_Code_Point}"
# Accents, and the vowel signs that writers of Arabic, Hebrew and Syriac leave out. Those of Indic scripts are letters
# of the word (they belong to its script), and so is the voiced sound mark of kana.
_OPTIONAL = r"[\p{Mn}&&[\p{Script=Inherited}\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}]--[\u3099\u309a]]"
# The dotless i of Turkish, tatweel, and letters that keyboards of Arabic and Persian have under different codes.
_ALIKE = {"\u0131": "i", "\u0640": "", "\u064a": "\u06cc", "\u0649": "\u06cc", "\u0643": "\u06a9"}
_PART = r"[^!-/:-@\[-`{-~]+"  # no punctuation of ASCII
_WITH_APOSTROPHES = re.compile(rf"{_PART}(?:'{_PART})+")


def folded(text: str) -> str:
    """A text whose words are spelt one way.

    Case, compatibility and combined forms, accents, optional vowel signs, and what cannot be seen make no difference.
    A word with an apostrophe is there without it, and in its parts: ``l'objet`` is found as ``objet``, and
    ``Лук'яненко`` as ``Лукяненко``.
    """
    if text.isascii():
        text = text.lower().replace("`", "'")
    else:
        text = _APOSTROPHES.sub("'", _any_of(_INVISIBLE).sub("", text))
        text = _any_of(_OPTIONAL).sub("", unicodedata.normalize("NFKD", text).casefold())
        for letter, other in _ALIKE.items():
            text = text.replace(letter, other)
        text = unicodedata.normalize("NFC", text)
    if "'" not in text:
        return text
    words = (_WITH_APOSTROPHES.sub(_whole_and_parts, word) if "'" in word else word for word in text.split())
    return " ".join(words)


def _whole_and_parts(match: re.Match[str]) -> str:
    parts = match[0].split("'")
    return " ".join(["".join(parts), *parts])


@cache
def _any_of(kind: str) -> re.Pattern[str]:
    """A pattern of `re` for what only `regex` knows by name, and is slow to find.

    Without the planes beyond the first, which have next to nothing of it, and where `re` is slow as well.
    """
    every = "".join(chr(code) for code in range(0x10000) if not 0xD800 <= code <= 0xDFFF)
    return re.compile(f"[{''.join(regex.findall(kind, every, regex.V1))}]+")
