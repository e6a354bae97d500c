"""A recipe: everything that a run depends on, as one validated object.

```python
recipe = load_recipe(Path("recipes/demo.yaml"), ["train.max_steps=20", "loss.objective=hybrid"])
```
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from clearir.data.filters import FilterSettings
from clearir.settings import (
    DEFAULT_OBJECTIVE,
    DENSE,
    Count,
    DataSettings,
    EvaluateSettings,
    Kind,
    LossSettings,
    MergeSettings,
    MineSettings,
    PromptSettings,
    RerankSettings,
    SearchExample,
    Settings,
    StudySettings,
    TrainSettings,
    TranslateSettings,
    with_objective,
    wrong_in,
)
from clearir.support.errors import InputError


class Recipe(Settings):
    """A run from rows to report.

    Attributes:
        name: of the run, as reports show it.
        model: Hub name, folder, or ``python:PACKAGE/folder`` for one inside an installed Python package.
        kind: of the model that comes out: dense has a vector for each text, late-interaction (ColBERT) one for each
            token, compared by MaxSim; its base is a model of either kind. sparse (SPLADE) has a weight for each word of
            the vocabulary; its base is a sparse model or another encoder. A reranker has a score for each pair of
            query and passage; its base is a dense model or a reranker.
        output: folder of everything that the run writes.
        seed: of all that is drawn.
        trust_remote_code: run code that comes with the model. Only for a model whose code you have read.
        translate: how target queries are made where the rows have none: ``backend`` and its options, see
            `clearir.data.translate`; ``languages`` to translate into.
        filter: checks that rows have to pass, before training as in `clearir prepare`; see `FilterSettings`. None (in
            YAML ``filter: null``): no checks.
        decontaminate: evaluation sets whose texts are not to be trained on: a table, a folder, a suite's name, or
            ``NAME:FOLDER`` for a suite's local copy.
        merge: mix the trained weights with those of the base model when training is done; see `MergeSettings`. None:
            the model stays as it was trained.
        rerank: of a reranker, what it puts in order; see `RerankSettings`.
        data: see `DataSettings`; and so on.
        study: what `clearir study` compares; see `StudySettings`.
        searches: queries that the end of the run answers before and after; a number takes so many of the held-out
            queries of each language.
    """

    name: str
    model: str
    kind: Kind = DENSE
    output: str
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    trust_remote_code: bool = False
    data: DataSettings = DataSettings()
    translate: TranslateSettings | None = None
    filter: FilterSettings | None = FilterSettings()
    decontaminate: tuple[str, ...] = ()
    mine: MineSettings = MineSettings()
    loss: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()
    merge: MergeSettings | None = None
    rerank: RerankSettings = RerankSettings()
    prompts: PromptSettings = PromptSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    study: StudySettings = StudySettings()
    searches: Count | tuple[SearchExample, ...] = ()

    @property
    def finder(self) -> str:
        """The model that finds hard negatives, and the passages that a reranker puts in order."""
        return self.rerank.first or self.model

    @model_validator(mode="before")
    @classmethod
    def _objective_of_kind(cls, values: Any) -> Any:
        kind = values.get("kind", DENSE) if isinstance(values, Mapping) else None
        if kind not in list(DEFAULT_OBJECTIVE):
            return values
        loss = values.get("loss")
        return {**values, "loss": with_objective({} if loss is None else loss, kind)}


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and put the overrides on top.

    Args:
        path: YAML file.
        overrides: ``key.key=value``, the value as YAML.

    Raises:
        InputError: unreadable file, broken YAML, an unknown key or a value that does not fit; the message names file,
            key and the fix.
    """
    content = _read_yaml(path)
    _put(content, overrides)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise InputError("\n".join(_explain(path, one) for one in error.errors())) from error


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, defaults included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = _load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; give the path of a recipe, or write one to begin with: clearir init"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: not YAML ({getattr(error, 'problem', None) or error}); correct it") from error
    except (ValueError, RecursionError) as error:  # a date that is none, brackets in brackets in brackets
        raise InputError(f"{path}: not usable YAML ({error}); correct it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a recipe is a mapping; write keys such as name, model, output, data")
    return content


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """``["a.b=1", "c=x"]`` -> ``{"a": {"b": 1}, "c": "x"}``, the values read as YAML.

    Raises:
        InputError: one is not KEY=VALUE.
    """
    content: dict[str, Any] = {}
    _put(content, assignments)
    return content


def _put(content: dict[str, Any], assignments: Sequence[str]) -> None:
    """Put ``KEY=VALUE`` after ``KEY=VALUE`` into a mapping; none may undo one before it."""
    given: list[str] = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"{assignment!r} is no override; write KEY=VALUE, e.g. train.max_steps=20")
        undone = next((other for other in given if f"{other}.".startswith(f"{key}.")), None)
        if undone is not None:
            raise InputError(f"{assignment!r} undoes {undone}=..., which stands before it; leave one of them out")
        given.append(key)
        _assign(content, assignment, key, value)


def _assign(content: dict[str, Any], assignment: str, key: str, value: str) -> None:
    *parents, last = key.split(".")
    place: Any = content
    for parent in parents:
        if place.get(parent) is None:  # not there, or a section with nothing in it
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise InputError(
                f"{assignment!r}: {parent!r} is a value and has no keys below it; give {parent}=VALUE alone"
            )
    try:
        place[last] = _load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{assignment!r}: {value!r} is not YAML; quote it") from error


class _Loader(yaml.SafeLoader):
    """Safe YAML in which no key of a mapping stands twice: the last would count, and the first would be gone."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name = key.value
                if name in lines:
                    problem = f"the key {name!r} stands twice, first in line {lines[name]}"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                lines[name] = key.start_mark.line + 1
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _load(text: str) -> Any:
    """As ``yaml.safe_load``."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _explain(path: Path, error: Any) -> str:
    """One line for one of pydantic's errors."""
    # names that pydantic gives the branches of a union; a key of the user may look like one
    tags = ("function-", "constrained-", "float", "dict[", "tuple[")
    location = [str(part) for part in error["loc"] if not str(part).startswith(tags)]
    location = location or [str(part) for part in error["loc"][-1:]]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{path}: unknown key {key!r}; {fix}"
    if error["type"] == "missing":
        return f"{path}: the key {key!r} is missing; add it"
    message = wrong_in(error)
    got = repr(error["input"])
    got = got if len(got) <= 100 else got[:100] + " ..."
    return f"{path}: {key}: {message} (got {got}); correct it"


def _keys_at(location: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        field = model.model_fields.get(part)
        inner = None if field is None else field.annotation
        candidates = [inner, *get_args(inner)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return list(model.model_fields)


def load_model_of(recipe: Recipe, model: str) -> Any:
    """A model, of the kind that it was saved as, that reads texts as the recipe says: length and prompts."""
    from clearir.models.any_kind import load_any

    return load_any(
        model,
        max_seq_length=recipe.train.max_seq_length,
        query_prompt=recipe.prompts.query,
        passage_prompt=recipe.prompts.passage,
        trust_remote_code=recipe.trust_remote_code,
    )
