from __future__ import annotations

from pathlib import Path

import pytest

from clearir.data.rows import Row, Rows
from clearir.data.sources.hub import read
from clearir.support.errors import InputError

ROWS = Rows.collect([Row("water", "A clear liquid.", "maji", "sw"), Row("fire", "Hot.", "moto", "sw", ("a",), ("b",))])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def test_a_folder_of_save_to_disk(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    data = Dataset.from_dict({"anchor": ["water"], "positive": ["A clear liquid."], "cross_anchor": ["maji"]})
    data.save_to_disk(str(tmp_path / "one"))
    assert list(read(tmp_path / "one", language="sw")) == [ROWS.rows[0]]
    DatasetDict(train=data, test=data).save_to_disk(str(tmp_path / "two"))
    assert list(read(tmp_path / "two", language="sw", split="test")) == [ROWS.rows[0]]
    with pytest.raises(InputError, match="several splits; choose one with split=train or test"):
        read(tmp_path / "two")
    with pytest.raises(InputError, match="no split 'dev'; choose from train, test"):
        read(tmp_path / "two", split="dev")


def test_a_folder_that_load_dataset_reads(tmp_path: Path) -> None:
    ROWS.to_parquet(tmp_path / "train.parquet")
    assert tuple(read(tmp_path)) == ROWS.rows


def test_the_columns_are_mapped_and_the_negatives_cut(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"q": "water", "text": "A clear liquid.", "near": ["a", "b"]}\n')
    columns = {"query": "q", "passage": "text", "negatives": "near"}
    assert list(read(tmp_path, columns=columns, max_negatives=1)) == [Row("water", "A clear liquid.", negatives=("a",))]
    with pytest.raises(InputError, match=r"no column 'query'; the columns are 'q', 'text', 'near'"):
        read(tmp_path, on_bad="skip")


def test_bad_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"query": "q", "passage": "p"}\n{"query": null, "passage": "p"}\n')
    with pytest.raises(InputError, match=r", row 2: column 'query' holds nothing, not text"):
        list(read(tmp_path))
    assert list(read(tmp_path, on_bad="skip")) == [Row("q", "p")]


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no-such-folder: no such folder, and none of that name on the Hub"):
        read(tmp_path / "no-such-folder")
    with pytest.raises(InputError, match=r"not a data set that the datasets library reads \(.*any data files"):
        read(tmp_path)
    (tmp_path / "train.jsonl").write_text('{"query": "q", "passage": "p"}\n{"query"')
    with pytest.raises(InputError, match=r"not a data set that the datasets library reads \(.*JSON"):
        read(tmp_path)


def test_no_network() -> None:
    """The test suite runs with HF_HUB_OFFLINE=1."""
    with pytest.raises(InputError, match=r"somebody/something: the Hub cannot be reached .*give a local folder"):
        read("somebody/something")
