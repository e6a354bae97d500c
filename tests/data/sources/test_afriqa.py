from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clearir.data.rows import Row, Rows
from clearir.data.sources.afriqa import read
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError


def write(folder: Path, name: str, *records: dict[str, Any]) -> Path:
    path = folder / f"gold_span_passages.afriqa.{name}.json"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def record(number: int, passage: Any = "Rain falls.") -> dict[str, Any]:
    asked = {"question_lang": f"swali {number}", "question_translated": f"question {number}"}
    return {"id": str(number), "context": passage, "title": None, **asked}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "swa.en.train", record(0), record(1, "Fire burns."))
    write(tmp_path, "swa.en.dev", record(0))
    write(tmp_path, "fon.fr.dev", record(0, "La pluie tombe."))
    return tmp_path


def test_languages_and_bridges_are_those_of_the_names(folder: Path) -> None:
    rain, fire, pluie = map(fingerprint, ("Rain falls.", "Fire burns.", "La pluie tombe."))
    french = Row("question 0", "La pluie tombe.", "swali 0", "fon", (), (), None, pluie, "fon-dev-0", "fr")
    dev = Row("question 0", "Rain falls.", "swali 0", "sw", (), (), None, rain, "sw-dev-0")
    train = Row("question 0", "Rain falls.", "swali 0", "sw", (), (), None, rain, "sw-train-0")
    other = Row("question 1", "Fire burns.", "swali 1", "sw", (), (), None, fire, "sw-train-1")
    assert list(read(folder)) == [french, dev, train, other]
    assert list(read(folder, languages=["swh"], split="train")) == [train, other]
    assert list(read(folder / "gold_span_passages.afriqa.fon.fr.dev.json")) == [french]


def test_rows_without_a_passage_are_refused_or_counted(folder: Path) -> None:
    write(folder, "swa.en.train", record(0), record(1, None), record(2, float("nan")))
    with pytest.raises(InputError, match=r"swa\.en\.train\.json:2: column 'context' holds nothing, not text; .*on_bad"):
        list(read(folder, split="train"))
    skipped: Counter[str] = Counter()
    assert len(list(read(folder, split="train", on_bad="skip", skipped=skipped))) == 1
    assert skipped.total() == 2


def test_bad_places_and_arguments(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match="no split 'test'; choose from dev, train"):
        read(folder, split="test")
    with pytest.raises(InputError, match="no language 'yo'; choose from fon, sw"):
        read(folder, languages=["yor"])
    with pytest.raises(InputError, match="no such file or folder"):
        read(folder / "no")
    with pytest.raises(
        InputError, match=r"no file with a name like .*; read other JSON lines as a source of kind 'table'"
    ):
        read(tmp_path_factory.mktemp("empty"))


def test_afriqa(shared_data: Path) -> None:
    folder = shared_data / "afriqa" / "gold_passages"
    skipped: Counter[str] = Counter()
    rows = Rows.collect(read(folder, on_bad="skip", skipped=skipped))
    counts = {"tw": 699, "ig": 612, "fon": 553, "zu": 484, "bem": 463, "ha": 445, "rw": 444, "yo": 247}
    assert rows.languages == counts
    assert skipped == {"column 'context' holds nothing, not text": 152}
    assert {row.language for row in rows if row.bridge == "fr"} == {"fon"}
    sides = {split: {row.passage_id for row in read(folder, split=split, on_bad="skip")} for split in ("train", "dev")}
    assert sides["train"] & sides["dev"]
