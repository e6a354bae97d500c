"""Language codes: many spellings in, one out.

```python
normalise("swh_Latn")   # "sw", as do "sw", "swa" and "swh"
name("sw")              # "Swahili"
match("sw", ["eng_Latn", "swh_Latn"])   # "swh_Latn": how somebody else spells it
```

The one spelling is the shortest BCP-47 tag that says the same: a macrolanguage for its standard member
(``ar`` for ``arb``, ``no`` for ``nob``), no script and no territory where it is the language's own. What differs
stays different: ``zh`` (simplified) and ``zh-Hant``, ``pt`` and ``pt-BR``, ``ar`` and ``ary`` (Moroccan).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from clearir.support.errors import InputError
from clearir.support.texts import clip

_NO_LANGUAGE = {"und", "mul", "mis", "zxx"}
# Where CLDR's standard member of a macrolanguage is not that of data sets: it folds Twi into Akan, and FLORES and NLLB
# have both; it has none for Norwegian, which nearly always is Bokmål; its Pashto is the northern one, and FLORES and
# NLLB have the southern one, and no other.
_OWN = {"tw": "tw", "twi": "tw", "nb": "no", "nob": "no", "pbt": "ps"}
# Scripts in the names of locales: sr@latin.
_MODIFIERS = {"@latin": "Latn", "@cyrillic": "Cyrl"}
# CLDR's "likely" Portuguese is Brazil's; data sets that write pt_BR mean by plain pt the other one.
_HOME = {"pt": "PT"}


def normalise(code: str) -> str:
    """The one spelling of a language code (BCP-47, ISO 639-1/-2/-3, FLORES, or a locale such as ``pt_BR``).

    Raises:
        InputError: no such language; the message says what it may have meant.
    """
    if not isinstance(code, str):
        raise InputError(f"language code {code!r} is not text; write a code such as 'sw' or 'swh_Latn'")
    return _normalise(code)


def name(code: str) -> str:
    """The English name, "Swahili" for ``sw``.

    Raises:
        InputError: no such language.
    """
    import langcodes

    return str(langcodes.Language.get(normalise(code), normalize=False).display_name())


def match(code: str, candidates: Iterable[str]) -> str | None:
    """The spelling of ``code`` among ``candidates`` (a translator's codes, a data set's columns), or None.

    Candidates that are no language codes are passed over.
    """
    wanted = normalise(code)
    return next((candidate for candidate in candidates if _known(candidate) == wanted), None)


def members(code: str) -> list[str]:
    """The codes that the one spelling ``code`` stands for besides, and that CLDR does not know of: nb for ``no``."""
    return [member for member, own in _OWN.items() if own == code != member]


@lru_cache(maxsize=4096)
def _normalise(code: str) -> str:
    tag = _parse(code)
    if tag is None:
        raise InputError(f"unknown language code {clip(code, 40)!r}; {_advice(code)}")
    return tag


@lru_cache(maxsize=4096)
def _known(code: str) -> str | None:
    return _parse(code)


def _parse(code: str) -> str | None:
    import langcodes

    text = code.strip().replace("_", "-")
    for modifier, script in _MODIFIERS.items():
        text = text.removesuffix(modifier) + (f"-{script}" if text.endswith(modifier) else "")
    try:
        own = _OWN.get(text.split("-")[0].casefold())
        tag = langcodes.Language.get(langcodes.standardize_tag(text, macro=True))
        language = own or tag.language
        if not tag.is_valid() or language is None or language in _NO_LANGUAGE or language.startswith("x-"):
            return None
        return _shortest(language, tag.script, tag.territory)
    except (LookupError, ValueError):  # what langcodes raises for unknown and for ill-formed codes
        return None


def _shortest(language: str, script: str | None, territory: str | None) -> str:
    """Leave out script and territory where they say nothing new."""
    own = _likely(language)
    if language == "zh":  # its territories stand for scripts: zh-TW is traditional
        script, territory = script or _likely(f"zh-{territory or 'CN'}").script, None
    home = _HOME.get(language, own.territory)
    parts = [language, None if script == own.script else script, None if territory == home else territory]
    return "-".join(part for part in parts if part)


def _likely(tag: str) -> Any:
    import langcodes

    return langcodes.Language.get(tag, normalize=False).maximize()


def _advice(code: str) -> str:
    meant = _parse(re.split(r"[^A-Za-z]", code.strip(), maxsplit=1)[0]) or _by_name(code.strip())
    if meant is not None:
        return f"did you mean {meant!r} ({name(meant)})?"
    return "write a BCP-47, ISO 639 or FLORES code such as 'sw', 'swa' or 'swh_Latn'"


def _by_name(text: str) -> str | None:
    """The code of the language whose name is ``text``, in English or in its own language, or nearly so."""
    import langcodes

    if not 3 < len(text) < 40 or not text.isprintable():  # the name table breaks on control characters
        return None
    try:
        return _known(str(langcodes.find(text)))
    except (LookupError, ValueError):
        near = difflib.get_close_matches(text.casefold(), _names(), n=1, cutoff=0.75)
        return _names()[near[0]] if near else None


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """English names, casefolded, of the languages with a two-letter code."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    codes = [code for a in letters for b in letters if (code := _known(a + b)) is not None]
    return {name(code).casefold(): code for code in codes}


def language_name(code: str) -> str:
    """The English name of a language, or the code itself where it is none."""
    try:
        return name(code)
    except InputError:
        return code
