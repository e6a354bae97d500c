"""Models, recipes and tables of people who mean harm."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from clearir.data.passages import read_corpus
from clearir.data.rows import Row, Rows
from clearir.data.sources import tables
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.runs.recipe import load_recipe
from clearir.support.errors import InputError

MINIMAL = "name: any\nmodel: m\noutput: o\n"


@pytest.fixture
def model(tiny_model_path, tmp_path) -> Path:
    """A copy of the tiny model, to be spoilt."""
    shutil.copytree(tiny_model_path, tmp_path / "model")
    return tmp_path / "model"


# -- code and pickles in models ---------------------------------------------------------------------------------


def test_code_of_a_module_does_not_run(model, tmp_path):
    marker = tmp_path / "ran"
    (model / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nfrom torch.nn import Identity as Evil\n")
    modules = json.loads((model / "modules.json").read_text())
    modules.append({"idx": len(modules), "name": "2", "path": "", "type": "evil.Evil"})
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match=r"brings its own code; read it, then say trust_remote_code"):
        load_model(model)
    assert not marker.exists()


def test_code_of_an_architecture_does_not_run(model, tmp_path):
    marker = tmp_path / "ran"
    (model / "configuration_evil.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nfrom transformers import BertConfig\nclass EvilConfig(BertConfig):\n"
        "    model_type = 'evil'\n"
    )
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "configuration_evil.EvilConfig"}}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"brings its own code; read it, then say trust_remote_code"):
        load_model(model)
    assert not marker.exists()


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_pickled_weights_are_refused(model, tmp_path):
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(InputError, match=r"no model\.safetensors in it; save the model again"):
        load_model(model)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_a_module_does_not_run(model, tmp_path):
    """Modules beside the encoder may have a pytorch_model.bin; sentence-transformers loads tensors alone from it."""
    dense = model / "2_Dense"
    dense.mkdir()
    facts = {
        "in_features": 16,
        "out_features": 16,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (dense / "config.json").write_text(json.dumps(facts))
    modules = json.loads((model / "modules.json").read_text())
    kind = "sentence_transformers.sentence_transformer.modules.Dense"
    modules.append({"idx": len(modules), "name": "2", "path": "2_Dense", "type": kind})
    (model / "modules.json").write_text(json.dumps(modules))
    torch.save({"linear.weight": Bomb(tmp_path / "ran")}, dense / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(model)
    assert not (tmp_path / "ran").exists()


def test_only_the_trainer_loads_with_torch():
    """`torch.load` unpickles; no file of ours calls it, nor pickle."""
    for file in (Path(__file__).parents[2] / "src").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "torch.load(" not in text, file
        assert "import pickle" not in text, file
        assert "yaml.load(" not in text, file
        assert "extractall" not in text, f"{file}: archives could write outside of their folder"


# -- recipes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {}']", "!!python/name:os.system"])
def test_yaml_makes_no_objects(tag, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(MINIMAL + f"seed: {tag.format(tmp_path / 'ran')}\n")
    with pytest.raises(InputError, match=r"recipe\.yaml:4: not YAML"):
        load_recipe(recipe)
    recipe.write_text(MINIMAL)
    with pytest.raises(InputError, match="is not YAML"):
        load_recipe(recipe, [f"seed={tag.format(tmp_path / 'ran')}"])
    assert not (tmp_path / "ran").exists()


# -- texts that are hard to keep --------------------------------------------------------------------------------

HARD = {
    "bidirectional marks": "\u202eright to left\u202c \u2067isolated\u2069 \u200fx",
    "combining characters": "e\u0301 a\u0328\u0301 \u0e01\u0e33 Z" + "\u0335" * 40,
    "emoji": "\U0001f469\u200d\U0001f4bb \U0001f1eb\U0001f1ee \U0001f44d\U0001f3fd",
    "NUL": "a\x00b",
    "mixed normal forms": "\u00e9 e\u0301 \ufb01 \u212b \u00c5 A\u030a",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 abc \u0661\u0662\u0663",
    "spaces": "a\u00a0b\u2003c\u200bd\ufeffe\u2028f\u0085g",
    "control characters": "a\x01\x1b[31mb\x7f",
    "a megabyte": "0123456789abcde " * 65_536,
}


@pytest.mark.parametrize("name", HARD)
def test_hard_texts_survive_unchanged(name, tmp_path):
    text = HARD[name]
    row = Row(f"q {text} q", f"p {text} p", f"t {text} t", "fi", (f"n {text} n",), query_id="1", passage_id="2")
    Rows((row,)).to_parquet(tmp_path / "a.parquet")
    assert Rows.from_parquet(tmp_path / "a.parquet").rows == (row,)
    assert list(tables.read(tmp_path / "a.parquet")) == [row]
    dataset = Rows((row,)).to_dataset()[0]
    assert [dataset[name] for name in ("query", "passage", "target_query", "negative_1")] == [
        row.query,
        row.passage,
        row.target_query,
        row.negatives[0],
    ]
    cells = {
        "query": row.query,
        "passage": row.passage,
        "target_query": row.target_query,
        "negative_1": row.negatives[0],
    }
    cells |= {"language": "fi", "query_id": "1", "passage_id": "2"}
    (tmp_path / "a.jsonl").write_text(json.dumps(cells, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(tables.read(tmp_path / "a.jsonl")) == [row]
    for suffix, mark in ((".csv", ","), (".tsv", "\t")):
        quoted = [mark.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in (cells, cells.values())]
        (tmp_path / f"a{suffix}").write_bytes("\n".join(quoted).encode() + b"\n")
        assert list(tables.read(tmp_path / f"a{suffix}")) == [row], suffix
    suite = Suite.from_rows([row], "hard")
    assert suite.queries == {"en": {"1": row.query}, "fi": {"1": row.target_query}}
    assert suite.passages == {"en": {"2": row.passage}}
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "7", "text": row.passage, "more": row.query}) + "\n")
    (passage,) = read_corpus(tmp_path / "c.jsonl").passages
    assert (passage.text, passage.fields["more"]) == (row.passage, row.query)
