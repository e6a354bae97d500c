"""What a report is drawn from: scores before and after, and what the run's folder tells about how they came about.

```python
run = load_run(Path("runs/demo"))                                  # the folder of `clearir train`
run = load_scores(Path("before.json"), Path("after.json"))         # scores alone
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clearir.evaluation.compare import DIRECTIONS, Comparison, Difference, check_same, compare
from clearir.evaluation.fired_words import FiredWords
from clearir.evaluation.metrics import BITEXT
from clearir.evaluation.scores import Scores, Texts, read_scores
from clearir.evaluation.searches import Search
from clearir.models.temperature import Scale
from clearir.report.direction_table import DirectionTable, direction_table
from clearir.report.first_places import first_places
from clearir.support.artifacts import MANIFEST, model_content, read_json
from clearir.support.errors import InputError, prefix_errors_with

TEXTS = "texts.json"
#: what a training log tells of a step besides its number: the loss, and the terms that it is the sum of
TERMS = {
    "loss": "Loss",
    "forward": "Forward: query → passage",
    "direct": "Direct: target query → passage",
    "reverse": "Reverse: passage → target query",
    "align": "Align: query ↔ target query",
    "kl": "KL: reverse from forward",
    "consistency": "Consistency: target query ranks like query",
    "jsd": "JSD: query and target query rank alike",
    "labse": "LaBSE: query ↔ target query, with a margin",
    "flops": "FLOPS: words that fire, what keeps vectors sparse",
    "retain": "Retain: distance of English from the base model",
    "distil": "Distil: distance of both queries from the base model's query",
}


@dataclass(frozen=True)
class Training:
    """How training went.

    Attributes:
        log: one entry a logged step: ``step``, ``learning_rate``, and those of `TERMS` that the objective has.
        seconds: duration.
        steps: of the optimiser.
        rows_by_language: rows seen, each as often as it was.
        scale: of the loss, and how it was found; None in runs of before scales were.
    """

    log: list[dict[str, float]]
    seconds: float
    steps: int
    rows_by_language: dict[str, int] = field(default_factory=dict)
    scale: Scale | None = None

    def curve(self, term: str) -> list[tuple[float, float]]:
        """Step and value wherever the term was logged."""
        return [(entry["step"], entry[term]) for entry in self.log if entry.get(term) is not None]


@dataclass(frozen=True)
class Data:
    """What the rows were.

    Attributes:
        languages: language -> part (train, dev, test) -> number of rows.
        duplicates: rows dropped because they were there already.
        skipped: reason -> number of rows that could not be used.
        negatives: hard negatives a row: passages, target queries.
        topped_up: how many negatives had to be taken from outside the rank window: passages, target queries.
        source: kind of source.
    """

    languages: dict[str, dict[str, int]]
    duplicates: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    negatives: list[int] | None = None
    topped_up: list[int] | None = None
    source: str | None = None


@dataclass(frozen=True)
class Run:
    """Everything that a report shows. Only the scores are always there.

    Attributes:
        name: as the report's title has it.
        before: scores of the model before training.
        after: scores of the trained model.
        files: the two files of scores, as the report tells where its numbers come from.
        texts: the texts behind the scores' ids.
        training: log and sizes of the training.
        data: sizes of the data.
        recipe: all settings, as the recipe's YAML.
        searches: queries with what they found.
        words: of a sparse model, what target queries fire.
    """

    name: str
    before: Scores
    after: Scores
    files: tuple[str, str]
    texts: Texts | None = None
    training: Training | None = None
    data: Data | None = None
    recipe: str | None = None
    searches: tuple[Search, ...] = ()
    words: FiredWords | None = None

    @property
    def metric(self) -> str:
        """What tables show: nDCG@10, of bitext accuracy."""
        return self.before.main_metric

    @property
    def answer(self) -> str:
        """What a search is to find, in words."""
        return "translation" if self.before.task == BITEXT else "page"

    @property
    def passages(self) -> str:
        """What is searched, in words."""
        return "sentences" if self.before.task == BITEXT else "pages"

    @cached_property
    def comparison(self) -> Comparison:
        """After against before: differences, intervals and significance. Takes seconds for many directions."""
        return compare(self.before, self.after)

    @cached_property
    def first_places(self) -> Comparison:
        """How often the right page comes first, after against before."""
        return first_places(self.before, self.after)

    @property
    def verdict(self) -> str:
        """What the scores show and do not show, in words."""
        return next(iter(self.comparison.sentences.values()))

    @cached_property
    def table(self) -> DirectionTable:
        """A row a target language, with what is shown of each difference."""
        return direction_table(self.before, self.after, self.languages, self.metric, self.comparison)

    def difference(self, name: str, part: str = DIRECTIONS) -> Difference | None:
        """The row of a direction (of a kind of direction or a pool, by ``part``) in the comparison."""
        return next((row for row in self.comparison.rows if (row.part, row.name) == (part, name)), None)

    def first_place(self, name: str, part: str = DIRECTIONS) -> Difference | None:
        """The same in `first_places`."""
        return next((row for row in self.first_places.rows if (row.part, row.name) == (part, name)), None)

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe as a mapping; empty where there is none."""
        import yaml

        return yaml.safe_load(self.recipe) if self.recipe else {}

    @property
    def rows_by_language(self) -> dict[str, int]:
        """Language -> distinct rows to train on, most first; rows seen, where only the training tells."""
        if self.data and self.data.languages:
            rows = {language: sizes.get("train", 0) for language, sizes in self.data.languages.items()}
        else:
            rows = self.training.rows_by_language if self.training else {}
        return dict(sorted(rows.items(), key=lambda item: (-item[1], item[0])))

    @property
    def languages(self) -> list[str]:
        """Target languages of the scores, those with most training rows first."""
        rows = self.rows_by_language
        found = [language for language in self.before.languages if language != self.before.bridge]
        return sorted(found, key=lambda language: (-rows.get(language, 0), language))

    @property
    def cross_languages(self) -> list[str]:
        """Those of `languages` whose queries were scored on the bridge language's passages."""
        return [
            language for language in self.languages if f"{language}->{self.before.bridge}" in self.before.directions
        ]


def load_run(folder: Path) -> Run:
    """Read the folder that ``clearir train`` writes, or one with the scores of two models.

    Raises:
        InputError: no such folder, no scores in it, or a part of it is broken; the message names the file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the output folder of a run, or two files of scores")
    before, after = folder / "scores" / "before.json", folder / "scores" / "after.json"
    if not (folder / "scores").is_dir() and any(folder.glob("*.json")):
        return load_scores(folder)
    for file in (before, after):
        if not file.is_file():
            raise InputError(f"{folder}: no scores/{file.name}; finish the run with: clearir train RECIPE.yaml")
    _check_model(folder)
    recipe = _recipe(folder / "recipe.yaml")
    run = load_scores(before, after)
    return Run(
        name=str((recipe[1] if recipe else {}).get("name") or folder.resolve().name),
        before=run.before,
        after=run.after,
        files=("scores/before.json", "scores/after.json"),
        texts=run.texts,
        training=_part(folder / "model" / "training.json", Training),
        data=_part(folder / "data.json", Data),
        recipe=recipe[0] if recipe else None,
        searches=_part(folder / "searches.json", tuple[Search, ...]) or (),
        words=_part(folder / "words.json", FiredWords),
    )


#: in the manifest of a run's scores: the content of the model that they are of
SCORED = "scored"


def _check_model(folder: Path) -> None:
    """
    Raises:
        InputError: the scores of a run are of another model than the one beside them.
    """
    scores, model = folder / "scores", folder / "model"
    if not (scores / MANIFEST).is_file() or not model.is_dir():
        return
    scored = read_json(scores / MANIFEST).get("settings", {}).get(SCORED)
    if scored is not None and scored != model_content(model):
        raise InputError(
            f"{scores}: not the scores of the model in {model}; score it again with: clearir train RECIPE.yaml "
            "--overwrite"
        )


def load_scores(*paths: Path) -> Run:
    """A run that is known by its scores alone; ``texts.json`` beside the second file is read if it is there.

    Args:
        paths: two files, before and after, or a folder with two; see `clearir.evaluation.scores.read_scores`.

    Raises:
        InputError: a file that cannot be read or is not one of scores, not two, or two that do not belong together.
    """
    found = read_scores(paths)
    if len(found) != 2:
        names = ", ".join(map(str, found)) or "none"
        raise InputError(f"a report needs two files of scores, before and after, but there are {len(found)}: {names}")
    (before, first), (after, second) = found.items()
    with prefix_errors_with(before, after):
        check_same(first, second)
    texts = after.with_name(TEXTS)
    return Run(
        name=f"{first.model} and {second.model} on {first.suite}",
        before=first,
        after=second,
        files=(str(before), str(after)),
        texts=Texts.load(texts) if texts.is_file() else None,
    )


def _part(path: Path, kind: Any) -> Any:
    """The JSON in ``path`` as ``kind``, types checked; None where there is no such file."""
    from pydantic import TypeAdapter, ValidationError

    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {place}: {first['msg']}; run the recipe again") from error


def _recipe(path: Path) -> tuple[str, Mapping[str, Any]] | None:
    import yaml

    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the recipe again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a mapping of settings; run the recipe again")
    return text, content
