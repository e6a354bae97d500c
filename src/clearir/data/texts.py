"""When two texts are the same, and the words of a text: one answer for every stage.

```python
text_key("The Moon\u200b") == text_key("the  moon")
```
"""

from __future__ import annotations

import unicodedata

import regex

_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_VISIBLE = regex.compile(r"[^\s\x1c-\x1f\p{Default_Ignorable_Code_Point}]")
# Word characters, which here are also the signs above, below and beside letters (`re` ends a word there). In scripts
# that write no spaces (Thai, kana, Han) each character is a word.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = regex.compile(rf"[^\W{_SPACELESS}]++|[{_SPACELESS}]")


def text_key(text: str) -> str:
    """What two texts share that a reader would call the same.

    Compatibility forms, case, white space and what cannot be seen (zero-width spaces, byte order marks, soft hyphens,
    marks of the direction) make no difference: Unicode's ``toNFKC_Casefold`` (The Unicode Standard, section 3.13,
    R4), with white space squeezed.
    """
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(unicodedata.normalize("NFKC", visible.casefold()).split())


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in a text."""
    return _VISIBLE.search(text) is None


def words(text: str) -> list[str]:
    """The words of a text, vowel signs and accents included; where no spaces are written each character is one."""
    found: list[str] = _WORD.findall(text)
    return found
