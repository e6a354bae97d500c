"""Several objectives on the same rows, steps and seeds, beside the base model: which one serves this data?

```
<output>/seeds/0/            rows, mined negatives and sizes of a seed, shared by all objectives
<output>/runs/clear-0/       model/, a folder of scores a suite, and result.json: settings and means
<output>/runs/clear+merge-0/ the same model, mixed with the base
<output>/runs/clear+shift-0/ the same model, with passages shifted by language
<output>/runs/base-0/        the model before training
<output>/study.json          means and intervals
<output>/study.md, .png      the same to read and to look at
```

What is finished is skipped, so a study goes on where it was stopped. A run's ``model/`` can be deleted when its
``result.json`` is there; another seed, objective or suite adds its own runs alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from clearir.data.prepared import read_part
from clearir.evaluation.scores import ALL
from clearir.models.load import content_of
from clearir.report.study_table import BASE, POOL_METRICS, Line, Result, draw, pool_table, summarise, to_markdown
from clearir.runs import train_run
from clearir.runs.preflight import check_dev, check_kind, holds_out
from clearir.runs.recipe import Recipe
from clearir.settings import CLEAR, CLEAR_NO_KL, DENSE, RERANKER, LossSettings, MergeSettings, wrong_in
from clearir.support.artifacts import MANIFEST, atomic_file, fingerprint, is_finished, read_json, run_stage, write_json
from clearir.support.errors import InputError

if TYPE_CHECKING:
    from clearir.evaluation.suites import Suite

#: the recipe's own test rows, among the suites
TEST = "in domain"
#: after an objective: its model is mixed with the base, as the recipe's ``merge`` says
MERGED = "+merge"
#: after an objective or `BASE`, at the end: the vector of their language is subtracted from passages
#: (`clearir.models.shift`); ``+shift@0.6`` subtracts 0.6 of it
SHIFTED = "+shift"
#: after an objective, before `MERGED`: each of its batches has target queries in one language
ONE_LANGUAGE = "+one-language"
#: after an objective, before these: its scale, where it is not the recipe's (``clear@20``, ``clear@auto``)
AT = "@"
#: what of a recipe a run of a study depends on, besides the rows
_SETTINGS = {"model", "kind", "train", "prompts", "mine", "merge"}


def study(recipe: Recipe, *, overwrite: bool = False, say: train_run.Say = lambda line: None) -> list[Line]:
    """Run what is not done yet of a recipe's study, and write its table and picture.

    Args:
        recipe: rows, training and ``study``: objectives, seeds and suites of other domains.
        overwrite: replace outputs that a different recipe made.
        say: gets a line at the beginning and end of each stage.

    Raises:
        InputError: an unknown objective or suite, no test rows, or an output folder that holds something else.
    """
    with train_run.writing(recipe):
        return _study(recipe, overwrite, say)


def _study(recipe: Recipe, overwrite: bool, say: train_run.Say) -> list[Line]:
    scores_rows = holds_out(recipe.data.test)
    if not scores_rows and not recipe.study.also:
        raise InputError("nothing to score on; hold rows out (data.test=0.1) or name a suite (study.also)")
    losses = {name: _loss_of_label(recipe.loss, name) for name in _labels(recipe.study.objectives)}
    also = {name: train_run.named_suite(name) for name in recipe.study.also}
    merges = any(_split_shift(name)[0].endswith(MERGED) for name in losses)
    recipe = recipe.model_copy(update={"merge": (recipe.merge or MergeSettings()) if merges else None})
    check_kind(recipe)
    check_dev(recipe)
    shifts = any(SHIFTED in name for name in losses)
    if shifts and recipe.kind != DENSE:
        raise InputError(
            f"objectives: {SHIFTED} moves the one vector of a passage, so it does not go with kind: {recipe.kind}; "
            "leave it out"
        )
    out = Path(recipe.output)
    results = []
    for seed in range(recipe.seed, recipe.seed + recipe.study.seeds):
        shared = _of_seed(recipe, seed)
        train_run.prepare_rows(shared, overwrite=overwrite, say=say)
        if shifts:
            _pairs(shared)  # said before anything is trained
        train_run.mine_rows(shared, overwrite=overwrite, say=say)
        suites = ({TEST: train_run.test_suite(shared)} if scores_rows else {}) | also
        for name, loss in {BASE: None, **losses}.items():
            run = _Run(out / "runs" / f"{_slug(name)}-{seed}", name, shared, loss, overwrite, say)
            results.append(run.result(suites))
    lines = summarise(results, list(losses))
    write_json(out / "study.json", [asdict(line) for line in lines])
    with atomic_file(out / "study.png") as temporary:
        draw(lines, temporary)
    with atomic_file(out / "study.md") as temporary:
        pools = {suite: pool_table(results, list(losses), suite) for suite in results[0].kinds}
        temporary.write_text(to_markdown(recipe.name, lines, "study.png", pools), encoding="utf-8")
    return lines


def loss_of(settings: LossSettings, objective: str) -> LossSettings:
    """The settings of a loss with another objective.

    Args:
        settings: scale, mini-batches and so on; ``alpha``, ``beta`` and the teacher stay where the objective has them.
        objective: a name, or a sum of terms such as ``0.3*forward+0.3*direct``; behind it, if need be, a scale of its
            own: ``clear@20``, ``clear@auto``.

    Raises:
        InputError: an unknown objective or term, a sum that is none, or a scale that is none.
    """
    from clearir.losses.objectives import untrained_sides

    kept = settings.model_dump(exclude={"objective", "weights", "teacher"})
    name, at, scale = objective.partition(AT)
    if name not in (CLEAR, CLEAR_NO_KL):
        del kept["alpha"], kept["beta"]
    if at:
        kept["scale"] = scale.strip()
    try:
        what: dict[str, Any] = {"weights": _sum_of_terms(name)} if "*" in name else {"objective": name}
        loss = LossSettings(**kept, **what)
    except ValidationError as error:
        raise InputError(f"objectives: {objective}: {wrong_in(error.errors()[0])}") from error
    return loss.model_copy(update={"teacher": settings.teacher}) if untrained_sides(loss.term_weights()) else loss


def _sum_of_terms(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in text.split("+"):
        weight, _, term = (one.strip() for one in part.partition("*"))
        if term in weights:
            raise InputError(f"objectives: {text}: {term!r} stands twice; add its weights up and write it once")
        try:
            weights[term] = float(weight)
        except ValueError as error:
            raise InputError(
                f"objectives: {part.strip()!r} is no WEIGHT*TERM; write e.g. 0.3*forward+0.3*direct"
            ) from error
    return weights


def _labels(objectives: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(name.replace(" ", "") for name in objectives))


def _loss_of_label(settings: LossSettings, label: str) -> LossSettings | None:
    """None where the base is shifted, without training."""
    plain, alpha = _split_shift(label)
    if plain == BASE and alpha is not None:
        return None
    return loss_of(settings, plain.removesuffix(MERGED).removesuffix(ONE_LANGUAGE))


def _split_shift(label: str) -> tuple[str, float | None]:
    """``clear+shift@0.6`` -> ``clear`` and 0.6, which is 1 without a number; None where nothing is shifted."""
    plain, suffix, number = label.rpartition(SHIFTED)
    if not suffix:
        return label, None
    match = re.fullmatch(AT + r"(\d*\.?\d+)", number or f"{AT}1")
    alpha = float(match[1]) if match else 0.0
    if not 0 < alpha <= 1:
        raise InputError(
            f"objectives: {label}: write {SHIFTED} at its end, alone or with a number above 0 and at most 1: "
            f"{plain}{SHIFTED}{AT}0.6"
        )
    return plain, alpha


def _pairs(shared: Recipe) -> dict[str, list[tuple[str, str]]]:
    """Of each language the passages of the training rows that are there in it and in the bridge language.

    Raises:
        InputError: there are none.
    """
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in read_part(Path(shared.output) / "rows", "train"):
        if row.language is not None and row.target_passage is not None:
            pairs.setdefault(row.language, []).append((row.passage, row.target_passage))
    if not pairs:
        raise InputError(
            f"objectives: {SHIFTED} needs passages and their translations, and no training row has a target_passage; "
            f"leave {SHIFTED} out, or add that column to the rows"
        )
    return pairs


def _slug(objective: str) -> str:
    return objective.replace("*", "")


def _of_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe of what all objectives share."""
    from clearir.data import sources

    data = recipe.data
    if data.path is None:  # fetched once, not once a seed
        path = sources.fetch(data.source, recipe.output, data.languages)
        data = data.model_copy(update={"path": path})
    output = str(Path(recipe.output) / "seeds" / str(seed))
    return recipe.model_copy(update={"data": data, "seed": seed, "output": output})


@dataclass(frozen=True)
class _Run:
    """One objective with one seed.

    Attributes:
        folder: of the run.
        objective: its name, or `BASE`.
        shared: recipe of the seed's rows and negatives.
        loss: None for the base.
        overwrite: replace outputs of other settings.
        say: gets a line a stage.
    """

    folder: Path
    objective: str
    shared: Recipe
    loss: LossSettings | None
    overwrite: bool
    say: train_run.Say

    def result(self, suites: Mapping[str, Suite]) -> Result:
        """Train and score what is not done yet; write and return ``result.json``."""
        found = {name: self._scored(name, suite) for name, suite in suites.items()}
        training = next(iter(found.values()))["training"] or {}
        result = Result(
            objective=self.objective,
            seed=self.shared.seed,
            kinds={name: one["kinds"] for name, one in found.items()},
            directions={name: one["directions"] for name, one in found.items()},
            settings=self._recipe.model_dump(mode="json", include=_SETTINGS | self._settings_of_kind)
            | {"loss": None if self.loss is None else self.loss.model_dump(mode="json")}
            | {"weights": None if self.loss is None else self.loss.term_weights()}
            | {"shift": _split_shift(self.objective)[1]},
            steps=training.get("steps"),
            seconds=training.get("seconds"),
            scale=training.get("scale"),
            # scores of before pools were scored have none
            pools={name: one["pools"] for name, one in found.items() if one.get("pools")},
        )
        result.save(self.folder / "result.json")
        return result

    def _scored(self, name: str, suite: Suite) -> dict[str, Any]:
        """Means of a suite, from its folder if they are there."""
        folder = self.folder / ("scores" if name == TEST else f"scores-{fingerprint(name)[:8]}")
        settings = {"stage": "study", "suite": name, "texts": suite.hash, **self._deciding}
        if not is_finished(folder, settings):
            run_stage(folder, settings, self._scoring(suite), overwrite=self.overwrite)
            self.say(f"{self.objective}, seed {self.shared.seed}, {name}: written to {folder}")
        found: dict[str, Any] = read_json(folder / MANIFEST)["result"]
        return found

    def _scoring(self, suite: Suite) -> Callable[[Path], Mapping[str, Any]]:
        def make(folder: Path) -> Mapping[str, Any]:
            # Of all models only the base, and what finds the passages of rerankers, is asked for the same texts again.
            cache = self.folder.parent / ".cache" if self.objective == BASE or self.shared.kind == RERANKER else None
            name = self.objective if self.loss else train_run.base_name(self.shared, self.objective)
            scores = train_run.evaluated(self.models, suite, name, cache=cache, pools=(ALL,))
            scores.save(folder / "scores.json")
            return {
                "kinds": scores.summary(),
                "directions": {name: direction.mean() for name, direction in scores.directions.items()},
                "pools": scores.mixed(POOL_METRICS),
                "training": None if self.loss is None else read_json(self.model / MANIFEST)["result"],
            }

        return make

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def _recipe(self) -> Recipe:
        plain, _ = _split_shift(self.objective)
        merge = self.shared.merge if plain.endswith(MERGED) else None
        train = self.shared.train
        if plain.removesuffix(MERGED).endswith(ONE_LANGUAGE):
            train = train.model_copy(update={"one_language_a_batch": True})
        return self.shared.model_copy(update={"loss": self.loss, "train": train, "merge": merge})

    @property
    def _settings_of_kind(self) -> set[str]:
        return {"rerank"} if self.shared.kind == RERANKER else set()

    @property
    def _deciding(self) -> dict[str, Any]:
        """What the model's vectors depend on."""
        _, alpha = _split_shift(self.objective)
        settings: dict[str, Any] = {
            "training": None if self.loss is None else train_run.training_settings(self._recipe),
            "model": content_of(self.shared.model),
            "prompts": self.shared.prompts.model_dump(),
            "max_seq_length": self.shared.train.max_seq_length,
            **train_run.first_stage(self.shared),
        }
        if alpha is not None:
            settings |= {"shift": alpha, "rows": train_run.stage_fingerprint(Path(self.shared.output) / "rows")}
        return settings

    @cached_property
    def models(self) -> tuple[Any, Any]:
        """What is scored, made now if it is not there; see `train_run.load_models`."""
        return train_run.load_models(self.shared, self._made())

    def _made(self) -> str:
        """Train, merge and shift what is not done yet, and return the model's name or folder."""
        plain, alpha = _split_shift(self.objective)
        if alpha is not None:
            folder = self.folder.with_name(f"{_slug(plain)}-{self.shared.seed}")
            self._shift(replace(self, objective=plain, folder=folder), alpha)
        elif self.loss is None:
            return train_run.base_model(self.shared)
        else:
            unmerged = self.folder.with_name(self.folder.name.replace(MERGED, "")) / "model"
            train_run.train_model(
                self._recipe, folder=self.model, trained=unmerged, overwrite=self.overwrite, say=self.say
            )
        return str(self.model.resolve())

    def _shift(self, unshifted: _Run, alpha: float) -> None:
        """Save the model of another run as one that shifts passages, with vectors from the seed's training rows."""
        from clearir.models.shift import language_vectors, shifted

        def make(folder: Path) -> Mapping[str, Any]:
            (network, _), pairs = unshifted.models, _pairs(self.shared)
            # of the base, mining has encoded some of these passages
            cache = Path(self.shared.output) / "cache" if self.loss is None else None
            vectors = language_vectors(network, pairs, cache=cache)
            shifted(network, vectors, alpha=alpha).save_pretrained(str(folder), create_model_card=False)
            training = {} if self.loss is None else read_json(unshifted.model / MANIFEST)["result"]
            return {**training, "pairs": {language: len(set(own)) for language, own in pairs.items()}}

        if run_stage(self.model, {"stage": "shifted model", **self._deciding}, make, overwrite=self.overwrite):
            self.say(f"shifted model: written to {self.model}")
