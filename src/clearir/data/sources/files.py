"""Files on disk -> records, each with its place in words. Knows formats, not what the columns mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clearir.data.sources.checks import BadRowError
from clearir.data.sources.excel import SHEET_SUFFIXES, sheet_rows
from clearir.data.sources.separated import separated
from clearir.data.sources.textfiles import TEXT_SUFFIXES, unpacked_name
from clearir.data.sources.textfiles import decoded as decoded
from clearir.data.sources.textfiles import lines as lines
from clearir.support.artifacts import MANIFEST
from clearir.support.errors import InputError, first_line

Record = dict[str, Any]
Located = tuple[str, Record | BadRowError]
Paths = str | Path | Iterable[str | Path]

SUFFIXES = (*TEXT_SUFFIXES, ".parquet", *SHEET_SUFFIXES)


def find(path: Paths) -> list[Path]:
    """The files of a table: the one, the several, or the shards in a folder, all of one kind.

    Raises:
        InputError: no such file, a name that says no format, a folder without tables or with several kinds.
    """
    if isinstance(path, str | Path):
        return _shards(Path(path)) if Path(path).is_dir() else [_file(Path(path))]
    files = [_file(Path(one)) for one in path]
    if not files:
        raise InputError("no files given; name at least one")
    return files


def records(file: Path, header: Callable[[list[str]], Iterable[str]] = list) -> Iterator[Located]:
    """The records of one file.

    Args:
        file: a name that ends in one of `SUFFIXES`, perhaps with ``.gz`` or ``.zip``.
        header: called with the columns of CSV, TSV, Parquet and spreadsheets before the first row. It may refuse them,
            and it returns those that are wanted.

    Raises:
        InputError: the file as a whole cannot be read.
    """
    suffix = _suffix(file)
    if suffix in (".jsonl", ".ndjson"):
        return json_lines(file)
    if suffix == ".json":
        return _json(file)
    if suffix == ".parquet":
        return parquet_rows(file, header)
    if suffix in SHEET_SUFFIXES:
        return sheet_rows(file, header)
    return separated(file, "\t" if suffix == ".tsv" else ",", header)


def json_lines(file: Path) -> Iterator[Located]:
    """One JSON object a line; empty lines are passed over."""
    return _objects(file, lines(file))


def load_json(file: Path) -> Any:
    """A whole JSON file.

    Raises:
        InputError: no such file, not UTF-8, or not JSON; the message names the line.
    """
    text = "".join(decoded(file, number, raw) for number, raw in lines(file))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}:{error.lineno}: not JSON ({error.msg}); correct it or make the file again") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not usable JSON ({error}); make the file again") from error


def _file(path: Path) -> Path:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES)[:5] if path.parent.is_dir() else []
        hint = f"; {path.parent} has {', '.join(near)}" if near else ""
        raise InputError(f"{path}: no such file{hint or '; check the path'}")
    if _suffix(path) not in SUFFIXES:
        ends = ", ".join(SUFFIXES)
        raise InputError(f"{path}: unknown kind of file; the name must end in {ends} (or those + .gz or .zip)")
    return path


def _suffix(path: Path) -> str:
    """Of what the file holds."""
    return Path(unpacked_name(path)).suffix.lower()


def _suffix_by_name(path: Path) -> str:
    """Likewise, without a look into archives."""
    name = path.with_suffix("") if path.suffix.lower() in (".gz", ".zip") else path
    return name.suffix.lower()


def _shards(folder: Path) -> list[Path]:
    """All tables in a folder and its sub-folders; hidden files and the manifests of finished stages are not tables."""
    inside = sorted(p for p in folder.rglob("*") if p.is_file() and _suffix_by_name(p) in SUFFIXES)
    files = [
        p for p in inside if p.name != MANIFEST and not any(q.startswith(".") for q in p.relative_to(folder).parts)
    ]
    kinds = sorted({_suffix_by_name(p) for p in files})
    if not files:
        raise InputError(f"{folder}: no table in this folder; it should hold files that end in {', '.join(SUFFIXES)}")
    if len(kinds) > 1:
        raise InputError(f"{folder}: holds {' and '.join(kinds)} files; name the file to read")
    return files


def _objects(file: Path, numbered: Iterable[tuple[int, bytes]]) -> Iterator[Located]:
    for number, raw in numbered:
        place = f"{file}:{number}"
        try:
            if line := decoded(file, number, raw).strip():
                yield place, _object(place, line)
        except BadRowError as bad:
            yield place, bad


def _object(place: str, line: str) -> Record:
    fix = "a line must be one JSON object, {...}; correct the line or make the file again"
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadRowError(place, f"not JSON ({error.msg} at character {error.pos + 1})", fix) from error
    except (ValueError, RecursionError) as error:
        raise BadRowError(place, "not usable JSON", fix) from error
    if not isinstance(value, dict):
        raise BadRowError(place, f"a JSON {type(value).__name__}, not an object", fix)
    return value


def _json(file: Path) -> Iterator[Located]:
    """A list of objects, the same under the key "data", or JSON lines in spite of the name."""
    try:
        value = load_json(file)
    except InputError as error:
        if "Extra data" not in str(error):
            raise
        yield from json_lines(file)
        return
    if isinstance(value, dict):
        value = value.get("data", [value])
    if not isinstance(value, list):
        raise InputError(f"{file}: not a table; write a list of objects, [{{...}}, {{...}}], or one object per line")
    for number, record in enumerate(value, start=1):
        place = f"{file}, row {number}"
        wrong = BadRowError(place, f"a JSON {type(record).__name__}, not an object", "correct it: {...}")
        yield place, record if isinstance(record, dict) else wrong


def parquet_rows(
    file: Path, header: Callable[[list[str]], Iterable[str]] = list, first: int = 0, count: int | None = None
) -> Iterator[Located]:
    """The records of a Parquet file, or ``count`` of them from the row ``first`` (counted from 0); see `records`."""
    import pyarrow.parquet as pq

    number = first
    try:
        with _whole_parquet(file), pq.ParquetFile(file) as table:
            wanted = list(header(table.schema_arrow.names))
            end = table.metadata.num_rows if count is None else first + count
            groups, skip = _groups_from(table.metadata, first)
            for batch in table.iter_batches(batch_size=1000, columns=wanted, row_groups=groups):
                for record in batch.slice(skip, max(0, end - number)).to_pylist():
                    number += 1
                    yield f"{file}, row {number}", record
                skip = max(0, skip - len(batch))
                if number >= end:
                    return
    except UnicodeDecodeError as error:
        raise InputError(f"{file}, after row {number}: a text is not UTF-8; make the file again") from error


def parquet_length(file: Path) -> int:
    """The rows of a Parquet file.

    Raises:
        InputError: it is not whole.
    """
    import pyarrow.parquet as pq

    with _whole_parquet(file):
        return int(pq.read_metadata(file).num_rows)


@contextmanager
def _whole_parquet(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: not a whole Parquet file ({first_line(error)}); fetch or make it again") from error


def _groups_from(metadata: Any, first: int) -> tuple[list[int], int]:
    """The row groups that hold the row ``first`` and those after it, and how many of their rows stand before it."""
    before = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if before + rows > first:
            return list(range(group, metadata.num_row_groups)), first - before
        before += rows
    return [], 0
