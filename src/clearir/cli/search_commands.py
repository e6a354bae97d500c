"""The commands of the command line that index and search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearir.cli.common import (
    Cache,
    FirstWeight,
    MaxSeqLength,
    PassagePrompt,
    QueryPrompt,
    Rerank,
    Top,
    TrustRemoteCode,
    Vectors,
    cache_folder,
    names_in,
    plain,
    refuse_ignored,
    reranking_of,
    say,
    silence_libraries,
    table_options,
)
from clearir.cli.console import console, errors
from clearir.settings import MAX_LOST, TOP
from clearir.support.errors import InputError

if TYPE_CHECKING:
    from clearir.models.reranker import Reranking
    from clearir.search.query import Compared, Hit, Searcher

Folder = Annotated[str, typer.Argument(help="Folder or URI of an index (clearir index).", metavar="DIR")]
ModelOption = Annotated[str | None, typer.Option(help="Current path of the model, if it was moved.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    for command in (encode, index, search, serve, export, trim):
        app.command()(command)


def encode(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Hub name or folder.")],
    corpus: Annotated[str, typer.Argument(help="Passages: a Parquet file, or a folder of them.")],
    options: Annotated[list[str] | None, typer.Argument(help="Column names, e.g. columns.text=body")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("vectors"),
    engine: Annotated[str, typer.Option(help="local, or ray for the workers of a Ray cluster.")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of Ray workers; default: one per GPU, or one per CPU.")
    ] = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace vectors made from other inputs.")] = False,
) -> None:
    """Encode a corpus of any size, shard by shard: Parquet in, Parquet out.

    `clearir index` and `clearir mine` read the vectors with --vectors. A stopped run resumes.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir encode runs/sample/model runs/sample/rows columns.text=passage
    ```
    """
    from clearir.models.encode_corpus import encode_corpus
    from clearir.models.load import Loading
    from clearir.runs.recipe import parse_assignments

    if engine not in ("local", "ray"):
        raise InputError(f"--engine {engine}: write local or ray")
    if engine == "local":
        refuse_ignored(context, "--engine local, which runs in one process", "workers")
    given = parse_assignments(options or [])
    unknown = next((name for name in given if name != "columns"), None)
    if unknown is not None:
        raise InputError(f"{unknown}: not an option of clearir encode; write for example columns.text=body")
    silence_libraries()
    done = encode_corpus(
        corpus,
        model,
        out,
        engine=engine,  # type: ignore[arg-type]
        workers=workers,
        columns=given.get("columns"),
        loading=Loading(
            passage_prompt=passage_prompt, max_seq_length=max_seq_length, trust_remote_code=trust_remote_code
        ),
        overwrite=overwrite,
    )
    console.print(f"{done.passages:,} passages in {done.shards:,} shards; computed in this run: {done.computed:,}")
    console.print(plain(str(out)), soft_wrap=True)


def index(
    model: Annotated[str, typer.Argument(help="Hub name or folder.")],
    corpus: Annotated[
        str, typer.Argument(help="Passages: .txt (one per line), JSON lines, CSV, TSV, Parquet or a spreadsheet.")
    ],
    options: Annotated[
        list[str] | None, typer.Argument(help="Options: columns.text=body, language=fi, or those of the --source.")
    ] = None,
    out: Annotated[str, typer.Option(help="Folder to write to, or a URI (s3://bucket/index).")] = "index",
    source: Annotated[
        str | None, typer.Option(help="Read passages like training rows: table, squad, debian, beir ...")
    ] = None,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    max_seq_length: MaxSeqLength = None,
    cache: Cache = None,
    vectors: Vectors = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index made from other inputs.")] = False,
) -> None:
    """Build a search index of a corpus, for `clearir search` and `clearir serve`.

    A passage has a text and optionally a title, an id and a language. All other columns become fields to filter by.
    A stopped run resumes.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir index runs/sample/model rows.jsonl --source table --out index
    ```
    """
    from clearir.cli.search_tables import describe
    from clearir.data.passages import read_corpus
    from clearir.models.load import Loading
    from clearir.models.ready_vectors import ReadyVectors
    from clearir.runs.recipe import parse_assignments
    from clearir.search.index import build_index

    silence_libraries()
    passages = read_corpus(corpus, source, **parse_assignments(options or []))
    for reason, count in passages.left_out.items():
        say(f"skipped: {count:,} ({reason})")
    info, new = build_index(
        passages,
        model,
        out,
        cache=cache_folder(cache),
        ready=ReadyVectors.open(vectors) if vectors else None,
        loading=Loading(
            query_prompt=query_prompt,
            passage_prompt=passage_prompt,
            max_seq_length=max_seq_length,
            trust_remote_code=trust_remote_code,
        ),
        overwrite=overwrite,
    )
    for line in describe(info):
        console.print(plain(line), soft_wrap=True)
    console.print(plain(f"{'written to' if new else 'already in'} {out}"), soft_wrap=True)
    console.print(plain(f"search it: clearir search {out}"), soft_wrap=True)
    console.print(plain(f"as a page: clearir serve {out}"), soft_wrap=True)


def search(
    context: typer.Context,
    folder: Folder,
    query: Annotated[
        str | None, typer.Argument(help="Query in any language; without it, clearir prompts for queries.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Number of passages.")] = 10,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Combine with a search for the words of the query.")] = False,
    compare: Annotated[str | None, typer.Option(help="Index of the base model, for comparison.")] = None,
    rerank: Rerank = None,
    top: Top = TOP,
    first_weight: FirstWeight = 0.0,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="FIELD=VALUE, also with < <= > >=; can be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per query.")] = False,
    examples: Annotated[
        Path | None,
        typer.Option(help="searches.json or rows of a run: count how often the right passage ranks first."),
    ] = None,
    model: ModelOption = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Search an index in any language.

    Without a query, prompts for queries; with --json, reads them from standard input, one per line. With --examples,
    runs the queries of a training run and counts how often the right passage ranks first. With --rerank, a reranker
    (CrossEncoder) puts the first passages in order, with --compare those of both models; see docs/reranking.md.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir index runs/sample/model rows.jsonl --source table
    clearir search index "Ninahifadhije faili?" --hybrid
    ```
    """
    import json

    from clearir.cli.search_tables import compared_table, describe, hits_table
    from clearir.search.index import load_info
    from clearir.search.query import to_json

    if examples is not None and (query is not None or hybrid or filters or as_json):
        raise InputError("--examples ranks by meaning only; leave out the query, --hybrid, --filter and --json")
    info = load_info(folder)  # before a reranker is loaded for nothing
    reranking = reranking_of(context, rerank, top, first_weight, trust_remote_code)
    if examples is not None:
        _count(folder, compare, examples, model, trust_remote_code, reranking)
        return
    searcher, base = _open_both(folder, compare, model, trust_remote_code, reranking, light=True)
    answer = _answerer(searcher, base, k, hybrid, filters or [])

    def show(text: str) -> None:
        result = answer(text)
        if as_json:
            typer.echo(json.dumps(to_json(text, result), ensure_ascii=False))
        elif isinstance(result, list):
            console.print(hits_table(text, result))
        else:
            console.print(compared_table(text, result))

    if query is not None:
        show(query)
        return
    if not as_json:
        for line in describe(info, reranking):
            console.print(f"[dim]{plain(line)}[/]", soft_wrap=True)
    for one in (searcher, base):
        if one is not None:
            one.warm_up()
    for text in _typed(quiet=as_json):
        try:
            show(text)
        except InputError as error:
            if as_json:
                raise
            errors.print(f"[bold red]error:[/] {plain(str(error))}", soft_wrap=True)


def serve(
    context: typer.Context,
    folder: Folder,
    base: Annotated[str | None, typer.Option(help="Index of the base model, for comparison.")] = None,
    rerank: Rerank = None,
    top: Top = TOP,
    first_weight: FirstWeight = 0.0,
    examples: Annotated[
        Path | None,
        typer.Option(help="Queries that the page suggests: records with language and query, or those of a run."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="What the passages are, for the headline: 'questions of our members'.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any other than loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8321,
    rate: Annotated[float, typer.Option(min=0, help="Queries per second and client; 0: no limit.")] = 10,
    model: ModelOption = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve a search page and a JSON API.

    Only this machine can connect unless you set --host. The token is read from CLEARIR_TOKEN. With --rerank, a reranker
    (CrossEncoder) puts the first passages in order, with --base those of both models.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir index runs/sample/model rows.jsonl --source table
    clearir serve index
    ```
    """
    from clearir.search.examples import read_examples
    from clearir.search.index import load_info
    from clearir.search.limits import Limits
    from clearir.search.serve import serve as serve_index

    silence_libraries()
    load_info(folder)  # before a reranker is loaded for nothing
    serve_index(
        folder,
        base=base,
        examples=read_examples(examples) if examples else (),
        run=examples.parent if examples else None,
        title=title,
        address=(host, port),
        limits=Limits(rate=rate),
        model=model,
        trust_remote_code=trust_remote_code,
        rerank=reranking_of(context, rerank, top, first_weight, trust_remote_code),
        ready=lambda page: console.print(f"{page} (stop with Ctrl-C)", soft_wrap=True),
    )


def export(
    model: Annotated[str, typer.Argument(help="Hub name or folder.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(help="Options of the table: columns.query=question, language=sw, on_bad=skip ..."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("exported"),
    data: Annotated[Path | None, typer.Option(help="Table of rows to measure the loss of quality on.")] = None,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export made from other inputs.")] = False,
) -> None:
    """Export a model to ONNX, in full precision and with 8-bit weights, and measure the loss of quality.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir export runs/sample/model --data runs/sample/rows --out onnx
    ```
    """
    from clearir.cli.search_tables import exports_table
    from clearir.evaluation.export import SCORES, export_model
    from clearir.evaluation.registry import suite_at

    silence_libraries()
    given, _ = table_options(options or [], only=True)
    if given and data is None:
        raise InputError(f"{', '.join(given)}: options of a table, but no table is given; add --data")
    suite = suite_at(data, **given) if data else None
    exports = export_model(model, out, suite, trust_remote_code=trust_remote_code, overwrite=overwrite)
    console.print(exports_table(exports))
    console.print(plain(str(out)), soft_wrap=True)
    if suite is not None:
        files = " ".join(str(out / file) for file in SCORES.values())
        console.print(plain(f"intervals: clearir compare {files}"), soft_wrap=True)


def trim(
    model: Annotated[str, typer.Argument(help="Hub name or folder.")],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="Texts like those the model will read: a table, a .txt file, a folder of tables."),
    ] = None,
    languages: Annotated[
        str | None, typer.Option(help="Keep all words in the scripts of these languages, comma-separated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("trimmed"),
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of the tables, comma-separated; default: all texts except ids, languages and addresses."
        ),
    ] = None,
    max_lost: Annotated[
        float, typer.Option(min=0, max=1, help="Fail if a larger share of the words of held-out texts is lost.")
    ] = MAX_LOST,
    trust_remote_code: TrustRemoteCode = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model made with other settings.")] = False,
) -> None:
    """Make a multilingual model smaller: keep only the words of your texts or languages.

    Most of a multilingual model is its word table. Texts without lost words keep their vectors. A tenth of the texts is
    held out to measure how many words of new texts would be lost.

    Example, in a folder where `clearir init` was run:

    ```sh
    clearir train recipe.yaml
    clearir trim runs/sample/model --corpus rows.jsonl --languages sw
    ```
    """
    from clearir.cli.search_tables import trimmed_table
    from clearir.models.trim import trim as trim_model

    silence_libraries()
    trimmed = trim_model(
        model,
        out,
        corpus=corpus or [],
        languages=names_in(languages) or [],
        columns=names_in(columns),
        max_lost=max_lost,
        trust_remote_code=trust_remote_code,
        overwrite=overwrite,
    )
    console.print(trimmed_table(trimmed))
    console.print(plain(str(out)), soft_wrap=True)


def _answerer(
    searcher: Searcher, base: Searcher | None, k: int, hybrid: bool, filters: list[str]
) -> Callable[[str], list[Hit] | Compared]:
    """A function that answers a query, with one index or with two against each other."""
    from clearir.search.query import compare as compare_hits

    if base is None:
        return lambda query: searcher.search(query, k, hybrid=hybrid, filters=filters)
    return lambda query: compare_hits(base, searcher, query, k, hybrid=hybrid, filters=filters)


def _open_both(
    folder: str,
    base: str | None,
    model: str | None,
    trust_remote_code: bool,
    rerank: Reranking | None,
    *,
    light: bool = False,
) -> tuple[Searcher, Searcher | None]:
    """An index, and that of the base model over the same corpus if there is one."""
    from clearir.search.query import Searcher, check_same_corpus

    searcher = Searcher.open(folder, model=model, trust_remote_code=trust_remote_code, light=light, rerank=rerank)
    if base is None:
        return searcher, None
    before = Searcher.open(base, trust_remote_code=trust_remote_code, light=light, rerank=rerank)
    check_same_corpus(before.info, searcher.info)
    return searcher, before


def _count(
    folder: str,
    base: str | None,
    examples: Path,
    model: str | None,
    trust_remote_code: bool,
    rerank: Reranking | None,
) -> None:
    from clearir.cli.search_tables import first_table
    from clearir.search.examples import count_first, read_examples

    known = read_examples(examples)
    searcher, before = _open_both(folder, base, model, trust_remote_code, rerank)
    console.print(first_table(count_first(known, searcher, before), against_base=before is not None))


def _typed(*, quiet: bool) -> Iterator[str]:
    """What is typed, line after line, until the end of the input."""
    import contextlib
    import sys

    with contextlib.suppress(AttributeError):  # a notebook's
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # a wrong byte is said, see above
    if sys.stdin.isatty() and not quiet:
        with contextlib.suppress(ImportError):  # not everywhere; it gives the prompt a history
            import readline  # noqa: F401
        console.print("[dim]type a query in any language; an empty line exits[/]")
    while True:
        try:
            line = input("" if quiet or not sys.stdin.isatty() else "query> ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line:
            yield line
        elif sys.stdin.isatty():
            return
