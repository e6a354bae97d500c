"""A length that the model cannot read is refused when the model is loaded, in every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from clearir.models.lengths import positions
from clearir.models.load import load_model
from clearir.support.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows with texts longer than the tiny model's 64 positions."""
    lines = [
        {"query": f"query {i}", "passage": f"{i} " * 90, "target_query": f"kysymys {i}", "language": "fi"}
        for i in range(4)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (65, r"max_seq_length 65: .*model has 64 positions; give at most 64"),
        (2, r"max_seq_length 2: nothing of a text is left beside the 2 tokens that .*model adds; give at least 3"),
        (1, "give at least 3"),
        (0, "give at least 3"),
        (-1, "give at least 3"),
    ],
)
def test_a_length_without_sense_is_refused(tiny_model_path: Path, length: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_model(tiny_model_path, max_seq_length=length)


def test_the_limits_themselves_are_read(tiny_model_path: Path) -> None:
    for length in (3, 64):
        assert load_model(tiny_model_path, max_seq_length=length).encode(["a" * 200]).shape == (1, 16)


def test_a_prompt_needs_room_too(tiny_model_path: Path) -> None:
    # [CLS] q ##u ##e ##r ##y [UNK] [SEP]: 8 tokens
    with pytest.raises(InputError, match=r"the 8 tokens that .* adds and the prompt 'query: '; give at least 9"):
        load_model(tiny_model_path, max_seq_length=8, query_prompt="query: ")
    load_model(tiny_model_path, max_seq_length=9, query_prompt="query: ")


def test_roberta_begins_behind_the_padding(tmp_path: Path) -> None:
    model = roberta(tmp_path)
    assert positions(model) == 18  # 20 rows; 0 and 1 are for padding
    # transformers' own limit is the table's length, and a text of 20 tokens ends in an IndexError
    model = load_model(tmp_path / "model")
    assert model.max_seq_length == 18
    assert model.encode(["a " * 200]).shape == (1, 16)
    with pytest.raises(InputError, match="has 18 positions; give at most 18"):
        load_model(tmp_path / "model", max_seq_length=19)


def test_no_limit_where_there_is_no_table_of_positions(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    model = SentenceTransformer(modules=[BoW(["a", "b"])], device="cpu")
    assert positions(model) is None


@pytest.mark.parametrize("length", [65, 1, 0, -1])
@pytest.mark.parametrize("command", ["evaluate", "index", "encode", "mteb"])
def test_commands_say_it_in_one_message(
    clearir: Any, tiny_model_path: Path, table: Path, tmp_path: Path, command: str, length: int
) -> None:
    if command == "index":
        pytest.importorskip("lancedb", reason="the extra search is not installed")
    out = tmp_path / "out"
    arguments: tuple[object, ...] = {
        "evaluate": ("evaluate", tiny_model_path, "--data", table, "--out", out, "--cache", tmp_path / "cache"),
        "mteb": ("evaluate", tiny_model_path, "--mteb", "XQuADRetrieval"),
        "index": ("index", tiny_model_path, table, "columns.text=passage", "--out", out, "--cache", tmp_path / "cache"),
        "encode": ("encode", tiny_model_path, parquet(table), "columns.text=passage", "--out", out),
    }[command]
    status, _, messages = clearir(*arguments, "--max-seq-length", length)
    assert status == 2
    assert f"max_seq_length {length}: " in messages
    assert "Traceback" not in messages
    assert not list(out.glob("*"))


@pytest.mark.parametrize("command", ["train", "prepare", "study"])
@pytest.mark.parametrize(("length", "message"), [(65, "give at most 64"), (1, "give at least 3"), (0, "greater than")])
def test_recipes_say_it_before_any_work(
    clearir: Any, tiny_model_path: Path, table: Path, tmp_path: Path, command: str, length: int, message: str
) -> None:
    recipe = {
        "name": "long",
        "model": str(tiny_model_path),
        "output": str(tmp_path / "out"),
        "data": {"path": str(table)},
        "mine": {"negatives": 1},  # else prepare reads no text with the model
        "train": {"max_seq_length": length},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    status, _, messages = clearir(command, tmp_path / "recipe.yaml")
    assert status == 2
    assert "max_seq_length" in messages
    assert message in messages
    assert not (tmp_path / "out").exists()


def parquet(table: Path) -> Path:
    from clearir.data.rows import Rows
    from clearir.data.sources import tables

    path = table.with_suffix(".parquet")
    Rows.collect(tables.read(table), str(table)).to_parquet(path)
    return path


def roberta(folder: Path) -> Any:
    """A tiny XLM-R of 20 positions, saved in ``folder``."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("<mask>", 0.0)]
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    XLMRobertaModel(config).save_pretrained(folder / "bare")
    XLMRobertaTokenizer(vocab=pieces).save_pretrained(folder / "bare")
    model = SentenceTransformer(modules=[Transformer(str(folder / "bare")), Pooling(16, "mean")], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return model
