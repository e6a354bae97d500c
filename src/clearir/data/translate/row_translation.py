"""Translate texts and rows: each distinct text once, cached, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.translate.base import Translator, flatten
from clearir.data.translate.cache import TranslationCache
from clearir.support.errors import InputError
from clearir.support.languages import name, normalise
from clearir.support.progress import task


@dataclass(frozen=True)
class Translated:
    """Rows that all have a target query.

    Attributes:
        rows: in order; a row without target language has become one row for each language asked for.
        translated: target queries that were made, the cached ones too.
    """

    rows: tuple[Row, ...]
    translated: int


def translate_rows(
    rows: Sequence[Row],
    translator: Translator,
    languages: Sequence[str] = (),
    *,
    cache: str | Path | None = None,
) -> Translated:
    """Give every row a target query, the translation of its query.

    Rows that have one stay as they are. Rows that name their language only are translated into it; all others into
    each of ``languages``.

    Args:
        rows: of any bridge languages.
        translator: see `Translator`.
        languages: target languages, any spelling of their codes.
        cache: SQLite file of finished translations.

    Raises:
        InputError: a row names no language and ``languages`` is empty; a language is the bridge itself; the backend
            cannot do what is asked.
    """
    wanted = list(dict.fromkeys(normalise(language) for language in languages))
    open_rows: list[Row] = []
    texts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for number, row in enumerate(rows, start=1):
        targets = [row.language] if row.language is not None else wanted
        if row.target_query is not None or not targets:
            if row.target_query is None:
                raise InputError(
                    f"row {number} has no target query and no language; name the languages to translate into"
                )
            open_rows.append(row)
            continue
        for target in targets:
            if target == normalise(row.bridge):
                raise InputError(f"row {number}: cannot translate {name(target)} into itself; leave {target!r} out")
            texts[row.bridge, target][row.query] = None
            open_rows.append(replace(row, language=target))
    found = {
        (bridge, target): dict(
            zip(queries, translate_texts(list(queries), translator, bridge, target, cache=cache), strict=True)
        )
        for (bridge, target), queries in texts.items()
    }
    done = tuple(
        row
        if row.target_query is not None
        else replace(row, target_query=found[row.bridge, str(row.language)][row.query])
        for row in open_rows
    )
    return Translated(done, sum(row.target_query is None for row in open_rows))


def translate_texts(
    texts: Sequence[str], translator: Translator, source: str, target: str, *, cache: str | Path | None = None
) -> list[str]:
    """Translate texts, one translation each, in order; an empty text stays empty.

    Each distinct text is translated once, longest first (so batches are even and a text that is too much for the
    machine shows at once). The batches depend on the texts alone: a run that was killed and goes on makes the same.

    Raises:
        InputError: the backend cannot do what is asked, or answers more or fewer texts than it got.
    """
    flat = [flatten(text) for text in texts]
    distinct = sorted(set(flat) - {""}, key=lambda text: (-len(text), text))
    store = None if cache is None else TranslationCache(cache)
    known = {} if store is None else store.get(translator.identity, source, target, distinct)
    missing = [text for text in distinct if text not in known]
    with task(f"Translating {name(source)} into {name(target)}", len(distinct)) as advance:
        advance(len(known))
        for start in range(0, len(missing), translator.batch_size):
            batch = missing[start : start + translator.batch_size]
            answers = [flatten(answer) for answer in translator.translate(batch, source, target)]
            if len(answers) != len(batch):
                raise InputError(f"{translator.identity}: {len(answers)} translations of {len(batch)} texts")
            finished = dict(zip(batch, answers, strict=True))
            if store is not None:
                store.put(translator.identity, source, target, finished)
            known |= finished
            advance(len(batch))
    return [known[text] if text else "" for text in flat]
