"""A recipe's stages, in order: rows, negatives, training, scores before and after, searches, report.

Each stage writes one folder (or file) of the output, whole or not at all, and is skipped when it is there already:

```
<output>/recipe.yaml         the recipe, defaults and overrides included
<output>/data.json           sizes of the data
<output>/rows/               train, dev and test rows (Parquet)
<output>/mined/              the rows that training sees, with hard negatives (Parquet)
<output>/model/              the trained model, with training.json and its card
<output>/scores/             before.json, after.json, texts.json
<output>/searches.json       the recipe's example queries, answered before and after
<output>/report.*            what came of it
<output>/cache/              embeddings; can be deleted
```
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.artifacts import MANIFEST, atomic_file, path_fingerprint, read_json, run_stage, write_json
from clearir.data.rows import Row, Rows
from clearir.recipe import Recipe, dump_recipe

if TYPE_CHECKING:
    from clearir.evaluate.scores import Scores
    from clearir.evaluate.suites import Suite
    from clearir.report.run import Run

PARTS = ("train", "dev", "test")
HITS = 3
Say = Callable[[str], None]


def run(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> Run:
    """Run what is not done yet of a recipe.

    Args:
        recipe: what to do.
        overwrite: replace outputs that a different recipe made.
        say: gets a line at the beginning and end of each stage.

    Returns:
        the finished run, as reports take it.

    Raises:
        InputError: bad input, or an output folder that holds something else.
    """
    from clearir.report.run import load_run

    out = Path(recipe.output)
    prepare_rows(recipe, overwrite=overwrite, say=say)
    mine_rows(recipe, overwrite=overwrite, say=say)
    train_model(recipe, overwrite=overwrite, say=say)
    score(recipe, overwrite=overwrite, say=say)
    search_examples(recipe, say=say)
    with atomic_file(out / "recipe.yaml") as temporary:
        temporary.write_text(dump_recipe(recipe), encoding="utf-8")
    write_outcome(out)
    return load_run(out)


# -- stages -----------------------------------------------------------------------------------------------------


def prepare_rows(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Read the source and hold rows out: ``rows/``."""
    from clearir.data.sources import debian

    out, data = Path(recipe.output), recipe.data
    path: Any = data.path
    if data.source == "debian" and path is None:
        path = str(out / "debian")
        debian.fetch(path, data.languages or [])
    settings = {
        "data": data.model_dump(mode="json") | {"path": None},
        "source": _source_fingerprint(path),
        "seed": recipe.seed,
    }
    _stage(out / "rows", settings, lambda folder: _write_rows(recipe, path, folder), "rows", overwrite, say)


def mine_rows(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Draw the rows that training will see and give them hard negatives: ``mined/``."""
    out = Path(recipe.output)
    settings = {
        "rows": _stage_fingerprint(out / "rows"),
        "mine": recipe.mine.model_dump(mode="json"),
        "train": recipe.train.model_dump(include={"max_steps", "epochs", "batch_size", "accumulate"})
        | {"language_temperature": recipe.train.language_temperature, "max_seq_length": recipe.train.max_seq_length},
        "prompts": recipe.prompts.model_dump(),
        "model": recipe.model,
        "seed": recipe.seed,
    }
    _stage(out / "mined", settings, lambda folder: _write_mined(recipe, folder), "negatives", overwrite, say)


def train_model(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Train: ``model/``."""
    from clearir.train import train

    out = Path(recipe.output)
    settings = {
        "mined": _stage_fingerprint(out / "mined"),
        "train": recipe.train.model_dump(mode="json"),
        "loss": recipe.loss.model_dump(mode="json"),
        "prompts": recipe.prompts.model_dump(),
        "model": recipe.model,
        "seed": recipe.seed,
    }

    def make(folder: Path) -> Mapping[str, Any]:
        record = train(
            Rows.from_parquet(out / "mined" / "train.parquet").rows,
            recipe.model,
            folder,
            recipe.train,
            recipe.loss,
            prompts=recipe.prompts,
            seed=recipe.seed,
            trust_remote_code=recipe.trust_remote_code,
            work=out / ".checkpoints",
        )
        return {key: record[key] for key in ("seconds", "steps")}

    _stage(out / "model", settings, make, "model", overwrite, say)


def score(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Score the base model and the trained one on the test rows, in every direction: ``scores/``."""
    out = Path(recipe.output)
    settings = {
        "rows": _stage_fingerprint(out / "rows"),
        "model": _stage_fingerprint(out / "model"),
        "prompts": recipe.prompts.model_dump(),
        "evaluate": recipe.evaluate.model_dump(mode="json"),
    }
    _stage(out / "scores", settings, lambda folder: _write_scores(recipe, folder), "scores", overwrite, say)


def search_examples(recipe: Recipe, *, say: Say = lambda line: None) -> None:
    """Answer the recipe's example queries over the test passages, with both models: ``searches.json``."""
    out = Path(recipe.output)
    path = out / "searches.json"
    if not recipe.searches:
        path.unlink(missing_ok=True)
        return
    say("searches")
    suite = test_suite(recipe)
    passages = list(dict.fromkeys(suite.passages[suite.bridge].values()))
    queries = [example.query for example in recipe.searches]
    answers = [_top_passages(recipe, model, queries, passages) for model in _models(recipe)]
    write_json(
        path,
        [
            {"language": example.language, "query": example.query, "before": before, "after": after}
            for example, before, after in zip(recipe.searches, *answers, strict=True)
        ],
    )


def write_outcome(out: Path) -> None:
    """Write the report and the model's card from what is in a run's folder."""
    from clearir.report.card import model_card
    from clearir.report.run import load_run
    from clearir.report.write import write_report

    finished = load_run(out)
    write_report(finished, out)
    with atomic_file(out / "model" / "README.md") as temporary:
        temporary.write_text(model_card(finished), encoding="utf-8")


def test_suite(recipe: Recipe) -> Suite:
    """The held-out rows of a recipe as a suite."""
    from clearir.evaluate.suites import Suite

    rows = Rows.from_parquet(Path(recipe.output) / "rows" / "test.parquet")
    return Suite.from_rows(rows, recipe.name)


# -- what the stages do -----------------------------------------------------------------------------------------


def _write_rows(recipe: Recipe, path: Any, folder: Path) -> Mapping[str, Any]:
    from clearir.data import sources
    from clearir.data.split import split

    data = recipe.data
    skipped: Counter[str] = Counter()
    options = data.model_dump(exclude={"source", "path", "test", "dev"})
    rows = Rows.collect(sources.read(data.source, path, skipped=skipped, **options), f"{data.source} {path}")
    parts = split(rows.rows, test=data.test, dev=data.dev, seed=recipe.seed)
    languages: dict[str, dict[str, int]] = {}
    for name in PARTS:
        members: Sequence[Row] = getattr(parts, name)
        Rows(tuple(members)).to_parquet(folder / f"{name}.parquet")
        for language, count in Rows(tuple(members)).languages.items():
            languages.setdefault(language, dict.fromkeys(PARTS, 0))[name] = count
    return {"languages": languages, "duplicates": rows.duplicates, "skipped": dict(skipped)}


def _write_mined(recipe: Recipe, folder: Path) -> Mapping[str, Any]:
    from clearir.data.mine import mine
    from clearir.train import draw_rows

    drawn = draw_rows(_rows_of(recipe, "train"), recipe.train, recipe.seed)
    distinct = list(dict.fromkeys(drawn))
    wanted = recipe.mine
    if all(row.negatives or row.target_negatives for row in distinct):  # the table came with negatives of its own
        mined = distinct
        topped_up = [0, 0]
    else:
        found = mine(
            distinct,
            _load(recipe, recipe.model),
            **wanted.model_dump(),
            seed=recipe.seed,
            cache=Path(recipe.output) / "cache",
            prompts=_given_prompts(recipe),
        )
        mined = list(found.rows)
        topped_up = [found.topped_up_passages, found.topped_up_queries]
    with_negatives = dict(zip(distinct, mined, strict=True))
    table = Rows(tuple(with_negatives[row] for row in drawn))
    table.to_parquet(folder / "train.parquet")
    n, m = table.num_negatives
    sizes = read_json(Path(recipe.output) / "rows" / MANIFEST)["result"]
    write_json(
        Path(recipe.output) / "data.json",
        {**sizes, "negatives": [n, m], "topped_up": topped_up, "source": recipe.data.source},
    )
    return {"rows": len(drawn), "distinct": len(distinct), "topped_up": topped_up}


def _write_scores(recipe: Recipe, folder: Path) -> Mapping[str, Any]:
    from clearir.encode import prompts_of
    from clearir.evaluate.matrix import evaluate
    from clearir.evaluate.scores import texts_behind

    suite = test_suite(recipe)

    def scores_of(model: str, name: str) -> Scores:
        network = _load(recipe, model)
        prompts = prompts_of(network, recipe.prompts.query, recipe.prompts.passage)
        cache = Path(recipe.output) / "cache"
        return evaluate(network, suite, name=name, prompts=prompts, cache=cache, pools=recipe.evaluate.pools)

    base, tuned = _models(recipe)
    before, after = scores_of(base, recipe.model), scores_of(tuned, recipe.name)
    before.save(folder / "before.json")
    after.save(folder / "after.json")
    texts_behind([before, after], suite.queries, suite.passages).save(folder / "texts.json")
    return {"before": before.summary(), "after": after.summary()}


def _top_passages(recipe: Recipe, model: str, queries: list[str], passages: list[str]) -> list[list[dict[str, Any]]]:
    import numpy as np

    from clearir.encode import encode, prompts_of

    network = _load(recipe, model)
    prompts = prompts_of(network, recipe.prompts.query, recipe.prompts.passage)
    cache = Path(recipe.output) / "cache"
    found = encode(network, passages, prompt=prompts.passage, cache=cache)
    scores = encode(network, queries, prompt=prompts.query, cache=cache) @ found.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :HITS]
    return [
        [{"passage": passages[i], "score": round(float(row[i]), 4)} for i in order]
        for row, order in zip(scores, best, strict=True)
    ]


def _stage(
    folder: Path,
    settings: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any] | None],
    name: str,
    overwrite: bool,
    say: Say,
) -> None:
    done = run_stage(folder, {"stage": name, **settings}, make, overwrite=overwrite)
    say(f"{name}: {'written to' if done else 'already in'} {folder}")


def _rows_of(recipe: Recipe, part: str) -> tuple[Row, ...]:
    return Rows.from_parquet(Path(recipe.output) / "rows" / f"{part}.parquet").rows


def _models(recipe: Recipe) -> tuple[str, str]:
    return recipe.model, str(Path(recipe.output).resolve() / "model")


def _load(recipe: Recipe, model: str) -> Any:
    from clearir.encode import load_model

    return load_model(model, max_seq_length=recipe.train.max_seq_length, trust_remote_code=recipe.trust_remote_code)


def _given_prompts(recipe: Recipe) -> dict[str, str] | None:
    given = {kind: text for kind, text in recipe.prompts.model_dump().items() if text is not None}
    return given or None


def _stage_fingerprint(folder: Path) -> str:
    return str(read_json(folder / MANIFEST)["fingerprint"])


def _source_fingerprint(path: Any) -> Any:
    paths = [path] if isinstance(path, str) else list(path or [])
    return [path_fingerprint(Path(one)) if Path(one).exists() else one for one in paths]
