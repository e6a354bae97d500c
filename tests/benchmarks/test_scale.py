"""The arithmetic of docs/scale.md against real encoders; the functions are in benchmarks/scale.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clearir.losses.graph_budget import GraphBudget

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale(benchmark_script):
    return benchmark_script("scale")


@pytest.mark.parametrize("kind", ["Bert", "XLMRoberta"])
def test_parameters_and_graph_of_a_real_encoder(scale, kind):
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=77,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=70,
    )
    model = getattr(transformers, f"{kind}Model")(config).train()
    encoder = scale.Encoder.of(config)
    assert encoder.parameters == sum(parameter.numel() for parameter in model.parameters())
    for texts, length in ((8, 32), (4, 64)):
        budget = GraphBudget(model.parameters(), 1 << 40)
        ids = torch.full((texts, length), 7)
        with budget.counting(texts * length, length):
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        held = (1 << 40) - budget.left
        computed = encoder.graph_bytes(texts * length, length, matrices=True, mask_bytes=4)
        assert computed == pytest.approx(held, rel=0.01)
        del output


def test_need_by_hand(scale):
    encoder = scale.Encoder("", hidden=2, layers=1, intermediate=3, heads=1, vocabulary=5, positions=4, token_types=1)
    # (5 + 4 + 1) x 2 + 4 of the embeddings, 4 x (4 + 2) + 4 of attention, 6 + 3 + 6 + 2 + 4 of the rest, 6: the pooler
    assert encoder.parameters == 24 + 28 + 21 + 6
    # a token: 4 x (8 x 2 + 2 x 3 + 4) + 2 x 2 of the layer, 4 x 2 x 2 + 2 of both ends
    assert encoder.graph_bytes(1, 7, matrices=False, mask_bytes=1) == 108 + 18
    one = scale.need(encoder, batch=4, length=10, negatives=1, mini_batch=2, processes=3)
    assert one.state == 16 * 79
    assert one.buckets == 4 * 79
    assert one.chunk == 2 * 10 * 126
    assert one.whole == 4 * 5 * 10 * 126
    # 20 texts and 60 gathered ones, with gradients; 2 x 4 rows against 12 x 2 candidates, three times
    assert one.embeddings == 4 * (2 * 20 * 2 + 2 * 60 * 2 + 3 * 2 * 4 * 24)
    assert one.plain - one.cached == one.whole - one.chunk
    # 3 of 5 words in use: 2 rows of 2 fewer are trained, and 5 x 2 values stand beside them
    some = scale.need(encoder, batch=4, length=10, negatives=1, mini_batch=2, processes=3, words=3)
    assert some.state == 16 * (79 - 2 * 2) + 4 * 5 * 2
    assert some.buckets == 4 * (79 - 2 * 2)


def test_extrapolation_is_proportional(scale):
    one = scale.extrapolate(7200, rate=2.0, dimensions=250)
    assert one.core_hours == 1.0
    assert one.vector_gb == pytest.approx(0.0072)


def test_the_document_holds_the_tables(scale):
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert scale.memory_table() in text
    assert scale.words_table() in text
