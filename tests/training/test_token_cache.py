from __future__ import annotations

import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from tiny_models import static_model

from clearir.training.token_cache import TokeniseOnce

ROWS = [
    {"query": "amber birch", "passage": "a longer text of more letters", "negative_1": "delta"},
    {"query": "cobalt", "passage": "delta", "negative_1": "amber birch"},
    {"query": "amber birch", "passage": "ember", "negative_1": "fjord"},
]
PROMPTS = {"query": "q ", "passage": "p ", "negative_1": "p "}


class Counting:
    """The model's `preprocess`, which notes what it was asked for."""

    def __init__(self, model):
        self.model = model
        self.texts: list[str] = []

    def __call__(self, inputs, **how):
        self.texts += inputs
        return self.model.preprocess(inputs, **how)


def assert_same_batch(one, other) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
            assert value.dtype == other[key].dtype
        else:
            assert value == other[key]


def test_batches_are_those_of_the_models_own_collator(tiny_model):
    model = tiny_model()
    for prompts in ({}, PROMPTS):
        once = TokeniseOnce(model.preprocess, model.tokenizer)
        for rows in (ROWS, ROWS[1:], ROWS):
            ours = SentenceTransformerDataCollator(once, prompts=prompts)(rows)
            assert_same_batch(ours, SentenceTransformerDataCollator(model.preprocess, prompts=prompts)(rows))


def test_a_text_is_tokenised_once_for_each_prompt(tiny_model):
    model = tiny_model()
    counting = Counting(model)
    collator = SentenceTransformerDataCollator(TokeniseOnce(counting, model.tokenizer), prompts=PROMPTS)
    for _ in range(3):
        collator(ROWS)
    # Two queries; three passages; of the negatives "delta" is known as a passage.
    assert len(counting.texts) == 2 + 3 + 2
    assert counting.texts.count("amber birch") == 2  # as a query and as a passage


def test_padding_may_stand_on_the_left(tiny_model):
    model = tiny_model()
    model.tokenizer.padding_side = "left"
    texts = ["amber birch", "delta"]
    once = TokeniseOnce(model.preprocess, model.tokenizer)
    assert_same_batch(once(texts), model.preprocess(texts))
    assert once(texts)["attention_mask"][1, 0] == 0


def test_padding_that_is_not_the_tokenizers_is_left_to_the_model(tiny_model):
    texts = ["amber birch", "delta"]
    for options in ({"padding_side": "left"}, {"padding": "max_length"}, {"pad_to_multiple_of": 8}):
        model = tiny_model()
        model[0].processing_kwargs = {"text": options}
        once = TokeniseOnce(model.preprocess, model.tokenizer)
        for some in (texts, texts, texts[1:]):
            assert_same_batch(once(some), model.preprocess(some))


def test_a_model_without_a_tokenizer_of_transformers():
    model = static_model()
    once = TokeniseOnce(model.preprocess, model.tokenizer)
    for texts in (["amber birch", "delta"], ["delta", "delta"]):
        assert_same_batch(once(texts), model.preprocess(texts))


def test_texts_are_cut_where_the_model_cuts_them(tiny_model):
    model = tiny_model()
    model.max_seq_length = 5
    once = TokeniseOnce(model.preprocess, model.tokenizer)
    assert once(["amber birch", "x"])["input_ids"].shape == (2, 5)


def test_features_of_another_kind_are_left_to_the_model():
    flat = {"input_ids": torch.tensor([[1, 2, 3]]), "cu_seq_lens_q": torch.tensor([0, 2, 3])}
    asked = []

    def preprocess(inputs, **_):
        asked.append(list(inputs))
        return flat

    class Tokenizer:
        pad_token_id, pad_token_type_id, padding_side = 0, 0, "right"

    once = TokeniseOnce(preprocess, Tokenizer())
    assert once(["a", "a"]) is flat
    assert once(["a", "b"]) is flat
    assert asked[-1] == ["a", "b"]
    assert once([("a", "pair")]) is flat
