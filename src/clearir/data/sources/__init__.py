"""Where rows come from: one module a kind of source, each with a generator ``read(path, ...)``.

```python
rows = Rows.collect(read("squad", "MLQA_V1/dev", languages=["de", "hi"]), source="MLQA_V1/dev")
```
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.support import languages as codes
from clearir.support.errors import InputError

_MODULES = {
    "table": "tables",
    "hub": "hub",
    "squad": "squad",
    "afriqa": "afriqa",
    "help-html": "help_html",
    "mallard": "mallard",
    "debian-help": "debian_help",
    "debian": "debian",
    "beir": "beir",
}
KINDS = tuple(_MODULES)
HELP = ("help-html", "mallard", "debian-help")  # kinds whose passages are sections of help pages
_FETCHED = {"debian": "debian", "debian-help": "help"}  # kinds that can be fetched -> the folder of a run for them


def read(kind: str, path: Any, /, *, languages: Iterable[str] | None = None, **options: Any) -> Iterator[Row]:
    """Rows of a source.

    Args:
        kind: one of `KINDS`.
        path: what the kind reads: a file, a folder, a name on the Hub.
        languages: target languages to keep, all by default. Rows without a target language are kept.
        options: of the kind's own ``read``. None and an empty mapping stand for an option that is not given, so a
            recipe can hand over all it has.

    Raises:
        InputError: no such kind or option; and what the kind's ``read`` raises.
    """
    if kind not in _MODULES:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"no source of kind {kind!r}; {hint}The kinds are {', '.join(KINDS)}")
    reader = module(kind).read
    known = list(inspect.signature(reader).parameters)[1:]
    given = {name: value for name, value in options.items() if value is not None and (value != {} or name == "skipped")}
    for name, value in list(given.items()):
        if name == "bridge" and name not in known and codes.normalise(value) == "en":
            del given[name]  # sources with a bridge of their own
        elif name not in known:
            raise InputError(f"a source of kind {kind!r} has no option {name!r}; it has {', '.join(known)}")
    if "languages" in known:
        rows: Iterator[Row] = reader(path, languages=languages, **given)
        return rows
    return _only(reader(path, **given), languages)


def module(kind: str) -> Any:
    """The module of a kind of source."""
    return import_module(f"{__name__}.{_MODULES[kind]}")


def fetch(kind: str, output: str | Path, languages: Iterable[str] | None) -> str | None:
    """Fetch a source that can be fetched into a folder of a run, unless it is there.

    Returns:
        the path to read; None for a kind that cannot be fetched.

    Raises:
        InputError: it cannot be fetched here.
    """
    if kind not in _FETCHED:
        return None
    folder = Path(output) / _FETCHED[kind]
    module(kind).fetch(folder, languages or [])
    return str(folder)


def _only(rows: Iterator[Row], languages: Iterable[str] | None) -> Iterator[Row]:
    if languages is None:
        return rows
    wanted = {codes.normalise(code) for code in languages}
    return (row for row in rows if row.language is None or row.language in wanted)
