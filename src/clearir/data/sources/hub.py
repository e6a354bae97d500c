"""A data set of the ``datasets`` library: a folder of ``save_to_disk``, one that ``load_dataset`` reads, or the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.rows import Row
from clearir.data.sources.checks import OnBad, Skipped
from clearir.data.sources.headers import Mapped
from clearir.data.sources.row_maker import RowMaker
from clearir.support.errors import InputError, first_line

if TYPE_CHECKING:
    import datasets


def read(
    path: str | Path,
    *,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    columns: Mapped | None = None,
    language: str | None = None,
    bridge: str = "en",
    max_negatives: int | None = None,
    keep_open: bool = False,
    on_bad: OnBad = "error",
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """Rows of a data set.

    Args:
        path: a folder, or a name on the Hub.
        config: which configuration, where there are several.
        split: which split, where there are several.
        revision: commit, tag or branch on the Hub.
        columns: as in `clearir.data.sources.tables.read`, and so are the others.
        language: see there.
        bridge: see there.
        max_negatives: see there.
        keep_open: see there.
        on_bad: see there.
        skipped: see there.

    Raises:
        InputError: no such data set, split or column, a bad row, or the Hub cannot be reached.
    """
    make = RowMaker(columns, language, bridge, max_negatives, keep_open)
    data = _one_split(_load(path, config, revision), split, path)
    try:
        needed = make.header(data.column_names, str(path), path).columns
    except InputError as error:
        raise InputError(str(error)) from error
    rows = data.select_columns(needed)
    records = ((f"{path}, row {number}", record) for number, record in enumerate(rows, start=1))
    return make.rows(records, path, on_bad, skipped)


def _load(path: str | Path, config: str | None, revision: str | None) -> Any:
    from datasets import load_dataset, load_from_disk
    from datasets.exceptions import DatasetsError

    folder = Path(path)
    saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    try:
        if saved:
            return load_from_disk(str(path))
        return load_dataset(str(path), config, revision=revision)
    except (DatasetsError, OSError, ValueError, KeyError) as error:  # OSError: also no network
        raise InputError(_why(path, error)) from error


def _why(path: str | Path, error: Exception) -> str:
    reason = first_line(error.__cause__ or error)
    if Path(path).exists():
        return f"{path}: not a data set that the datasets library reads ({reason}); make it again, or name its files"
    if "network" in reason or isinstance(error, ConnectionError) or "reach" in reason:
        return f"{path}: the Hub cannot be reached ({reason}); check the network, or give a local folder"
    return f"{path}: no such folder, and none of that name on the Hub ({reason}); check the name"


def _one_split(data: Any, split: str | None, path: str | Path) -> datasets.Dataset:
    from datasets import Dataset

    if isinstance(data, Dataset):
        return data
    names = list(data)
    if split is None and len(names) == 1:
        split = names[0]
    if split is None:
        raise InputError(f"{path}: several splits; choose one with split={' or '.join(names)}")
    if split not in names:
        raise InputError(f"{path}: no split {split!r}; choose from {', '.join(names)}")
    return data[split]
