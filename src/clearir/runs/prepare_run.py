"""From rows of any source to a data set that is ready to train on, in stages that resume.

```python
rows = Rows.collect(read("squad", "mlqa/dev", languages=["en"]))
done = prepare(
    rows,
    Path("prepared"),
    PrepareSettings(languages=["es"], model="BAAI/bge-m3"),
    translator=load_translator("command", command="apertium -u eng-spa"),
)
datasets.load_dataset("prepared")
```

The stages: translate (where target queries are missing), filter, decontaminate, split, mine (the training part).
Each is a function of its own (`translate_rows`, `filter_rows`, `decontaminate`, `split`, `mine`). Here each leaves its
rows in a working folder; a run that was killed, or that has a new threshold, goes on from the last stage that is
still right, with finished translations and embeddings out of their caches, and ends with the same bytes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.filters import Filtered, FilterSettings, filter_rows
from clearir.data.rows import Row, Rows
from clearir.data.translate import Translator, translate_rows
from clearir.models.load import content_of
from clearir.settings import HeldOut, MineSettings, PromptSettings, Settings
from clearir.support.artifacts import MANIFEST, fingerprint, is_due, read_json, run_stage
from clearir.support.errors import InputError
from clearir.support.extras import require
from clearir.support.languages import normalise
from clearir.support.locks import alone

if TYPE_CHECKING:
    from clearir.training.mine import Mined

logger = logging.getLogger(__name__)

#: translations of each language that are kept to be looked at
TRANSLATIONS = 3
_SHARD = 100_000  # rows a file
_WHOLE = 10  # rows of a language from which on it does not disappear by itself
#: settings that no row depends on, beside the model, which is known by its content
_IDLE = {"model", "trust_remote_code"}
_OF_MINING = {"mine", "prompts", "max_seq_length"}
_Rows = tuple[Row, ...]
_Facts = dict[str, Any]


class PrepareSettings(Settings):
    """What `prepare` does.

    Attributes:
        languages: to translate the queries of rows into that have no target query and name no language.
        filter: see `FilterSettings`; None leaves filtering out.
        test: rows held out for evaluation: a share of each language's, a number, or either by language.
        dev: rows held out to watch training with; likewise.
        model: finds the negatives: Hub name, folder, or ``python:PACKAGE/folder``; None leaves mining out.
        mine: see `MineSettings`.
        prompts: put before queries and passages when mining.
        max_seq_length: tokens of a text that the model reads when mining; None: its own limit.
        trust_remote_code: run code that comes with the model.
        seed: of all that is drawn.
    """

    languages: tuple[str, ...] = ()
    filter: FilterSettings | None = FilterSettings()
    test: HeldOut = 0.0
    dev: HeldOut = 0.0
    model: str | None = None
    mine: MineSettings = MineSettings()
    prompts: PromptSettings = PromptSettings()
    max_seq_length: int | None = None
    trust_remote_code: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """A prepared folder.

    Attributes:
        folder: Parquet files, card and manifest.
        facts: what the stages did, as the manifest has it: ``splits`` (split -> language -> rows), ``read``,
            ``left_out``, ``translated``, ``filtered`` (a list of reason, rows, examples), ``identified`` (whether
            the filter identified languages), ``decontaminated`` and ``mined`` (None: that stage had nothing to do),
            ``translations`` (language -> the first `TRANSLATIONS` pairs of query and target query).
        new: False if it was there already.
    """

    folder: Path
    facts: Mapping[str, Any]
    new: bool

    @property
    def dropped(self) -> dict[str, int]:
        """How many rows were dropped for which reason, at reading and by every stage; the commonest first."""
        counts = Counter(self.facts["left_out"])
        counts.update({one["reason"]: one["rows"] for one in self.facts["filtered"]})
        counts.update((self.facts["decontaminated"] or {}).get("dropped", {}))
        return dict(counts.most_common())


def prepare(
    rows: Sequence[Row],
    output: Path,
    settings: PrepareSettings | None = None,
    *,
    translator: Translator | None = None,
    against: Mapping[str, Sequence[str]] | None = None,
    left_out: Mapping[str, int] | None = None,
    work: Path | None = None,
    overwrite: bool = False,
) -> Prepared:
    """Make the folder ``output`` of ``rows``.

    Args:
        rows: of any source, with target queries or without.
        output: gets ``data/SPLIT-*.parquet`` (which ``datasets.load_dataset(output)`` reads), ``README.md``,
            ``scores.png`` and ``manifest.json``; it appears when all is done.
        settings: of the stages.
        translator: makes target queries; needed if some row has none.
        against: evaluation sets, by name, each as its texts: training rows with one of them are dropped.
        left_out: rows that the reader left out, by reason, for the card.
        work: folder of the stages and of the caches; by default hidden beside the output. It may be deleted.
        overwrite: replace an output that other rows or settings made.

    Raises:
        InputError: target queries are missing and there is no translator, nothing is left, or a stage cannot do what
            is asked.
    """
    settings = settings or PrepareSettings()
    rows, left_out, against = tuple(rows), dict(left_out or {}), against or {}
    key: _Facts = {
        "rows": _rows_fingerprint(rows),
        "left_out": left_out,
        "translator": None if translator is None else translator.identity,
        "against": {name: fingerprint(list(texts)) for name, texts in against.items()},
        "model": content_of(settings.model) if settings.model is not None and settings.mine.mines else None,
        **settings.model_dump(mode="json", exclude=_IDLE | (set() if settings.model else _OF_MINING)),
        "identifies": settings.filter is not None and settings.filter.identifies,
    }
    with alone(output):
        if new := is_due(output, key, overwrite=overwrite):  # before the work, not after it
            _check(rows, settings)
            line = _Line(rows, key["rows"], work or output.parent / f".{output.name}.work", settings)
            line.translate(translator)
            line.filter()
            line.decontaminate(against)
            line.split()
            line.mine(key["model"])
            facts = {"read": len(rows), "left_out": left_out, **line.facts}
            run_stage(output, key, lambda folder: _write(folder, output.name, line.parts, facts), overwrite=overwrite)
    return Prepared(output, read_json(output / MANIFEST)["result"], new)


def _check(rows: _Rows, settings: PrepareSettings) -> None:
    """Say before the first stage what a later one would stop at."""
    if settings.filter is not None and settings.filter.identifies:
        require("py3langid", "langid")
    there = {row.language or row.bridge for row in rows} | {normalise(code) for code in settings.languages}
    for name, size in (("test", settings.test), ("dev", settings.dev)):
        missing = [code for code in size if code not in there] if isinstance(size, Mapping) else []
        if missing:
            raise InputError(f"{name}: no rows in {missing[0]!r}; there are rows in {', '.join(sorted(there))}")


class _Line:
    """Rows on their way through the stages; each stage leaves them, and what it did, in a folder of its own."""

    def __init__(self, rows: _Rows, chain: str, work: Path, settings: PrepareSettings) -> None:
        self.parts: dict[str, _Rows] = {"rows": rows}
        self.facts: _Facts = {}
        self._chain, self._work, self._settings = chain, work, settings

    def translate(self, translator: Translator | None) -> None:
        """Target queries for the rows that have none."""
        rows = self.parts["rows"]
        open_rows = [number for number, row in enumerate(rows, start=1) if row.target_query is None]
        if not open_rows:
            self.facts["translated"] = None
            return
        if translator is None:
            raise InputError(
                f"{len(open_rows)} of {len(rows)} rows have no target query (the first: row {open_rows[0]}), and no"
                " translator is given; name one (backend command, hf or openai) or read rows that have target queries"
            )
        asked = {"languages": self._settings.languages, "translator": translator.identity}

        def make() -> tuple[dict[str, _Rows], _Facts]:
            done = translate_rows(rows, translator, self._settings.languages, cache=self._work / "translations.sqlite3")
            return {"rows": done.rows}, {"rows": done.translated, "by": translator.identity}

        self._stage("translated", asked, make)

    def filter(self) -> None:
        """Drop the rows that fail a check."""
        rows, translated, settings = self.parts["rows"], self.facts["translated"] is not None, self._settings.filter
        if settings is None:
            self.facts |= {"identified": None, "filtered": []}
            return
        asked = {
            "filter": settings.model_dump(mode="json"),
            "translated": translated,
            "identifies": settings.identifies,
        }

        def make() -> tuple[dict[str, _Rows], _Facts]:
            done = filter_rows(rows, settings, translated=translated)
            if not done.rows:
                reasons = ", ".join(f"{reason} ({dropped.count})" for reason, dropped in done.dropped.items())
                raise InputError(f"the filter dropped all {len(rows)} rows: {reasons}; look at them or loosen it")
            _check_languages(rows, done)
            return {"rows": done.rows}, {"table": done.table(), "identified": settings.identifies}

        self._stage("filtered", asked, make)
        self.facts |= {"identified": self.facts["filtered"]["identified"], "filtered": self.facts["filtered"]["table"]}

    def decontaminate(self, against: Mapping[str, Sequence[str]]) -> None:
        """Drop rows that stand in an evaluation set."""
        if not against:
            self.facts["decontaminated"] = None
            return
        rows = self.parts["rows"]
        asked = {"against": {name: fingerprint(list(texts)) for name, texts in against.items()}}

        def make() -> tuple[dict[str, _Rows], _Facts]:
            from clearir.data.split import decontaminate

            left, dropped = decontaminate(rows, [text for texts in against.values() for text in texts])
            if not left:
                raise InputError(
                    f"all {len(rows)} rows stand in {', '.join(against)}; take other rows, or leave decontaminate out"
                )
            return {"rows": left}, {"against": list(against), "dropped": dropped}

        self._stage("decontaminated", asked, make)

    def split(self) -> None:
        """Hold rows out, by passage."""
        rows, settings = self.parts["rows"], self._settings
        asked = settings.model_dump(mode="json", include={"test", "dev", "seed"})

        def make() -> tuple[dict[str, _Rows], _Facts]:
            if not settings.test and not settings.dev:
                return {"train": rows, "dev": (), "test": ()}, {}
            from clearir.data.split import split

            held = split(rows, test=settings.test, dev=settings.dev, seed=settings.seed)
            return {"train": held.train, "dev": held.dev, "test": held.test}, {}

        self._stage("split", asked, make)
        del self.facts["split"]

    def mine(self, model: str | None) -> None:
        """Negatives for the training rows."""
        settings = self._settings
        if settings.model is None or not settings.mine.mines:
            self.facts["mined"] = None
            return
        parts = self.parts
        asked = {
            "model": model,
            **settings.model_dump(mode="json", include={"mine", "prompts", "max_seq_length", "seed"}),
        }

        def make() -> tuple[dict[str, _Rows], _Facts]:
            from clearir.report.data_card import histogram

            found = self._mine(parts["train"])
            facts = {
                "model": _shown(settings.model),
                "window": settings.mine.window,
                "mine_target": settings.mine.mine_target,
                "negatives": [settings.mine.negatives, settings.mine.target_negatives],
                "topped_up": [found.topped_up_passages, found.topped_up_queries],
                "histograms": {name: histogram(scores) for name, scores in found.scores.items()},
            }
            return {**parts, "train": found.rows}, facts

        self._stage("mined", asked, make)

    def _mine(self, rows: _Rows) -> Mined:
        from clearir.models.any_kind import load_any
        from clearir.training.mine import mine

        settings = self._settings
        network = load_any(
            str(settings.model),
            max_seq_length=settings.max_seq_length,
            query_prompt=settings.prompts.query,
            passage_prompt=settings.prompts.passage,
            trust_remote_code=settings.trust_remote_code,
        )
        return mine(rows, network, settings.mine, seed=settings.seed, cache=self._work / "embeddings")

    def _stage(self, name: str, asked: Mapping[str, Any], make: Callable[[], tuple[dict[str, _Rows], _Facts]]) -> None:
        key = {"stage": name, "before": self._chain, **asked}

        def write(folder: Path) -> _Facts:
            parts, facts = make()
            for part, rows in parts.items():
                Rows(rows).to_parquet(folder / f"{part}.parquet")
            return {"parts": list(parts), "facts": facts}

        run_stage(self._work / name, key, write, overwrite=True)
        result = read_json(self._work / name / MANIFEST)["result"]
        self.parts = {part: Rows.from_parquet(self._work / name / f"{part}.parquet").rows for part in result["parts"]}
        self.facts[name] = result["facts"]
        self._chain = fingerprint(key)


def _check_languages(rows: Sequence[Row], done: Filtered) -> None:
    """Say where so much of a language was dropped that it is more likely another one.

    Raises:
        InputError: a language is gone.
    """
    for language, count in Counter(row.language for row in rows if row.language).items():
        reasons = {
            why: dropped.languages[language] for why, dropped in done.dropped.items() if language in dropped.languages
        }
        lost = sum(reasons.values())
        words = ", ".join(f"{why} {number}" for why, number in reasons.items())
        text = f"the filter dropped {lost} of the {count} rows in {language} ({words}); look if that is their language"
        if lost == count >= _WHOLE:
            raise InputError(f"{text}, and correct it; filter=null keeps the rows as they are")
        if 2 * lost > count:
            logger.warning(text)


def _write(folder: Path, name: str, parts: Mapping[str, _Rows], facts: _Facts) -> _Facts:
    """The output: Parquet, picture, card; returns the facts for the manifest."""
    from clearir.report.data_card import PICTURE, data_card, draw_scores

    (folder / "data").mkdir()
    most = max((len(row.negatives) for row in parts["train"]), default=0)
    most_target = max((len(row.target_negatives) for row in parts["train"]), default=0)
    for split, rows in parts.items():
        shards = [rows[start : start + _SHARD] for start in range(0, len(rows), _SHARD)]
        for number, shard in enumerate(shards):
            path = folder / "data" / f"{split}-{number:05}-of-{len(shards):05}.parquet"
            _write_shard(shard, path, most, most_target)
    every = [row for rows in parts.values() for row in rows]
    facts["bridges"] = sorted({row.bridge for row in every})
    facts["splits"] = {
        split: dict(sorted(Counter(row.language or "" for row in rows).items())) for split, rows in parts.items()
    }
    facts["translations"] = _translations(every)
    if facts["mined"] is not None:
        draw_scores(facts["mined"]["histograms"], folder / PICTURE)
    (folder / "README.md").write_text(data_card(name, facts), encoding="utf-8")
    return facts


def _translations(rows: Sequence[Row]) -> dict[str, list[list[str]]]:
    """Of each language the first different pairs of query and target query."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for row in rows:
        if row.target_query is not None:
            pairs = found.setdefault(row.language or "", {})
            if len(pairs) < TRANSLATIONS:
                pairs[row.query, row.target_query] = None
    return {language: [list(pair) for pair in found[language]] for language in sorted(found)}


def _write_shard(rows: _Rows, path: Path, negatives: int, target_negatives: int) -> None:
    """All files have all columns; `datasets` refuses splits whose columns differ."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    Rows(rows).to_parquet(path)
    table = pq.read_table(path)
    first = ["query", "passage", *(f"negative_{i + 1}" for i in range(negatives)), "target_query"]
    first += [f"target_negative_{i + 1}" for i in range(target_negatives)]
    order = [*first, *(name for name in table.column_names if name not in first)]
    if order == table.column_names:
        return
    for name in set(order) - set(table.column_names):
        table = table.append_column(name, pa.nulls(len(rows), pa.string()))
    pq.write_table(table.select(order), path, compression="zstd")


def _rows_fingerprint(rows: _Rows) -> str:
    return fingerprint([astuple(row) for row in rows])


def _shown(model: str | None) -> str:
    return Path(model).resolve().name if model is not None and Path(model).is_dir() else str(model)
