"""Which language a text is in, by py3langid (extra ``langid``)."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from importlib.util import find_spec

from clearir.support import languages
from clearir.support.errors import InputError
from clearir.support.extras import require


def is_installed() -> bool:
    """Whether there is something to identify languages with."""
    return find_spec("py3langid") is not None


@lru_cache(maxsize=1)
def identifier() -> Identifier:
    """The identifier, read once (a second or more).

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    return Identifier()


class Identifier:
    """Tells languages in their own script; see `identifier`. Serbian in Latin letters it has not learned."""

    def __init__(self) -> None:
        langid = require("py3langid.langid", "langid")
        self._model = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
        self._codes: dict[str, str] = {}
        for label in map(str, self._model.labels):
            try:
                self._codes[label] = _base(label)
            except InputError:  # zxx, which is no language
                continue
        self._known = set(self._codes.values())

    def knows(self, language: str) -> bool:
        """Whether it has learned a language, in the script in which it is written."""
        parts = languages.normalise(language).split("-")
        return parts[0] in self._known and not any(len(part) == 4 for part in parts[1:])

    def shares(self, text: str) -> dict[str, float]:
        """The probability of each language, the likeliest first; none where a text has no letters."""
        if not any(map(str.isalpha, text)):
            return {}
        found: dict[str, float] = defaultdict(float)
        for label, share in self._model.rank(text):
            if str(label) in self._codes:
                found[self._codes[str(label)]] += float(share)
        return found


def _base(language: str) -> str:
    return languages.normalise(language).partition("-")[0]
