"""A recipe's stages, in order: rows, negatives, training, scores before and after, searches, report.

Each stage writes one folder (or file) of the output, whole or not at all, and is skipped when it is there already:

```
<output>/recipe.yaml         the recipe, defaults and overrides included
<output>/data.json           sizes of the data
<output>/rows/               train, dev and test rows (Parquet), with a data card
<output>/mined/              the rows that training sees, with hard negatives (Parquet)
<output>/start/              a new sparse model or reranker, before training: its head has learned a little
<output>/trained/            the model as it was trained, where the recipe merges it with its base
<output>/model/              the model that comes out, with training.json and its card
<output>/scores/             before.json, after.json, texts.json
<output>/searches.json       the recipe's example queries, answered before and after
<output>/words.json          of a sparse model, the words that test queries fire before and after
<output>/report.*            what came of it
<output>/cache/              embeddings; can be deleted
```
"""

from __future__ import annotations

import math
import re
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.prepared import read_part
from clearir.data.rows import Row, Rows
from clearir.models.load import content_of
from clearir.models.prompts import prompts_of
from clearir.runs.preflight import check_run, check_training, holds_out, needs_dev
from clearir.runs.recipe import Recipe, dump_recipe, load_model_of
from clearir.settings import DENSE, LATE_INTERACTION, RERANKER, SPARSE, MergeSettings, SearchExample, TrainSettings
from clearir.support import processes
from clearir.support.artifacts import (
    MANIFEST,
    atomic_file,
    fingerprint,
    is_due,
    model_content,
    read_json,
    run_stage,
    write_json,
)
from clearir.support.errors import InputError
from clearir.support.locks import alone_in

if TYPE_CHECKING:
    from clearir.evaluation.scores import Scores
    from clearir.evaluation.searches import FoundPassage
    from clearir.evaluation.suites import Suite
    from clearir.models.reranker import Reranking
    from clearir.report.load import Run
    from clearir.runs.prepare_run import Prepared

PARTS = ("train", "dev", "test")
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
    with writing(recipe):
        build(recipe, overwrite=overwrite, say=say)
        return finish(recipe, overwrite=overwrite, say=say)


@contextmanager
def writing(recipe: Recipe) -> Iterator[None]:
    """Let no other run write into the recipe's output folder during the block.

    Raises:
        InputError: another one does.
    """
    with ExitStack() as held:
        processes.first_only(lambda: held.enter_context(alone_in(Path(recipe.output))))
        yield


def build(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """The first half of `run`, up to the trained model. All processes of a run do it together."""
    if not processes.is_first():
        say = lambda line: None  # noqa: E731
    with processes.joined():
        processes.first_only(lambda: check_run(recipe))
        processes.first_only(lambda: _build_rows(recipe, overwrite, say))
        train_model(recipe, overwrite=overwrite, say=say)


def _build_rows(recipe: Recipe, overwrite: bool, say: Say) -> None:
    prepare_rows(recipe, overwrite=overwrite, say=say)
    mine_rows(recipe, overwrite=overwrite, say=say)


def finish(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> Run:
    """The second half of `run`, from the trained model to the report, in one process."""
    out = Path(recipe.output)
    score(recipe, overwrite=overwrite, say=say)
    answer_searches(recipe, say=say)
    read_words(recipe, say=say)
    with atomic_file(out / "recipe.yaml") as temporary:
        temporary.write_text(dump_recipe(recipe), encoding="utf-8")
    outcome = write_outcome(out)
    if recipe.train.push_to_hub is not None:
        _push(out, recipe.train.push_to_hub, say)
    return outcome


# -- stages -----------------------------------------------------------------------------------------------------


def prepare_rows(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Read the source, translate, filter and decontaminate as the recipe says, and hold rows out: ``rows/``."""
    out = Path(recipe.output)

    def check() -> None:
        if not (out / "mined").exists():
            check_training(recipe)

    done = _prepare(recipe, out / "rows", None, overwrite, say, check)
    if done.dropped:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in done.dropped.items())
        hint = "; filter=null keeps what the filter dropped" if done.facts["filtered"] else ""
        say(f"dropped rows: {reasons}{hint}")
    say(f"translations to look at, and examples of dropped rows: {done.folder / 'README.md'}")
    # What cannot be scored, or chosen on, is said before mining and training.
    if holds_out(recipe.data.test):
        test_suite(recipe)
    if (what := needs_dev(recipe)) is not None:
        _dev_suite(recipe, what)


def prepare_data(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> Prepared:
    """The same with hard negatives for every training row, as a data set of its own: ``prepared/``."""
    folder = Path(recipe.output) / "prepared"

    def check() -> None:
        if recipe.mine.mines and not folder.exists():
            load_model_of(recipe, recipe.finder)

    with writing(recipe):
        return _prepare(recipe, folder, recipe.finder, overwrite, say, check)


def mine_rows(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Draw the rows that training will see and give them hard negatives: ``mined/``."""
    from clearir.training.batches import number_drawn

    out = Path(recipe.output)
    rows = sum(read_json(out / "rows" / MANIFEST)["result"]["splits"]["train"].values())
    settings = {
        "rows": stage_fingerprint(out / "rows"),
        "mine": recipe.mine.model_dump(mode="json"),
        "drawn": number_drawn(recipe.train, rows, processes.count()),
        "train": recipe.train.model_dump(include={"language_temperature", "max_seq_length"}),
        "prompts": recipe.prompts.model_dump(),
        "model": content_of(recipe.finder),
        "seed": recipe.seed,
    }
    _stage(out / "mined", settings, lambda folder: _write_mined(recipe, folder), "negatives", overwrite, say)


def train_model(
    recipe: Recipe,
    *,
    folder: Path | None = None,
    trained: Path | None = None,
    overwrite: bool = False,
    say: Say = lambda line: None,
) -> None:
    """Train on what is in ``mined/``, and merge if the recipe says so.

    Args:
        recipe: what to do.
        folder: for the model that comes out; by default ``model/``.
        trained: for the model as it was trained, where it is merged; by default ``trained/`` beside ``folder``.
        overwrite: replace a model of other settings.
        say: gets a line at the end of each stage.
    """
    from clearir.training.train import train

    out = Path(recipe.output)
    place = folder or out / "model"
    if recipe.merge is not None:
        tuned = trained or place.with_name("trained")
        train_model(recipe.model_copy(update={"merge": None}), folder=tuned, overwrite=overwrite, say=say)
        processes.first_only(lambda: merge_model(recipe, tuned, place, overwrite=overwrite, say=say))
        return
    mined, checkpoints = out / "mined" / "train.parquet", place.parent / ".checkpoints"

    def make(folder: Path) -> Mapping[str, Any]:
        if not mined.is_file():
            raise InputError(
                f"{mined}: not on this machine ({socket.gethostname()}), but the first process wrote it; set output= "
                "to a folder that all machines share"
            )
        record = train(
            Rows.from_parquet(mined).rows,
            start,
            folder,
            recipe.train,
            recipe.loss,
            prompts=recipe.prompts,
            seed=recipe.seed,
            kind=recipe.kind,
            trust_remote_code=recipe.trust_remote_code,
            work=checkpoints,
            dev=None if recipe.train.retention is None else _dev_suite(recipe, "train.retention"),
            cache=out / "cache",
            say=say,
        )
        return {key: record[key] for key in ("seconds", "steps")} | {"scale": record["scale"]["used"]}

    start = processes.first_only(lambda: starting_model(recipe, overwrite=overwrite, say=say))
    settings = processes.first_only(lambda: training_settings(recipe))
    due = processes.first_only(lambda: is_due(place, _of_stage("model", settings), overwrite=overwrite))
    if not processes.is_first():
        if due:
            make(place)
        return
    if due and processes.count() > 1:
        say(_step_in_words(recipe.train, processes.count()))
    _stage(place, settings, make, "model", overwrite, say)
    shutil.rmtree(checkpoints, ignore_errors=True)  # those of other settings too


def starting_model(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> str:
    """What is trained: the recipe's model; or made of it in ``start/`` one of another kind, whose head has learned.

    A new sparse model fires its own words, a new reranker tells passages apart for queries in the bridge language.
    """
    prepare = _new_head(recipe)
    if prepare is None:
        return recipe.model
    from clearir.training.train import load_base

    out = Path(recipe.output)

    def make(folder: Path) -> Mapping[str, Any]:
        network = load_base(
            recipe.model, recipe.train, recipe.prompts, recipe.trust_remote_code, recipe.kind, recipe.seed
        )
        facts = prepare(network, Rows.from_parquet(out / "mined" / "train.parquet").rows, recipe.seed, say)
        network.save_pretrained(str(folder), create_model_card=False)
        return facts

    settings = {
        "mined": stage_fingerprint(out / "mined"),
        "model": content_of(recipe.model),
        "prompts": recipe.prompts.model_dump(),
        "max_seq_length": recipe.train.max_seq_length,
        "seed": recipe.seed,
    }
    _stage(out / "start", settings, make, "new head", overwrite, say)
    return str((out / "start").resolve())


def _new_head(recipe: Recipe) -> Callable[[Any, Sequence[Row], int, Say], Mapping[str, Any]] | None:
    """What teaches a new head; None where the model has one, or needs none."""
    from clearir.models.load import saved_as
    from clearir.models.sparse import has_word_weights

    if recipe.kind == SPARSE and not has_word_weights(recipe.model):
        return _teach_own_words
    if recipe.kind == RERANKER and saved_as(recipe.model) != RERANKER:
        return _fit_head
    return None


def _teach_own_words(network: Any, rows: Sequence[Row], seed: int, say: Say) -> Mapping[str, Any]:
    from clearir.models.sparse import learn_own_words

    prompts = prompts_of(network)
    queries = [text for row in rows for text in (row.query, row.target_query, *row.target_negatives) if text]
    passages = [text for row in rows for text in (row.passage, *row.negatives)]
    texts = [prompts.query + text for text in queries] + [prompts.passage + text for text in passages]
    learn_own_words(network, texts, seed=seed)
    return {}


def _fit_head(network: Any, rows: Sequence[Row], seed: int, say: Say) -> Mapping[str, Any]:
    """To the queries in the bridge language alone: the others are little known yet, and no objective is without it."""
    from clearir.models.new_reranker import fit_head

    distinct = {row.query: row for row in rows}.values()
    fit = fit_head(network, [(row.query, (row.passage, *row.negatives)) for row in distinct], seed=seed)
    say(fit.sentence)
    return asdict(fit)


def _step_in_words(train: TrainSettings, number: int) -> str:
    factors = [number, train.batch_size, train.accumulate]
    words = [f"{number} processes", f"{train.batch_size} rows", f"{train.accumulate} accumulated"]
    product = " x ".join(words[: 2 if train.accumulate == 1 else 3])
    return f"a step of training: {product} = {math.prod(factors):,} rows"


def merge_model(
    recipe: Recipe, trained: Path, folder: Path, *, overwrite: bool = False, say: Say = lambda line: None
) -> None:
    """Mix the model in ``trained`` with the base model, with a weight that is given or chosen on the dev rows."""
    from clearir.evaluation.merge_weight import choose_weight, save
    from clearir.models.interpolate import interpolate
    from clearir.training.train import TRAINING

    wanted = recipe.merge or MergeSettings()

    def make(folder: Path) -> Mapping[str, Any]:
        base, tuned = load_model_of(recipe, recipe.model), load_model_of(recipe, str(trained.resolve()))
        facts: dict[str, Any] = {"base": recipe.model, "weight": wanted.weight}
        if wanted.weight is None:
            choice = choose_weight(base, tuned, _dev_suite(recipe, "merge"), retention=wanted.retention)
            facts |= {"weight": choice.weight, "choice": asdict(choice)}
        save(interpolate(base, tuned, facts["weight"]), folder, facts)
        shutil.copyfile(trained / TRAINING, folder / TRAINING)
        return {**read_json(trained / MANIFEST)["result"], "weight": facts["weight"]}

    _stage(folder, training_settings(recipe), make, "merged model", overwrite, say)


def training_settings(recipe: Recipe) -> dict[str, Any]:
    """Everything that the weights of the model that comes out depend on."""
    merged = {} if recipe.merge is None else {"merge": recipe.merge.model_dump(mode="json")}
    return merged | {
        "mined": stage_fingerprint(Path(recipe.output) / "mined"),
        "train": recipe.train.deciding(),
        "loss": recipe.loss.deciding(),
        "prompts": recipe.prompts.model_dump(),
        "model": content_of(recipe.model),
        "seed": recipe.seed,
        **({"teacher": content_of(recipe.loss.teacher)} if recipe.loss.teacher else {}),
        **({} if recipe.kind == DENSE else {"kind": recipe.kind}),
    }


def score(recipe: Recipe, *, overwrite: bool = False, say: Say = lambda line: None) -> None:
    """Score the base model and the trained one on the test rows, in every direction: ``scores/``."""
    from clearir.report.load import SCORED

    out = Path(recipe.output)
    settings = {
        "rows": stage_fingerprint(out / "rows"),
        "base": content_of(base_model(recipe)),
        SCORED: model_content(out / "model"),
        "name": recipe.name,
        "prompts": recipe.prompts.model_dump(),
        "max_seq_length": recipe.train.max_seq_length,
        "evaluate": recipe.evaluate.model_dump(mode="json"),
        **first_stage(recipe),
    }
    _stage(out / "scores", settings, lambda folder: _write_scores(recipe, folder), "scores", overwrite, say)


def answer_searches(recipe: Recipe, *, say: Say = lambda line: None) -> None:
    """Answer the recipe's example queries over the test passages, with both models: ``searches.json``."""
    from clearir.evaluation import searches

    out = Path(recipe.output)
    path = out / "searches.json"
    if not recipe.searches:
        path.unlink(missing_ok=True)
        return
    say("searches")
    rows = read_part(out / "rows", "test")
    wanted = recipe.searches
    examples = searches.held_out(rows, wanted, recipe.seed) if isinstance(wanted, int) else list(wanted)
    questions = {row.passage: row.query for row in reversed(rows)}
    answers = [_top_passages(recipe, model, examples, questions) for model in _models(recipe)]
    found = [
        searches.Search(one.language, one.query, before, after, one.meaning, one.right)
        for one, before, after in zip(examples, *answers, strict=True)
    ]
    write_json(path, searches.to_json(found))


def read_words(recipe: Recipe, *, say: Say = lambda line: None) -> None:
    """Of a sparse model, the words that the target queries of the test rows fire, before and after: ``words.json``."""
    from clearir.runs.read_words import fired_words

    path = Path(recipe.output) / "words.json"
    if recipe.kind != SPARSE:
        path.unlink(missing_ok=True)
        return
    say("words")
    before, after = starting_model(recipe), _models(recipe)[1]
    rows = read_part(path.parent / "rows", "test")
    write_json(path, fired_words(load_model_of(recipe, before), load_model_of(recipe, after), rows).as_json())


def _push(out: Path, repo: str, say: Say) -> None:
    """The model with its card on the Hub, once for each model."""
    from clearir.models.push import push_model

    card = fingerprint((out / "model" / "README.md").read_text(encoding="utf-8"))
    settings = _of_stage("push", {"repo": repo, "model": model_content(out / "model"), "card": card})
    done = run_stage(out / "pushed", settings, lambda _: {"address": push_model(out / "model", repo)}, overwrite=True)
    address = read_json(out / "pushed" / MANIFEST)["result"]["address"]
    say(f"model on the Hub: {'pushed to' if done else 'already at'} {address}")


def write_outcome(out: Path) -> Run:
    """Write the report and the model's card from what is in a run's folder, and return that."""
    from clearir.models.kind import in_pylates_layout
    from clearir.report.load import load_run
    from clearir.report.model_card import model_card
    from clearir.report.write import write_report

    finished = load_run(out)
    write_report(finished, out)
    with atomic_file(out / "model" / "README.md") as temporary:
        card = model_card(finished, in_pylate=in_pylates_layout(out / "model"))
        temporary.write_text(card, encoding="utf-8")
    return finished


def test_suite(recipe: Recipe) -> Suite:
    """The held-out rows of a recipe as a suite."""
    from clearir.evaluation.suites import Suite

    rows = read_part(Path(recipe.output) / "rows", "test")
    if not rows:
        raise InputError(
            f"data.test={recipe.data.test} held out none of the rows; ask for a number of each language: data.test=10"
        )
    return Suite.from_rows(rows, recipe.name)


def _dev_suite(recipe: Recipe, what: str) -> Suite:
    from clearir.evaluation.suites import Suite
    from clearir.training.best_checkpoint import no_dev_rows

    rows = read_part(Path(recipe.output) / "rows", "dev")
    if not rows:
        raise no_dev_rows(what)
    return Suite.from_rows(rows, f"{recipe.name} dev")


def named_suite(name: str) -> Suite:
    """An evaluation set that a recipe names: a table, a folder, a suite, or ``NAME:FOLDER``."""
    from clearir.evaluation.registry import SUITES, load_suite, suite_at

    known, _, folder = name.partition(":")
    try:
        if known not in SUITES and Path(name).exists():
            return suite_at(Path(name))
        return load_suite(known, folder or None)
    except InputError as error:
        if not re.search(r"\bcolumns\.|\bon_bad=", str(error)):
            raise
        fix = "a set that a recipe names so takes no options: rename the columns, or take the rows out of the file"
        raise InputError(f"{error}; {fix}") from error


# -- what the stages do -----------------------------------------------------------------------------------------


def _prepare(
    recipe: Recipe, folder: Path, model: str | None, overwrite: bool, say: Say, check: Callable[[], None]
) -> Prepared:
    """Read, ``check`` what comes after all this, and prepare."""
    from clearir.data.translate import load_translator
    from clearir.runs.prepare_run import PrepareSettings, prepare

    skipped: Counter[str] = Counter()
    rows = _read(recipe, skipped)
    translator = None
    if recipe.translate is not None:
        translator = load_translator(recipe.translate.backend, **(recipe.translate.model_extra or {}))
    check()
    done = prepare(
        rows.rows,
        folder,
        PrepareSettings(
            languages=recipe.translate.languages if recipe.translate else (),
            filter=recipe.filter,
            test=recipe.data.test,
            dev=recipe.data.dev,
            model=model,
            mine=recipe.mine,
            prompts=recipe.prompts,
            max_seq_length=recipe.train.max_seq_length,
            trust_remote_code=recipe.trust_remote_code,
            seed=recipe.seed,
        ),
        translator=translator,
        against={name: _texts_of(name) for name in recipe.decontaminate},
        left_out=dict(skipped) | ({"duplicate": rows.duplicates} if rows.duplicates else {}),
        overwrite=overwrite,
    )
    say(f"{folder.name}: {'written to' if done.new else 'already in'} {folder}")
    return done


def _read(recipe: Recipe, skipped: Counter[str]) -> Rows:
    from clearir.data import sources

    data = recipe.data
    path: Any = data.path if data.path is not None else sources.fetch(data.source, recipe.output, data.languages)
    if path is None:
        raise InputError("data.path is missing; add it to the recipe, or type data.path=FILE behind it")
    options = data.model_dump(exclude={"source", "path", "test", "dev"})
    if data.source in ("table", "hub") and recipe.translate is not None:
        options["keep_open"] = True
    return Rows.collect(sources.read(data.source, path, skipped=skipped, **options), f"{data.source} {path}")


def _texts_of(name: str) -> list[str]:
    """All texts of an evaluation set; see `named_suite`."""
    return sorted(named_suite(name).texts())


def _write_mined(recipe: Recipe, folder: Path) -> Mapping[str, Any]:
    from clearir.training.batches import draw_rows
    from clearir.training.mine import mine

    rows = read_part(Path(recipe.output) / "rows", "train")
    drawn = draw_rows(rows, recipe.train, recipe.seed, processes.count())
    distinct = list(dict.fromkeys(drawn))
    wanted = recipe.mine
    own = all(row.negatives or row.target_negatives for row in distinct)  # the table came with negatives of its own
    if own or not wanted.mines:
        mined = distinct
        topped_up = [0, 0]
    else:
        found = mine(
            distinct,
            load_model_of(recipe, recipe.finder),
            wanted,
            seed=recipe.seed,
            cache=Path(recipe.output) / "cache",
        )
        mined = list(found.rows)
        topped_up = [found.topped_up_passages, found.topped_up_queries]
    with_negatives = dict(zip(distinct, mined, strict=True))
    table = Rows(tuple(with_negatives[row] for row in drawn))
    table.to_parquet(folder / "train.parquet")
    n, m = table.num_negatives
    _write_sizes(recipe, {"negatives": [n, m], "topped_up": topped_up})
    return {"rows": len(drawn), "distinct": len(distinct), "topped_up": topped_up}


def _write_sizes(recipe: Recipe, more: Mapping[str, Any]) -> None:
    facts = read_json(Path(recipe.output) / "rows" / MANIFEST)["result"]
    languages: dict[str, dict[str, int]] = {}
    for part, counts in facts["splits"].items():
        for language, count in counts.items():
            languages.setdefault(language, dict.fromkeys(PARTS, 0))[part] = count
    left_out = Counter(facts["left_out"])
    left_out.update({one["reason"]: one["rows"] for one in facts["filtered"]})
    write_json(
        Path(recipe.output) / "data.json",
        {
            "languages": languages,
            "duplicates": left_out.pop("duplicate", 0),
            "skipped": left_out,
            "source": recipe.data.source,
            **more,
        },
    )


def _write_scores(recipe: Recipe, folder: Path) -> Mapping[str, Any]:
    from clearir.evaluation.scores import texts_behind

    suite, cache, pools = test_suite(recipe), Path(recipe.output) / "cache", recipe.evaluate.pools
    base, tuned = _models(recipe)
    before = evaluated(load_models(recipe, base), suite, base_name(recipe, base), cache=cache, pools=pools)
    after = evaluated(load_models(recipe, tuned), suite, recipe.name, cache=cache, pools=pools)
    before.save(folder / "before.json")
    after.save(folder / "after.json")
    texts_behind([before, after], suite.queries, suite.passages).save(folder / "texts.json")
    return {"before": before.summary(), "after": after.summary()}


def _top_passages(
    recipe: Recipe, model: str, examples: Sequence[SearchExample], questions: Mapping[str, str]
) -> list[list[FoundPassage]]:
    """The best of the passages (the keys of ``questions``) for each example."""
    import numpy as np

    from clearir.evaluation.searches import HITS, FoundPassage
    from clearir.models.any_kind import encode_any, scorer

    network, rerank = load_models(recipe, model)
    prompts = prompts_of(network)
    cache = Path(recipe.output) / "cache"
    passages = list(questions)
    queries = [example.query for example in examples]
    score = scorer(encode_any(network, passages, "passage", prompt=prompts.passage, cache=cache), "cpu")
    scores = score(encode_any(network, queries, "query", prompt=prompts.query, cache=cache)).numpy()
    best = np.argsort(-scores, axis=1, kind="stable")[:, : HITS if rerank is None else rerank.top]
    if rerank is not None:
        best = np.array(
            [
                _reranked(rerank, query, passages, found, row)
                for query, found, row in zip(queries, best, scores, strict=True)
            ]
        )

    def hit(example: SearchExample, place: int, score: float) -> FoundPassage:
        passage = passages[place]
        return FoundPassage(passage, round(score, 4), questions[passage], passage == example.right)

    return [
        [hit(example, i, float(row[i])) for i in places[:HITS]]
        for example, row, places in zip(examples, scores, best, strict=True)
    ]


def _reranked(
    rerank: Reranking, query: str, passages: Sequence[str], found: Sequence[int], first: Sequence[float]
) -> list[int]:
    """The places of the passages found for a query, in a reranker's order; ``first``: the scores of all passages."""
    scores = rerank.read([(query, passages[place]) for place in found])
    return [found[one] for one in rerank.order(scores.tolist(), [float(first[place]) for place in found])]


def _stage(
    folder: Path,
    settings: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any] | None],
    name: str,
    overwrite: bool,
    say: Say,
) -> None:
    done = run_stage(folder, _of_stage(name, settings), make, overwrite=overwrite)
    say(f"{name}: {'written to' if done else 'already in'} {folder}")


def _of_stage(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"stage": name, **settings}


def base_model(recipe: Recipe) -> str:
    """The model that scores before training are of.

    A new reranker has a random head, so what its training has gained is counted from the dense model that finds the
    passages. One that is trained on is counted from what it was.
    """
    from clearir.models.load import saved_as

    if recipe.kind == RERANKER and saved_as(recipe.model) != RERANKER:
        return recipe.finder
    return recipe.model


def base_name(recipe: Recipe, name: str) -> str:
    """What scores call the base model: ``name``, and that it is dense where another kind is trained from it.

    What late interaction, a sparse model or a reranker begins with is new, so what a training has gained is counted
    from the dense model.
    """
    from clearir.models.load import saved_as

    dense = recipe.kind != DENSE and saved_as(base_model(recipe)) not in (LATE_INTERACTION, SPARSE, RERANKER)
    return f"{name} (dense)" if dense else name


def first_stage(recipe: Recipe) -> dict[str, Any]:
    """What a reranker's scores depend on besides; empty for the other kinds."""
    if recipe.kind != RERANKER:
        return {}
    weight = {"first_weight": recipe.rerank.first_weight} if recipe.rerank.first_weight else {}
    return {"first": content_of(recipe.finder), "top": recipe.rerank.top, **weight}


def evaluated(
    models: tuple[Any, Reranking | None], suite: Suite, name: str, *, cache: Path | None, pools: Sequence[str]
) -> Scores:
    """Scores of the base or of a trained model.

    Args:
        models: see `load_models`.
        suite: what is scored.
        name: of the model in the scores.
        cache: folder of vectors.
        pools: see `clearir.evaluation.matrix.evaluate`.
    """
    from clearir.evaluation.matrix import evaluate

    network, rerank = models
    scores = evaluate(network, suite, name=name, cache=cache, pools=pools, rerank=rerank)
    return replace(scores, model=name)


def load_models(recipe: Recipe, model: str) -> tuple[Any, Reranking | None]:
    """A model that finds passages, and what puts them in order, if ``model`` is a reranker."""
    from clearir.models.reranker import Reranking, load_reranker

    if recipe.kind != RERANKER or model == recipe.finder:
        return load_model_of(recipe, model), None
    reranker = load_reranker(
        model, max_seq_length=recipe.train.max_seq_length, trust_remote_code=recipe.trust_remote_code
    )
    settings = recipe.rerank
    return load_model_of(recipe, recipe.finder), Reranking(reranker, model, settings.top, settings.first_weight)


def _models(recipe: Recipe) -> tuple[str, str]:
    return base_model(recipe), str(Path(recipe.output).resolve() / "model")


def stage_fingerprint(folder: Path) -> str:
    """What a finished stage's output depends on, as one word."""
    return str(read_json(folder / MANIFEST)["fingerprint"])
