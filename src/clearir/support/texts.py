"""When two texts are the same, the words of a text, and how user text is shown: one answer for every stage.

```python
text_key("The Moon\u200b") == text_key("the  moon")
```
"""

from __future__ import annotations

import re
import unicodedata

import regex

_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_VISIBLE = regex.compile(r"[^\s\x1c-\x1f\p{Default_Ignorable_Code_Point}]")
# Word characters, which here are also the signs above, below and beside letters (`re` ends a word there). In scripts
# that write no spaces (Thai, kana, Han) each character is a word.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = regex.compile(rf"[^\W{_SPACELESS}]++|[{_SPACELESS}]")


# Embeddings, overrides and isolates of the bidirectional algorithm: left open, they turn round the text that follows.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


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


def printable(text: str) -> str:
    """User text on its lines, without control or direction-changing characters and half characters."""
    text = "".join("\ufffd" if unicodedata.category(one) == "Cs" else one for one in _BIDI.sub("", text))
    return "".join(one for one in text if one in "\n\t" or unicodedata.category(one) != "Cc")


def clip(text: str, limit: int) -> str:
    """The first ``limit`` characters of a text, and `` ...`` where there are more."""
    return text if len(text) <= limit else text[:limit] + " ..."


def clean(text: str, limit: int = 300) -> str:
    """User text as `printable`, on one line and of at most ``limit`` characters."""
    line = " ".join(printable(text).split())
    if len(line) <= limit:
        return line
    whole_words = line[:limit].rpartition(" ")[0]  # a script without spaces is cut where it must be
    return (whole_words if len(whole_words) > limit * 0.8 else line[: limit - 1]).rstrip() + "…"
