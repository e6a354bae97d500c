from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from clearir.data.filters import FilterSettings
from clearir.data.rows import Row, Rows
from clearir.data.sources import read
from clearir.data.translate import CommandTranslator
from clearir.runs import prepare_run as module
from clearir.runs.prepare_run import PrepareSettings, prepare
from clearir.settings import MineSettings, PromptSettings
from clearir.support.errors import InputError, MissingExtraError

KILL = Path(__file__).parents[1] / "faults" / "kill_prepare.py"
NOUNS = ["bridge", "castle", "garden", "harbour", "library", "market", "museum", "palace", "station", "theatre"]
ROWS = tuple(
    Row(
        f"Who built the old {noun} in {year}?",
        f"The {noun} stands since {year}. Its {n} towers, its {noun} gate and clock are known to {n * 7} towns.",
        passage_id=f"{noun}-{n}",
        query_id=f"{noun}-{n}",
    )
    for n, (noun, year) in enumerate(((noun, year) for noun in NOUNS for year in (1610, 1720, 1830)), start=1)
)


CHECKS = FilterSettings(language=False)  # what is turned is in no language


def turned(**options):
    """Turns the alphabet by 13 letters: a language of which we know every word."""
    code = "import codecs, sys; sys.stdout.write(codecs.encode(sys.stdin.read(), 'rot13'))"
    return CommandTranslator([sys.executable, "-S", "-c", code], **options)


def settings_of(model: Path | None) -> PrepareSettings:
    return PrepareSettings(
        languages=["ca"],
        filter=CHECKS,
        test={"ca": 4},
        dev={"ca": 3},
        model=None if model is None else str(model),
        mine=MineSettings(negatives=2, target_negatives=3, window=(1, 10)),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model_path):
    """English-only rows, prepared for one language."""
    folder = tmp_path_factory.mktemp("prepared") / "towns"
    done = prepare(
        [*ROWS, replace(ROWS[0], query_id="again")],
        folder,
        settings_of(tiny_model_path),
        translator=turned(),
        against={"exam": [ROWS[4].passage, ROWS[5].query.upper()]},
        left_out={"no passage": 2},
    )
    return done


def test_datasets_reads_it(made, tmp_path):
    from datasets import load_dataset

    data = load_dataset(str(made.folder), cache_dir=str(tmp_path))
    assert {split: len(part) for split, part in data.items()} == {"train": 21, "dev": 3, "test": 4}
    assert len({tuple(part.column_names) for part in data.values()}) == 1
    one = data["train"][0]
    assert [column for column in one if "negative" in column] == [
        *("negative_1", "negative_2"),
        *("target_negative_1", "target_negative_2", "target_negative_3"),
    ]
    assert all(text for column, text in one.items() if "negative" in column)
    assert one["target_query"].startswith("Jub ohvyg gur byq")  # Who built the old
    assert one["language"] == "ca"
    assert data["test"][0]["negative_1"] is None


def test_every_row_is_accounted_for(made):
    facts = made.facts
    # 31 rows, of which one is a copy and two stand in the exam
    assert (facts["read"], facts["left_out"], facts["translated"]["rows"]) == (31, {"no passage": 2}, 31)
    assert [(entry["reason"], entry["rows"]) for entry in facts["filtered"]] == [("duplicate", 1)]
    assert facts["decontaminated"] == {
        "against": ["exam"],
        "dropped": {"passage equals an evaluation text": 1, "query equals an evaluation text": 1},
    }
    assert facts["splits"] == {"train": {"ca": 21}, "dev": {"ca": 3}, "test": {"ca": 4}}
    assert 31 - 1 - 2 == 21 + 3 + 4
    assert made.dropped == {
        "no passage": 2,
        "duplicate": 1,
        "passage equals an evaluation text": 1,
        "query equals an evaluation text": 1,
    }


def test_three_translations_of_a_language_are_kept_to_be_looked_at(made):
    train = Rows.from_parquet(made.folder / "data" / "train-00000-of-00001.parquet").rows
    assert made.facts["translations"] == {"ca": [[row.query, row.target_query] for row in train[:3]]}


def test_splits_share_no_passage_and_negatives_come_from_train_alone(made):
    parts = {file.name.split("-")[0]: Rows.from_parquet(file) for file in (made.folder / "data").iterdir()}
    passages = {split: {row.passage for row in rows} for split, rows in parts.items()}
    assert sum(map(len, passages.values())) == len(set().union(*passages.values()))
    for row in parts["train"]:
        assert set(row.negatives) <= passages["train"] - {row.passage}


def test_the_card_tells_what_was_done(made):
    text = (made.folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["language"] == ["ca", "en"]
    assert [file["split"] for file in head["configs"][0]["data_files"]] == ["train", "dev", "test"]
    for line in (
        "| Catalan | 21 | 3 | 4 |",
        "- Read: 31 rows.",
        "- Skipped when reading: 2, no passage.",
        "| duplicate | 1 | Who built the old bridge in 1610? → Jub ohvyg gur byq oevqtr va 1610? |",
        "evaluation set (exam): 2 rows.",
        "![Scores of right answers and negatives](scores.png)",
        "## Translations",
    ):
        assert line in text
    assert (made.folder / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_done_is_done(made, monkeypatch, tiny_model_path, tmp_path):
    monkeypatch.setattr(module, "_Line", None)  # no stage may start
    shutil.copytree(tiny_model_path, tmp_path / "the-same-model")
    again = prepare(
        [*ROWS, replace(ROWS[0], query_id="again")],
        made.folder,
        settings_of(tmp_path / "the-same-model").model_copy(update={"trust_remote_code": True}),
        translator=turned(),
        against={"exam": [ROWS[4].passage, ROWS[5].query.upper()]},
        left_out={"no passage": 2},
    )
    assert (again.new, again.facts) == (False, made.facts)


def test_without_a_model_the_settings_of_mining_do_not_matter(tmp_path):
    settings = settings_of(None)
    assert prepare(ROWS, tmp_path / "out", settings, translator=turned()).new
    other = {"mine": MineSettings(negatives=1), "prompts": PromptSettings(query="query: "), "max_seq_length": 8}
    assert not prepare(ROWS, tmp_path / "out", settings.model_copy(update=other), translator=turned()).new
    with pytest.raises(InputError, match=r"test\.ca is 4 there and 5 here"):
        prepare(ROWS, tmp_path / "out", settings.model_copy(update={"test": {"ca": 5}}), translator=turned())


def count_calls(monkeypatch):
    calls = Counter()
    for name in ("translate_rows", "filter_rows"):
        original = getattr(module, name)

        def counted(*args, _name=name, _original=original, **kwargs):
            calls[_name] += 1
            return _original(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
    return calls


def test_a_new_threshold_does_not_translate_again(tmp_path, monkeypatch):
    calls, output = count_calls(monkeypatch), tmp_path / "out"
    first = PrepareSettings(languages=("ca",), filter=CHECKS)
    prepare(ROWS, output, first, translator=turned())
    strict = PrepareSettings(languages=("ca",), filter=FilterSettings(language=False, length_ratio=(0.5, 1.0)))
    with pytest.raises(InputError, match=r"filter\.length_ratio is .* --overwrite"):
        prepare(ROWS, output, strict, translator=turned())
    assert calls == {"translate_rows": 1, "filter_rows": 1}
    assert prepare(ROWS, output, strict, translator=turned(), overwrite=True).new
    assert calls == {"translate_rows": 1, "filter_rows": 2}


def test_new_rows_translate_only_what_is_new(tmp_path):
    prepare(ROWS[:10], tmp_path / "out", PrepareSettings(languages=("ca",), filter=CHECKS), translator=turned())
    broken = CommandTranslator(turned().command)  # the same translator: the same identity
    asked = []
    object.__setattr__(
        broken,
        "translate",
        lambda texts, source, target: asked.extend(texts) or turned().translate(texts, source, target),
    )
    prepare(
        ROWS[:12],
        tmp_path / "out",
        PrepareSettings(languages=("ca",), filter=CHECKS),
        translator=broken,
        overwrite=True,
    )
    assert sorted(asked) == sorted(row.query for row in ROWS[10:12])


def test_human_translations_keep_their_numbers_in_words(tmp_path):
    human = [replace(row, target_query=f"Qui el va construir ({n})?", language="ca") for n, row in enumerate(ROWS)]
    done = prepare(human, tmp_path / "out")
    assert (done.facts["filtered"], done.facts["splits"]["train"]) == ([], {"ca": 30})
    assert (done.facts["translated"], done.facts["mined"], done.facts["decontaminated"]) == (None, None, None)


def test_a_language_that_loses_most_of_its_rows_is_named(tmp_path, caplog):
    wrong = [replace(row, target_query=f"Кто построил это ({n})?", language="ca") for n, row in enumerate(ROWS)]
    right = [replace(row, target_query=f"Qui va construir això ({n})?", language="ca") for n, row in enumerate(ROWS)]
    done = prepare([*wrong, *right[:20]], tmp_path / "out", PrepareSettings(filter=CHECKS))
    assert [(one["reason"], one["rows"]) for one in done.facts["filtered"]] == [("wrong script", 30)]
    assert "dropped 30 of the 50 rows in ca (wrong script 30); look if that is their language" in caplog.text
    caplog.clear()
    prepare([*wrong[:20], *right], tmp_path / "less", PrepareSettings(filter=CHECKS))
    assert caplog.text == ""


def test_a_language_does_not_disappear_in_silence(tmp_path, caplog):
    right = [replace(row, target_query=f"Qui va construir això ({n})?", language="ca") for n, row in enumerate(ROWS)]
    wrong = [replace(row, target_query=f"Кто построил это ({n})?", language="fi") for n, row in enumerate(ROWS[:10])]
    with pytest.raises(InputError, match=r"dropped 10 of the 10 rows in fi \(wrong script 10\); .* filter=null keeps"):
        prepare([*wrong, *right], tmp_path / "out", PrepareSettings(filter=CHECKS))
    prepare([*wrong[1:], *right], tmp_path / "out", PrepareSettings(filter=CHECKS))  # so few may all be wrong
    assert "dropped 9 of the 9 rows in fi" in caplog.text


def test_whether_languages_are_identified_stands_in_the_card_and_makes_new_rows_due(tmp_path, monkeypatch):
    human = [replace(row, target_query=f"Qui el va construir ({n})?", language="ca") for n, row in enumerate(ROWS)]
    monkeypatch.setattr("clearir.data.filters.is_installed", lambda: False)
    done = prepare(human, tmp_path / "out")
    assert done.facts["identified"] is False
    assert "languages of the target queries were not checked" in (done.folder / "README.md").read_text()
    monkeypatch.undo()
    pytest.importorskip("py3langid", reason="py3langid is not installed (extra 'langid')")
    with pytest.raises(InputError, match="identifies is false there and true here"):
        prepare(human, tmp_path / "out")
    again = prepare(human, tmp_path / "out", overwrite=True)
    assert again.facts["identified"] is True
    assert "languages of the target queries were checked" in (again.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {}, r"30 of 30 rows have no target query \(the first: row 1\), and no translator is given"),
        ([replace(ROWS[0], target_query=" ", language="ca")], {}, r"the filter dropped all 1 rows: empty \(1\)"),
        (
            [replace(ROWS[0], target_query="Qui?", language="ca")],
            {"against": {"exam": [ROWS[0].query]}},
            "all 1 rows stand in exam",
        ),
    ],
)
def test_what_cannot_be_prepared(rows, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        prepare(rows, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_a_later_stage_would_stop_at_is_said_before_anything_is_translated(tmp_path, monkeypatch):
    def prepare_with(**settings):
        prepare(
            ROWS, tmp_path / "out", PrepareSettings(languages=["ca"], **settings), translator=CommandTranslator("false")
        )

    with pytest.raises(InputError, match=r"test: no rows in 'fi'; there are rows in ca, en"):
        prepare_with(filter=CHECKS, test={"ca": 3, "fi": 3})
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(MissingExtraError, match=r'pip install "clearir\[langid\]"'):
        prepare_with(filter=FilterSettings(language=True))
    with pytest.raises(InputError, match="false"):  # the translator's own failure
        prepare_with(filter=CHECKS, test={"ca": 3})


def test_many_rows_make_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARD", 12)
    human = [replace(row, target_query=f"Qui el va construir ({n})?", language="ca") for n, row in enumerate(ROWS)]
    prepare(human, tmp_path / "out")
    names = [file.name for file in sorted((tmp_path / "out" / "data").iterdir())]
    assert names == [f"train-0000{n}-of-00003.parquet" for n in range(3)]


def test_a_failure_half_way_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    """The output folder's name is the same, for the card has it."""
    settings = PrepareSettings(languages=("ca",), filter=CHECKS)
    whole, broken = tmp_path / "a" / "out", tmp_path / "b" / "out"
    prepare(ROWS, whole, settings, translator=turned(batch_size=5))
    monkeypatch.setattr(module, "filter_rows", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(ROWS, broken, settings, translator=turned(batch_size=5))
    monkeypatch.undo()
    prepare(ROWS, broken, settings, translator=turned(batch_size=5))
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert [(broken / file).read_bytes() for file in files] == [(whole / file).read_bytes() for file in files]


def test_kills_at_random_moments_leave_the_same_bytes():
    done = subprocess.run(
        [sys.executable, str(KILL), "--kills", "2", "--no-model"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills" in done.stdout


def test_afriqa_train_without_what_stands_in_dev(tmp_path, shared_data):
    folder = shared_data / "afriqa" / "gold_passages"
    left_out = Counter()
    train = Rows.collect(read("afriqa", folder, split="train", on_bad="skip", skipped=left_out))
    dev = Rows.collect(read("afriqa", folder, split="dev", on_bad="skip"))
    texts = [text for row in dev for text in (row.passage,)]
    done = prepare(train.rows, tmp_path / "out", against={"afriqa dev": texts}, left_out=left_out)
    assert 1800 < done.facts["read"] < 2100
    kept = [row for file in (tmp_path / "out" / "data").iterdir() for row in Rows.from_parquet(file)]
    assert not {row.passage for row in kept} & {row.passage for row in dev}
    assert {row.bridge for row in kept if row.language == "fon"} == {"fr"}
    assert sum(done.facts["decontaminated"]["dropped"].values()) > 0
