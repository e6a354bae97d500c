"""Loading models of late interaction: new ones from any transformer, and those that others saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from tiny_models import static_model

from clearir.models.kind import kind_of
from clearir.models.load import load_late_interaction, load_model, model_fingerprint
from clearir.models.pylate_layout import save_late_interaction
from clearir.settings import LATE_INTERACTION
from clearir.support.errors import InputError


def new(path: Path, **options) -> MultiVectorEncoder:
    return load_late_interaction(path, device="cpu", **options)


def test_a_new_one_has_a_projection_by_its_seed_and_no_bias(tiny_model_path, caplog):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (new(tiny_model_path, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one[1].linear.weight.shape == (128, 16)
    assert one[1].linear.bias is None
    assert model_fingerprint(one) == model_fingerprint(same) != model_fingerprint(other)
    assert one[0].query_expansion is None
    assert not caplog.records  # that it is made of another kind was asked for


def test_prompts_and_length_belong_to_the_model(tiny_model_path, tmp_path):
    model = new(tiny_model_path, query_prompt="a: ", passage_prompt="b: ", max_seq_length=20)
    model.save_pretrained(str(tmp_path / "late"), create_model_card=False)
    again = new(tmp_path / "late")
    assert (again.prompts["query"], again.prompts["document"], again.max_seq_length) == ("a: ", "b: ", 20)
    torch.testing.assert_close(again.encode_query(["c d"])[0], model.encode_query(["c d"])[0])


def test_a_saved_one_goes_on_with_its_own_settings(tiny_model_path, tmp_path):
    model = new(tiny_model_path)
    model[0].query_expansion = {"strategy": "fixed", "length": 12}
    model[0].document_length = 40
    model[2].skiplist_words = ["a"]
    save_late_interaction(model, tmp_path / "late")
    assert kind_of(str(tmp_path / "late")) == LATE_INTERACTION
    found = new(tmp_path / "late", max_seq_length=30)
    assert torch.equal(found[1].linear.weight, model[1].linear.weight)
    assert found[0].query_expansion["length"] == 12
    assert found[0].document_length == 30
    assert found[2].skiplist_words == ["a"]
    assert [len(one) for one in found.encode_query(["b", "b c"])] == [12, 12]


@pytest.mark.parametrize(
    ("files", "late"),
    [
        ({}, False),
        ({"config.json": {"architectures": ["HF_ColBERT"]}}, True),
        ({"config.json": {"architectures": ["BertModel"]}}, False),
        ({"config_sentence_transformers.json": {"model_type": "MultiVectorEncoder"}}, True),
        ({"config_sentence_transformers.json": {"model_type": "SentenceTransformer"}}, False),
        ({"config_sentence_transformers.json": [1]}, False),
    ],
    ids=str,
)
def test_the_kind_is_in_the_folder(tmp_path, files, late):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert (kind_of(str(tmp_path)) == LATE_INTERACTION) is late


def test_where_one_vector_a_text_is_needed_it_is_refused(tiny_model_path, tmp_path):
    new(tiny_model_path).save_pretrained(str(tmp_path / "late"), create_model_card=False)
    with pytest.raises(InputError, match=r"late: a model of late interaction.*clearir evaluate.*docs/late-interaction"):
        load_model(tmp_path / "late")


def test_a_model_without_a_transformer_is_refused(tmp_path):
    static_model().save_pretrained(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(InputError, match="no Transformer module was found"):
        new(tmp_path / "static")
