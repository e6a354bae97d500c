"""From English-only rows to rows with target queries.

```python
apertium = load_translator("command", command="apertium -u eng-spa")
done = translate_rows(rows, apertium, ["es"], cache="translations.sqlite3")
done.rows                # every row has a target query
```

Three backends, one protocol (`Translator`): ``hf`` (a seq2seq model), ``command`` (any program that answers line by
line) and ``openai`` (any endpoint that speaks that protocol). Finished translations are kept in a cache on disk.
"""

from __future__ import annotations

from typing import Any

from clearir.data.translate.base import Translator, flatten
from clearir.data.translate.cache import TranslationCache
from clearir.data.translate.command import CommandTranslator
from clearir.data.translate.hf import HFTranslator
from clearir.data.translate.openai import OpenAITranslator
from clearir.data.translate.row_translation import Translated, translate_rows, translate_texts
from clearir.support.errors import InputError

__all__ = [
    "CommandTranslator",
    "HFTranslator",
    "OpenAITranslator",
    "Translated",
    "TranslationCache",
    "Translator",
    "flatten",
    "load_translator",
    "translate_rows",
    "translate_texts",
]

_BACKENDS: dict[str, type[CommandTranslator | HFTranslator | OpenAITranslator]] = {
    "command": CommandTranslator,
    "hf": HFTranslator,
    "openai": OpenAITranslator,
}


def load_translator(backend: str, /, **options: Any) -> Translator:
    """Make a translator: ``backend`` is ``"hf"``, ``"command"`` or ``"openai"``, ``options`` are its arguments.

    Raises:
        InputError: no such backend, or an argument that it does not have or does not get.
    """
    if backend not in _BACKENDS:
        raise InputError(f"no translation backend {backend!r}; there are {', '.join(_BACKENDS)}")
    kind = _BACKENDS[backend]
    known = [name for name in kind.__dataclass_fields__ if not name.startswith("_")]
    for name in options:
        if name not in known:
            raise InputError(f"the {backend} backend has no option {name!r}; it has {', '.join(known)}")
    try:
        return kind(**options)
    except TypeError as error:
        raise InputError(f"the {backend} backend: {error}".replace("__init__() ", "")) from error
