"""The writing systems of languages and of letters, as ISO 15924 codes."""

from __future__ import annotations

import unicodedata
from functools import cache

#: codes that stand for several of Unicode's scripts
_SEVERAL = {
    "Hans": ("Hani",),
    "Hant": ("Hani", "Bopo"),
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang", "Hani"),
}
#: common, inherited and unknown: of no script of its own
_NONE = {"Zyyy", "Zinh", "Zzzz"}


def share_in_script(text: str, language: str) -> float | None:
    """Share of a text's letters in the language's own script; None without letters, or where that is not known.

    Letters that all scripts share do not count.
    """
    wanted = scripts_of(language)
    letters = [scripts for char in text if char.isalpha() and (scripts := _extensions(char))]
    if not letters or not wanted:
        return None
    return sum(not wanted.isdisjoint(scripts) for scripts in letters) / len(letters)


def scripts_of(language: str) -> frozenset[str] | None:
    """The scripts that a language is written in; None where that is not known.

    ``{"Cyrl"}`` for ``uk``, ``{"Hira", "Kana", "Hani"}`` for ``ja``, ``{"Latn"}`` for ``sr-Latn``.
    """
    import langcodes
    from fontTools.unicodedata import script_name

    code = langcodes.Language.get(language, normalize=False).maximize().script or ""
    found = frozenset(_SEVERAL.get(code, (code,))) - _NONE
    return found if found and all(script_name(one, "") for one in found) else None


@cache
def script_of(character: str) -> str | None:
    """The script of a letter or of a sign above or below one: ``"Deva"``; None of other characters.

    What several scripts share, such as accents that combine, has none.
    """
    from fontTools.unicodedata import script

    if unicodedata.category(character)[0] not in "LM":
        return None
    found: str = script(character)
    return None if found in _NONE else found


@cache
def _extensions(character: str) -> frozenset[str]:
    """The scripts that a letter is used in (Unicode's Script_Extensions); none where these are all."""
    from fontTools.unicodedata import script_extension

    return frozenset(script_extension(character)) - _NONE
