"""The writing systems of languages."""

from __future__ import annotations

import unicodedata


def share_in_script(text: str, language: str) -> float | None:
    """Share of a text's letters in the language's own script; None without letters, or where that is not known."""
    wanted = scripts_of(language)
    letters = [char for char in text if char.isalpha()]
    if not letters or not wanted:
        return None
    return sum(unicodedata.name(char, "").startswith(wanted) for char in letters) / len(letters)


def scripts_of(language: str) -> tuple[str, ...] | None:
    """How Unicode's names of a language's letters begin; None where its script is not known.

    ``("CYRILLIC",)`` for ``uk``, ``("HIRAGANA", "KATAKANA", "CJK")`` for ``ja``, ``("LATIN",)`` for ``sr-Latn``.
    """
    import langcodes

    return _SCRIPTS.get(langcodes.Language.get(language, normalize=False).maximize().script or "")


_SCRIPTS = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hans": ("CJK",),
    "Hant": ("CJK", "BOPOMOFO"),
    "Hebr": ("HEBREW",),
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK"),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Kore": ("HANGUL", "CJK"),
    "Laoo": ("LAO",),
    "Latn": ("LATIN",),
    "Mlym": ("MALAYALAM",),
    "Mong": ("MONGOLIAN",),
    "Mymr": ("MYANMAR",),
    "Nkoo": ("NKO",),
    "Olck": ("OL CHIKI",),
    "Orya": ("ORIYA",),
    "Sinh": ("SINHALA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Tfng": ("TIFINAGH",),
    "Thaa": ("THAANA",),
    "Thai": ("THAI",),
    "Tibt": ("TIBETAN",),
}
