from __future__ import annotations

from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Pooling
from tiny_models import transformer

from clearir.data.rows import Row
from clearir.models.load import load_model
from clearir.settings import LossSettings, TrainSettings
from clearir.support.errors import InputError
from clearir.training.train import train


def test_a_model_that_reads_queries_and_passages_in_two_ways_is_refused(tmp_path: Path) -> None:
    ways = [[transformer(tmp_path, "Bert", "right", seed), Pooling(16, "mean")] for seed in (0, 1)]
    router = SentenceTransformer(modules=[Router.for_query_document(*ways)], device="cpu")
    router.save_pretrained(str(tmp_path / "router"), create_model_card=False)
    with pytest.raises(InputError, match=r"router: .*Router.*router_mapping"):
        load_model(tmp_path / "router")


def test_routes_for_something_else_are_loaded_and_not_trained(tmp_path: Path) -> None:
    router = Router({"text": [transformer(tmp_path, "Bert", "right"), Pooling(16, "mean")]})
    SentenceTransformer(modules=[router], device="cpu").save_pretrained(
        str(tmp_path / "kinds"), create_model_card=False
    )
    load_model(tmp_path / "kinds")
    rows = [Row(query="a", passage="b", target_query="c", language="fi")]
    with pytest.raises(InputError, match=r"kinds: .*several routes"):
        train(rows, str(tmp_path / "kinds"), tmp_path / "out", TrainSettings(max_steps=1), LossSettings())


@pytest.mark.parametrize("option", ["query_length", "document_length"])
def test_a_model_with_a_length_of_its_own_for_queries_or_passages_is_refused(tmp_path: Path, option: str) -> None:
    module = transformer(tmp_path, "Bert", "right")
    setattr(module, option, 8)
    model = SentenceTransformer(modules=[module, Pooling(16, "mean")], device="cpu")
    model.save_pretrained(str(tmp_path / "lengths"), create_model_card=False)
    with pytest.raises(InputError, match=f"lengths: .*{option}.*sentence_bert_config.json"):
        load_model(tmp_path / "lengths")
