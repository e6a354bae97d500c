"""Scores: one value a query and metric, in every direction and pool; JSON in and out.

A mean is never stored: it is computed from the values of the queries, so that every figure can be traced to them and
two models are always compared on the same queries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clearir.evaluation import metrics as measure
from clearir.support.artifacts import atomic_file, read_json
from clearir.support.errors import InputError

FORMAT = "clearir-scores/1"
TEXTS_FORMAT = "clearir-texts/1"
MAIN_METRIC = measure.SHOWN[measure.RETRIEVAL][0]
ALL = "all"


@dataclass(frozen=True)
class Direction:
    """What the queries of one language score on one corpus: the passages of one language, or a pool of several.

    All lists have one entry a query, in the same order.

    Attributes:
        query_language: of the queries.
        passage_language: of the passages; ``en+de`` for a pool of two, ``all`` for a pool of all languages.
        corpus_size: number of passages that were ranked.
        query_ids: which queries; the same id is the same question in every language.
        gold: id of a relevant passage of each query.
        values: metric -> a value a query.
        ranks: rank of the first relevant passage, from 1, over the whole corpus.
        top: ids of the first three passages. In a pool an id is written ``language:id``.
    """

    query_language: str
    passage_language: str
    corpus_size: int
    query_ids: list[str]
    gold: list[str]
    values: dict[str, list[float]]
    ranks: list[int]
    top: list[list[str]]

    @property
    def name(self) -> str:
        """``de->en``, ``de->en+de``, ``de->all``."""
        return f"{self.query_language}->{self.passage_language}"

    def mean(self, metric: str = MAIN_METRIC, query_ids: Collection[str] | None = None) -> float:
        """Mean over the queries, or over those of them that are in ``query_ids``.

        Raises:
            InputError: the metric was not computed, or none of the queries is here.
        """
        values = self.column(metric)
        if query_ids is not None:
            wanted = set(query_ids)
            values = [value for query, value in zip(self.query_ids, values, strict=True) if query in wanted]
        if not values:
            raise InputError(f"{self.name}: none of the given queries was scored in this direction")
        return sum(values) / len(values)

    def select(self, query_ids: Collection[str]) -> Direction:
        """The same direction with some of its queries alone."""
        kept = set(query_ids)
        rows = [n for n, query in enumerate(self.query_ids) if query in kept]
        return replace(
            self,
            query_ids=[self.query_ids[n] for n in rows],
            gold=[self.gold[n] for n in rows],
            values={metric: [values[n] for n in rows] for metric, values in self.values.items()},
            ranks=[self.ranks[n] for n in rows],
            top=[self.top[n] for n in rows],
        )

    @property
    def means(self) -> dict[str, float]:
        """Metric -> mean over all queries."""
        return {metric: self.mean(metric) for metric in self.values}

    def column(self, metric: str) -> list[float]:
        """The values of a metric, one a query.

        Raises:
            InputError: it was not computed.
        """
        if metric not in self.values:
            raise InputError(f"{self.name} has no metric {metric!r}; there are {', '.join(sorted(self.values))}")
        return self.values[metric]


@dataclass(frozen=True)
class Scores:
    """What one model scores on one suite.

    Attributes:
        suite: name of the suite.
        suite_hash: fingerprint of its texts and relevance.
        model: as the user named it.
        model_hash: fingerprint of its weights.
        bridge: the language in the middle.
        directions: ``de->en`` -> Direction.
        pools: ``de->en+de`` and ``de->all`` -> Direction.
        clusters: query id -> the passage that ties it to other queries: what a resampling keeps together.
        environment: versions, machine, time.
        settings: prompts, maximal length, languages and the rest of what the values depend on.
        task: of the suite, one of `clearir.evaluation.metrics.TASKS`.
    """

    suite: str
    suite_hash: str
    model: str
    model_hash: str
    bridge: str
    directions: dict[str, Direction]
    pools: dict[str, Direction] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    task: str = measure.RETRIEVAL

    @property
    def main_metric(self) -> str:
        """What reports show, and what models are compared by."""
        return measure.SHOWN[self.task][0]

    def direction(self, name: str) -> Direction:
        """The direction or pool of that name.

        Raises:
            InputError: there is none.
        """
        found = self.directions.get(name) or self.pools.get(name)
        if found is None:
            known = ", ".join([*self.directions, *self.pools])
            raise InputError(f"the scores of {self.model} on {self.suite} have no {name}; there are: {known}")
        return found

    def mean(self, direction: str, metric: str | None = None, query_ids: Collection[str] | None = None) -> float:
        """Mean of one direction or pool, of `main_metric` unless said; see `Direction.mean`."""
        return self.direction(direction).mean(metric or self.main_metric, query_ids)

    def common(self) -> Scores:
        """The same scores over those queries alone that every direction has, so that directions can be compared.

        Raises:
            InputError: there is no such query.
        """
        shared = set.intersection(*(set(direction.query_ids) for direction in self.directions.values()))
        if not shared:
            raise InputError(f"{self.suite}: no query is in every direction; evaluate fewer languages")
        return replace(
            self,
            directions={name: direction.select(shared) for name, direction in self.directions.items()},
            pools={name: direction.select(shared) for name, direction in self.pools.items()},
        )

    @property
    def languages(self) -> list[str]:
        """Languages of queries and passages, the bridge first."""
        found = {d.query_language for d in self.directions.values()}
        found |= {d.passage_language for d in self.directions.values()}
        return sorted(found, key=lambda language: (language != self.bridge, language))

    def summary(self, metric: str | None = None) -> dict[str, float]:
        """Means of the kinds of direction there are: ``en->en``, ``x->en``, ``en->x``, ``x->x``, ``x->y``.

        Of `main_metric` unless said.
        Every direction counts the same. ``x->x`` is within one target language, ``x->y`` between two.
        """
        kinds: dict[str, list[float]] = {kind: [] for kind in kinds_of_direction(self.bridge)}
        for direction in self.directions.values():
            kinds[kind_of_direction(direction, self.bridge)].append(direction.mean(metric or self.main_metric))
        return {kind: sum(values) / len(values) for kind, values in kinds.items() if values}

    def mixed(self, metrics: Sequence[str]) -> dict[str, float]:
        """Means over target languages, of their queries on the pool of all languages; nothing where it was not scored.

        Every language counts the same.
        """
        of_all = [pool for pool in self.pools.values() if pool.passage_language == ALL]
        found = [pool for pool in of_all if pool.query_language != self.bridge]
        return {metric: sum(pool.mean(metric) for pool in found) / len(found) for metric in metrics if found}

    def save(self, path: Path) -> None:
        """Write as JSON, atomically; one line a direction."""
        head = {"format": FORMAT} | {
            key: value for key, value in asdict(self).items() if key not in ("directions", "pools")
        }
        lines = [json.dumps(head, ensure_ascii=False)[:-1]]
        for part in ("directions", "pools"):
            items = getattr(self, part).items()
            body = ",\n".join(f"{json.dumps(name)}: {_compact(asdict(direction))}" for name, direction in items)
            lines.append(f'"{part}": {{\n{body}\n}}')
        with atomic_file(path) as temporary:
            temporary.write_text(",\n".join(lines) + "\n}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no file of scores.
        """
        document = _document(path, FORMAT, "clearir evaluate")
        try:
            scores = TypeAdapter(cls).validate_python(document)
            for direction in [*scores.directions.values(), *scores.pools.values()]:
                _check(direction)
        except ValueError as error:  # pydantic's are of this kind, too
            reason = _first_of(error)
            raise InputError(f"{path}: scores with a part missing or wrong ({reason}); evaluate again") from error
        return scores


@dataclass(frozen=True)
class Texts:
    """The texts behind the ids of `Scores`, in a file of their own: what a report shows without model or suite.

    Attributes:
        queries: language -> query id -> text.
        passages: language -> passage id -> text. The id of a pool, ``de:p7``, is language ``de``, id ``p7``.
    """

    queries: dict[str, dict[str, str]]
    passages: dict[str, dict[str, str]]

    def passage(self, identifier: str, passage_language: str) -> str | None:
        """Text of a passage id out of `Direction.top` or `Direction.gold`; None if it is not kept here."""
        if passage_language not in self.passages:  # a pool
            passage_language, _, identifier = identifier.partition(":")
        return self.passages.get(passage_language, {}).get(identifier)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        with atomic_file(path) as temporary:
            temporary.write_text(_compact({"format": TEXTS_FORMAT, **asdict(self)}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Texts:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no file of texts.
        """
        document = _document(path, TEXTS_FORMAT, "clearir evaluate")
        try:
            return TypeAdapter(cls).validate_python(document)
        except ValidationError as error:
            reason = _first_of(error)
            raise InputError(f"{path}: texts with a part missing or wrong ({reason}); evaluate again") from error


def read_scores(paths: Sequence[Path]) -> dict[Path, Scores]:
    """The scores in files and folders, by file; the baseline first.

    In a folder, which may also be that of a run, ``before.json`` is the baseline, else what was scored first. Files of
    `Texts`, which lie beside the scores, are passed over.

    Raises:
        InputError: a path that is not there, a file of something else, or a folder without scores.
    """
    found: dict[Path, Scores] = {}
    for path in paths:
        if path.is_dir():
            found |= _scores_in(path)
        elif not _is(path, TEXTS_FORMAT):
            found[path] = Scores.load(path)
    return found


def _scores_in(folder: Path) -> dict[Path, Scores]:
    files = [file for file in sorted(folder.glob("*.json")) if _is(file, FORMAT)]
    if not files and (folder / "scores").is_dir():
        return _scores_in(folder / "scores")
    if not files:
        raise InputError(f"{folder}: no scores in this folder; write some with: clearir evaluate --out {folder}")
    scores = {file: Scores.load(file) for file in files}
    return dict(
        sorted(scores.items(), key=lambda one: (one[0].stem != "before", one[1].environment.get("date", ""), one[0]))
    )


def _is(path: Path, kind: str) -> bool:
    """Whether the file says at its beginning that it is of this kind."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return f'"{kind}"' in stream.read(64)
    except OSError:
        return False


def kinds_of_direction(bridge: str) -> list[str]:
    """Names of the kinds, in the order of a table."""
    return [f"{bridge}->{bridge}", f"x->{bridge}", f"{bridge}->x", "x->x", "x->y"]


def kind_of_direction(direction: Direction, bridge: str) -> str:
    """Which of `kinds_of_direction` a direction is."""
    return kind_of_languages(direction.query_language, direction.passage_language, bridge)


def kind_of_languages(query: str, passage: str, bridge: str) -> str:
    """The same for the languages of its queries and passages."""
    if query != bridge and passage != bridge:
        return "x->x" if query == passage else "x->y"
    return f"{bridge if query == bridge else 'x'}->{bridge if passage == bridge else 'x'}"


def texts_behind(
    scores: Iterable[Scores],
    queries: Mapping[str, Mapping[str, str]],
    passages: Mapping[str, Mapping[str, str]],
) -> Texts:
    """The texts of a suite that some scores refer to: all their queries, gold and top passages."""
    kept = Texts({}, {})
    for score in scores:
        for direction in [*score.directions.values(), *score.pools.values()]:
            source = queries.get(direction.query_language, {})
            target = kept.queries.setdefault(direction.query_language, {})
            target.update((i, source[i]) for i in direction.query_ids if i in source)
            for identifier in {*direction.gold, *(i for row in direction.top for i in row)}:
                language = direction.passage_language
                if language not in passages:
                    language, _, identifier = identifier.partition(":")
                text = passages.get(language, {}).get(identifier)
                if text is not None:
                    kept.passages.setdefault(language, {})[identifier] = text
    return kept


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _document(path: Path, kind: str, command: str) -> dict[str, Any]:
    document = read_json(path)
    if not isinstance(document, dict) or document.pop("format", None) != kind:
        raise InputError(f"{path}: not a {kind} file; write one with: {command}")
    return document


def _check(direction: Direction) -> None:
    lists: list[list[Any]] = [direction.gold, direction.ranks, direction.top, *direction.values.values()]
    if any(len(items) != len(direction.query_ids) for items in lists):
        raise ValueError(f"{direction.name}: not one value per query")
    if not all(math.isfinite(value) for values in direction.values.values() for value in values):
        raise ValueError(f"{direction.name}: a value that is not a number")


def _first_of(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
