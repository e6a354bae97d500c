"""What several commands of the command line share: options, how they are read, and lines that are shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from clearir.cli.console import console
from clearir.support.errors import InputError
from clearir.support.locks import alone

if TYPE_CHECKING:
    from clearir.models.reranker import Reranking
    from clearir.settings import Settings

SettingsKind = TypeVar("SettingsKind", bound="Settings")
QueryPrompt = Annotated[str | None, typer.Option(help="Prompt before every query; default: the model's own.")]
PassagePrompt = Annotated[str | None, typer.Option(help="Prompt before every passage; default: the model's own.")]
MaxSeqLength = Annotated[int | None, typer.Option(help="Maximum tokens per text; default: the model's own limit.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with a model.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for cached embeddings.")]
Vectors = Annotated[Path | None, typer.Option(help="Passage vectors written by clearir encode.")]
Rerank = Annotated[str | None, typer.Option(help="Reranker that puts the first passages in order: Hub name or folder.")]
FirstWeight = Annotated[
    float, typer.Option(min=0, help="With --rerank: weight of the first model's score beside the reranker's.")
]
Top = Annotated[int, typer.Option(min=1, help="With --rerank: number of passages to rerank per query.")]
#: where click has a value from that is not the option's default
TYPED = ("COMMANDLINE", "ENVIRONMENT")
TableOptions = Annotated[
    list[str] | None,
    typer.Argument(help="Options of the table: columns.query=question, language=sw, on_bad=skip ..."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs made with other settings.")]


def cache_folder(given: Path | None) -> Path:
    """Where embeddings are kept: the folder that was given, else one in the user's cache."""
    return given or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "clearir" / "embeddings"


def say(line: str) -> None:
    """Show a line beside the results."""
    console.print(f"[dim]{plain(line)}[/]", soft_wrap=True)


def silence_libraries() -> None:
    """Bars and notes of the libraries would stand between our own; their warnings stay."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def pair_of(text: str) -> tuple[int, int]:
    """Two ranks, ``10,100``.

    Raises:
        InputError: it is something else.
    """
    first, comma, last = text.partition(",")
    if not comma or not first.strip().isdigit() or not last.strip().isdigit():
        raise InputError(f"--window {text!r}: write the first and the last rank, e.g. --window 10,100")
    return int(first), int(last)


def settings_of(kind: type[SettingsKind], **options: Any) -> SettingsKind:
    """Settings out of a command's options.

    Raises:
        InputError: an option's value does not fit; the message names it as it is typed.
    """
    from pydantic import ValidationError

    from clearir.settings import wrong_in

    try:
        return kind.model_validate(options)
    except ValidationError as error:
        lines = []
        for one in error.errors():
            place = f"--{one['loc'][0]}: ".replace("_", "-") if one["loc"] else ""
            got = f" (got {one['input']!r})" if one["loc"] else ""
            lines.append(f"{place}{wrong_in(one)}{got}; correct it")
        raise InputError("\n".join(lines)) from error


def claim(context: typer.Context, path: Path, overwrite: bool) -> None:
    """Let no other process write an output until the command ends, and refuse one that is there already."""
    context.with_resource(alone(path))
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists; choose another --out or add --overwrite")


def refuse_ignored(context: typer.Context, beside: str, *options: str) -> None:
    """Refuse those of some options that were typed, beside one with which they would not be heeded.

    Raises:
        InputError: one was.
    """
    if typed := _typed(context, options):
        raise InputError(f"{', '.join(typed)}: no effect with {beside}; leave it out")


def _typed(context: typer.Context, options: Iterable[str]) -> list[str]:
    """Those of some options that were typed, as they are typed."""
    sources = {name: context.get_parameter_source(name) for name in options}
    return [f"--{name.replace('_', '-')}" for name, source in sources.items() if source and source.name in TYPED]


def reranking_of(
    context: typer.Context, rerank: str | None, top: int, first_weight: float, trust_remote_code: bool
) -> Reranking | None:
    """The reranker of ``--rerank``, loaded; None where none is asked for.

    Raises:
        InputError: it is no reranker, or ``--top`` or ``--first-weight`` was typed alone.
    """
    from clearir.models.reranker import Reranking

    if rerank is not None:
        return Reranking.load(rerank, top=top, first_weight=first_weight, trust_remote_code=trust_remote_code)
    if typed := _typed(context, ("top", "first_weight")):
        raise InputError(f"{', '.join(typed)}: no effect without --rerank; add a reranker, or leave it out")
    return None


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
        raise InputError(f"{rest[0]!r} is not an option of a table; these are: {', '.join(tables.OPTIONS)} (KEY=VALUE)")
    return parse_assignments([_as_text(one) for one in own]), rest


def _as_text(assignment: str) -> str:
    """The same with its value in quotation marks where YAML would make no text of it: ``language=no`` is Norwegian.

    A list in brackets stays one.
    """
    import json

    import yaml

    key, _, value = assignment.partition("=")
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):
        read = None
    if isinstance(read, list):
        return f"{key}={json.dumps([one.strip() for one in value.strip()[1:-1].split(',')])}"
    return assignment if key == "max_negatives" or isinstance(read, str) else f"{key}={json.dumps(value)}"


def refuse_options(options: Mapping[str, Any], beside: str) -> None:
    """Refuse options of a table where no table is read.

    Raises:
        InputError: there are some.
    """
    if options:
        raise InputError(f"{', '.join(options)}: no effect with {beside}; leave it out")


def suite_of(
    name: str | None,
    data: Sequence[Path],
    languages: list[str] | None,
    split: str | None,
    part: str,
    options: Mapping[str, Any],
) -> Any:
    """The suite of that name, or that of a table.

    Raises:
        InputError: neither is given, or it cannot be read.
    """
    from clearir.evaluation.registry import load_suite, suite_at

    if name is None and not data:
        raise InputError("nothing to score on; give --suite NAME (see clearir suites), or --data with a table of rows")
    if len(data) > 1:
        raise InputError(f"--data: {len(data)} paths; give one, or add --task bitext for aligned text files")
    path = data[0] if data else None
    if name is not None:
        refuse_options({key: value for key, value in options.items() if key != "on_bad"}, "--suite")
        return load_suite(name, path, languages, split=split, on_bad=options.get("on_bad", "error"))
    assert path is not None
    return suite_at(path, languages, split=split, part=part, **options)


def bitext_of(
    context: typer.Context,
    data: Sequence[Path],
    languages: list[str] | None,
    split: str | None,
    options: Mapping[str, Any],
) -> Any:
    """The suite of ``--task bitext``.

    Raises:
        InputError: no data are given, they cannot be read, or an option has no effect beside the task.
    """
    from clearir.evaluation.registry import bitext_at

    refuse_ignored(
        context, "--task bitext, which takes --data and reads all texts as queries", "suite", "passage_prompt"
    )
    if not data:
        raise InputError("nothing to score on; give --data NAME.en --data NAME.om (aligned text files), or a table")
    return bitext_at(data, languages, split=split, **options)


def names_in(text: str | None) -> list[str] | None:
    """What stands between commas."""
    return [one.strip() for one in text.split(",") if one.strip()] if text else None


def slugs(models: list[str]) -> list[str]:
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


def score_names(models: list[str], rerank: str | None, top: int, first_weight: float = 0.0) -> list[list[str]]:
    """Names of the files of scores of each model: of itself, and of it with the reranker if there is one."""
    names = slugs(models)
    if rerank is None:
        return [[name] for name in names]
    [reranker] = slugs([rerank])
    weight = f"-first{first_weight:g}" if first_weight else ""
    return [[name, f"{name}+{reranker}-top{top}{weight}"] for name in names]


def plain(text: str) -> str:
    """Text as it is, for rich, which would read [brackets] as markup."""
    from rich.markup import escape

    return escape(text)
