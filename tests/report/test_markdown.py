from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from clearir.report import headline, load_run, write_report
from clearir.report.load import Data
from clearir.report.markdown import data_section, grid, join, to_markdown
from clearir.support.errors import InputError


def test_every_part_of_the_run_is_there(small_folder: Path) -> None:
    report = to_markdown(load_run(small_folder))
    heads = re.findall(r"^## (.+)$", report, re.MULTILINE)
    for head in (
        "Scores",
        "Examples",
        "How sure is this?",
        "Queries that gained most",
        "Searches",
        "Training",
        "Data",
        "Settings",
    ):
        assert head in heads
    assert heads[-1] == "Where the numbers come from"
    assert "clearir compare scores/before.json scores/after.json" in report


def test_parts_that_the_run_lacks_are_left_out(small_folder: Path) -> None:
    run = replace(load_run(small_folder), training=None, data=None, recipe=None, searches=(), texts=None)
    heads = re.findall(r"^## (.+)$", to_markdown(run), re.MULTILINE)
    assert not {"Searches", "Training", "Data", "Settings"} & set(heads)
    assert "Queries that gained most" in heads  # by their ids


def test_it_begins_with_the_result_in_words(small_folder: Path) -> None:
    run = load_run(small_folder)
    title, result, searched, *_ = to_markdown(run).split("\n\n")
    assert title == f"# {headline.title(run)}"
    assert result == " ".join(headline.sentences(run))
    assert searched == headline.what_was_searched(run)


def test_english_has_one_mean(small_folder: Path) -> None:
    """The rows have English over the queries of the row; their mean would be another number for the same thing."""
    run = load_run(small_folder)
    table = to_markdown(run)
    (mean,) = re.findall(r"^\| \*\*mean\*\* \|(.*)$", table, re.MULTILINE)
    assert mean.split("|")[1].strip() == ""
    assert len(mean.split("|")) == 1 + 4 + 1


def test_the_scale_is_one_line(small_folder: Path) -> None:
    lines = to_markdown(load_run(small_folder)).splitlines()
    (line,) = [line for line in lines if line.startswith("Trained with scale 20 (set; 98.4 was found from 400 pairs)")]
    assert "Warning: off by more than a factor of 2" in line


def test_the_table_holds_the_means_of_the_scores(small_folder: Path) -> None:
    run = load_run(small_folder)
    before, after = run.before.mean("de->en"), run.after.mean("de->en")
    cell = f"{100 * before:.1f} → {100 * after:.1f} ({100 * (after - before):+.1f})"
    row = next(line for line in to_markdown(run).splitlines() if line.startswith("| German (de) | 12 |"))
    assert cell in row


def test_user_text_is_shown_and_never_obeyed(hostile_folder: Path) -> None:
    report = to_markdown(load_run(hostile_folder))
    shown = report.split("```")[0]  # the recipe stands in a code block
    assert "<script" not in shown
    assert "\u202e" not in shown
    assert "](" not in shown.replace(r"\](", "")
    assert not re.search(r"https?://", shown)
    tables = [line for line in shown.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables if line.startswith("| 1 ")} == {4}


def test_settings_cannot_close_their_code_block(small_folder: Path) -> None:
    report = to_markdown(replace(load_run(small_folder), recipe="name: |\n  ```\n  # head\n"))
    assert "````yaml\nname: |\n  ```\n  # head\n````" in report


def test_lists_stay_together_and_blocks_apart() -> None:
    assert join(["a", "- b", "- c", "d"]) == "a\n\n- b\n- c\n\nd\n"


def test_a_grid_sets_numbers_to_the_right() -> None:
    assert grid(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_data_tells_what_was_dropped(small_folder: Path) -> None:
    languages = {"fi": {"train": 5, "test": 2}, "de": {"train": 7}}
    data = Data(languages, 1, {"no | text": 3}, [5, 4], [0, 2], "table")
    _, sizes, notes = data_section(replace(load_run(small_folder), data=data))
    assert sizes.splitlines()[-2:] == ["| German (de) | 7 | 0 |", "| Finnish (fi) | 5 | 2 |"]
    assert notes == (
        "Source: table. Hard negatives per row: passages 5, target queries 4."
        " Of these, outside the rank window: passages 0, target queries 2."
        r" Duplicates dropped: 1. Skipped, no \| text: 3."
    )


def test_files_are_written(small_folder: Path, tmp_path: Path) -> None:
    (file,) = write_report(load_run(small_folder), tmp_path / "new", ["md"])
    assert file == tmp_path / "new" / "report.md"
    assert file.read_text(encoding="utf-8").startswith("# Searching English pages in German and Arabic, before")
    assert [one.name for one in file.parent.iterdir()] == ["report.md"]


def test_an_unknown_format_is_refused(small_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such format: docx; there are"):
        write_report(load_run(small_folder), tmp_path, ["md", "docx"])
    assert not list(tmp_path.iterdir())
