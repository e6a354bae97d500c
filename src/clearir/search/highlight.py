"""What to highlight in a passage: the words of the query, and the sentence that answers it best.

```python
with_words("Deletes files for good.", "delete files")  # [("Deletes", True), (" ", False), ("files", True), ...]
```
"""

from __future__ import annotations

import regex

from clearir.search.words import folded
from clearir.support.texts import clean

# A sentence ends with its mark and a space, unless a small letter follows ("e.g. this") or a number stands before it
# ("1. Open"); with an ideographic full stop; and with its line.
_CLOSING = r"[\p{Pe}\p{Pf}\"']*"
_ENDS = regex.compile(
    rf"(?<=\p{{Sentence_Terminal}}{_CLOSING})(?<!\b\d{{1,2}}\.)[^\S\n]+(?!\p{{Ll}})|(?<=[。！？｡]{_CLOSING})|\s*\n\s*"
)
_WORD = regex.compile(r"\w+(?:['’]\w+)*")
_SHORTEST = 4  # letters of a word that is worth highlighting: most shorter ones are "the" and "of"
_ENDING = 2  # letters by which two forms of a word may differ at the end: file, files


def with_words(text: str, query: str) -> list[tuple[str, bool]]:
    """A text in parts, each with whether it is a word of the query. Case, accents and short endings do not matter."""
    wanted = _words(query)
    parts: list[tuple[str, bool]] = []
    done = 0
    for match in _WORD.finditer(text) if wanted else ():
        if any(_alike(word, one) for word in _words(match[0]) for one in wanted):
            parts += [(text[done : match.start()], False), (match[0], True)]
            done = match.end()
    return [part for part in (*parts, (text[done:], False)) if part[0]]


def shares_words(text: str, query: str) -> bool:
    """Whether a text has at least half of the words of the query, as a passage in another language has not."""
    wanted, there = _words(query), _words(text)
    found = sum(any(_alike(word, one) for word in there) for one in wanted)
    return bool(wanted) and 2 * found >= len(wanted)


def sentences(text: str) -> list[tuple[int, int]]:
    """Begin and end of each sentence of a text."""
    cuts = [(match.start(), match.end()) for match in _ENDS.finditer(text)]
    begins, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(text)]
    return [(begin, end) for begin, end in zip(begins, ends, strict=True) if text[begin:end].strip()]


def around(text: str, begin: int, end: int, limit: int) -> tuple[str, str, str]:
    """A part of a text to show, of about ``limit`` characters: what is before a sentence, the sentence, what follows.

    It starts where the text does, if the sentence is near.
    """
    before, sentence, after = (clean(part, len(part) + 1) for part in (text[:begin], text[begin:end], text[end:]))
    if len(before) + len(sentence) > limit:
        before = "…"
    room = limit - len(before) - len(sentence)
    after = clean(after, room) if room > 20 else "…" if after else ""
    gap = [" " if one.isspace() else "" for one in (text[:begin][-1:], text[end : end + 1])]
    return before + gap[0], clean(sentence, limit), gap[1] + after if after else ""


def _words(text: str) -> set[str]:
    return {word for match in _WORD.finditer(text) for word in folded(match[0]).split() if len(word) >= _SHORTEST}


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(long) - len(short) <= _ENDING and long.startswith(short)
