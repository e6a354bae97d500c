from __future__ import annotations

from pathlib import Path

import pytest

from clearir.data.rows import Row
from clearir.data.sources import KINDS, read
from clearir.support.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("query,passage,target_query,language\nfire,Hot.,moto,sw\nfire,Hot.,Feuer,de\n")
    return path


def test_options_that_are_not_given_are_no_matter(table: Path) -> None:
    rows = list(read("table", table, columns={}, split=None, language=None, on_bad="error"))
    assert [row.target_query for row in rows] == ["moto", "Feuer"]


def test_languages_are_chosen_for_every_kind(table: Path) -> None:
    assert list(read("table", table, languages=["swh"])) == [Row("fire", "Hot.", "moto", "sw")]


def test_a_source_with_a_bridge_of_its_own_takes_english(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read("debian", tmp_path / "no", bridge="en")
    with pytest.raises(InputError, match="a source of kind 'debian' has no option 'bridge'"):
        read("debian", tmp_path / "no", bridge="fr")


def test_unknown_kinds_and_options(table: Path) -> None:
    with pytest.raises(InputError, match="no source of kind 'tables'; did you mean 'table'"):
        read("tables", table)
    with pytest.raises(InputError, match=r"a source of kind 'table' has no option 'split'; it has columns, language"):
        read("table", table, split="train")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_is_missing(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        list(read(kind, tmp_path / "nowhere"))
