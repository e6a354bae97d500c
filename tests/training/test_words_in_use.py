from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from tiny_models import model_of
from torch import nn

import clearir.training.words_in_use
from clearir.losses import CachedCLEARLoss, CLEARLoss, ObjectiveLoss
from clearir.training.words_in_use import WordsInUse, keep_words_in_use, put_back, words_of

COLUMNS = [["abba", "cab c"], ["a cab", "bab abc ca"], ["acca", "baa"]]  # the letters a to c


def features(model) -> list[dict]:
    return [model.preprocess(column) for column in COLUMNS]


def in_use(model) -> list[int]:
    return sorted({int(word) for column in features(model) for word in column["input_ids"].flatten()})


def word_table(model) -> nn.Module:
    return model.transformers_model.get_input_embeddings()


def cut(model):
    assert keep_words_in_use(model, lambda: in_use(model)) == in_use(model)
    return model


def table_of(size: int, dim: int, **options) -> nn.Embedding:
    table = nn.Embedding(size, dim, **options)
    with torch.no_grad():
        table.weight.copy_(torch.arange(size * dim).view(size, dim))
    return table


def test_words_are_looked_up_whether_they_are_trained_or_not():
    words = WordsInUse(table_of(5, 2), [1, 3])
    with torch.no_grad():
        words.used.weight += 100
    ids = torch.tensor([[0, 1, 2], [3, 4, 3]])
    assert words(ids).tolist() == [[[0, 1], [102, 103], [4, 5]], [[106, 107], [8, 9], [106, 107]]]
    assert words.put_together().weight.tolist() == [[0, 1], [102, 103], [4, 5], [106, 107], [8, 9]]


def test_only_words_in_use_have_gradients():
    words = WordsInUse(table_of(5, 2), [1, 3])
    words(torch.tensor([0, 1, 1, 4])).sum().backward()
    assert words.used.weight.grad.tolist() == [[2, 2], [0, 0]]
    assert [name for name, _ in words.named_parameters()] == ["used.weight"]
    assert list(words.state_dict()) == ["used.weight"]
    assert not list(words.buffers())


def test_the_word_for_padding_is_not_trained():
    for words_in_use in ([1, 3], [0, 3]):
        table = table_of(5, 2, padding_idx=3)
        words = WordsInUse(table, words_in_use)
        words(torch.tensor([3, 3])).sum().backward()
        assert words.used.weight.grad.count_nonzero() == 0
        assert words.put_together().padding_idx == 3
    assert WordsInUse(table_of(5, 2, padding_idx=3), [1, 2]).used.padding_idx is None


def test_tables_that_do_more_than_look_up_go_on_doing_it():
    class Scaled(nn.Embedding):
        def forward(self, ids):
            return 10 * super().forward(ids)

    table = Scaled(4, 1, _weight=torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    words = WordsInUse(table, [2])
    assert words(torch.tensor([0, 2])).flatten().tolist() == [10, 30]
    assert words.put_together() is table


def test_copies_share_the_whole_table_and_not_what_is_trained():
    words = WordsInUse(table_of(5, 2), [1, 3])
    copy = deepcopy(words)
    with torch.no_grad():
        words.used.weight += 100
    assert copy(torch.tensor([1, 2])).tolist() == [[2, 3], [4, 5]]
    assert copy._frozen is words._frozen


def test_the_type_of_the_model_counts():
    words = WordsInUse(table_of(5, 2), [1, 3]).to(torch.bfloat16)
    assert words(torch.tensor([0, 1])).dtype == torch.bfloat16
    assert words.weight.dtype == torch.bfloat16
    assert words.put_together().weight.dtype == torch.bfloat16


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "loss",
    [
        lambda model: CLEARLoss(model),
        lambda model: CachedCLEARLoss(model, mini_batch_size=2, memory_budget=0),
        lambda model: CachedCLEARLoss(model, mini_batch_size=2, memory_budget=1 << 40),
        lambda model: ObjectiveLoss(model, {"forward": 1.0, "retain": 1.0}),
    ],
    ids=["plain", "replayed", "kept", "retain"],
)
def test_losses_and_gradients_are_those_of_the_whole_table(tiny_model, loss, checkpointing):
    found = []
    for model in (tiny_model(torch.float64), cut(tiny_model(torch.float64))):
        if checkpointing:
            model.transformers_model.gradient_checkpointing_enable()
        module = loss(model).train()
        for part in (model, module):
            part.train()
        with torch.no_grad():  # as after some steps: what retain asks for is no longer what the model gives
            model.transformers_model.encoder.layer[0].output.dense.bias += 0.1
        value = module(features(model), None)
        value.backward()
        found.append((value, {name: one.grad for name, one in model.named_parameters()}))
    (value, gradients), (cut_value, cut_gradients) = found
    torch.testing.assert_close(cut_value, value)
    name, used_name = (next(one for one in both if "word_embeddings" in one) for both in (gradients, cut_gradients))
    used = in_use(tiny_model())
    torch.testing.assert_close(cut_gradients.pop(used_name), gradients[name][used])
    gradients[name][used] = 0
    assert gradients.pop(name).count_nonzero() == 0
    torch.testing.assert_close(cut_gradients, gradients)


def test_put_back_gives_the_model_its_whole_table(tiny_model, tmp_path):
    before, model = tiny_model(), cut(tiny_model())
    used = in_use(model)
    with torch.no_grad():
        word_table(model).used.weight += 1
    texts = ["abba zebra", "cab 12"]  # words in use and others
    trained = model.encode(texts)
    put_back(model)
    assert type(word_table(model)) is nn.Embedding
    assert word_table(model).weight.requires_grad
    assert (model.encode(texts) == trained).all()
    moved = word_table(before).weight.detach().clone()
    moved[used] += 1
    assert torch.equal(word_table(model).weight, moved)
    assert model.state_dict().keys() == before.state_dict().keys()
    put_back(model)  # nothing to do


def test_a_table_is_left_whole_where_nothing_is_to_be_had(tiny_model):
    def left_whole(model, words=None) -> bool:
        table = word_table(model)
        kept = keep_words_in_use(model, lambda: in_use(model) if words is None else words)
        return kept is None and word_table(model) is table

    assert not left_whole(tiny_model())
    size = word_table(tiny_model()).num_embeddings
    assert left_whole(tiny_model(), list(range(size)))
    assert left_whole(tiny_model(), list(range(int(size * clearir.training.words_in_use.MOST) + 1)))
    frozen = tiny_model()
    word_table(frozen).requires_grad_(False)
    assert left_whole(frozen)


def test_a_table_that_another_part_shares_is_left_whole(tiny_model):
    model = tiny_model()
    table = word_table(model)
    head = nn.Linear(16, table.num_embeddings, bias=False)
    head.weight = table.weight
    model.append(head)
    assert keep_words_in_use(model, lambda: in_use(model)) is None
    assert word_table(model) is table


def test_a_model_without_a_table_is_left_as_it_is():
    def never() -> list[int]:
        raise AssertionError("no words are asked for")

    assert keep_words_in_use(SimpleNamespace(transformers_model=None), never) is None
    put_back(SimpleNamespace(transformers_model=None))


def test_words_are_those_that_the_collator_gives(monkeypatch):
    def collator(rows: list[dict[str, str]]) -> dict[str, torch.Tensor]:
        (column,) = rows[0]
        return {f"{column}_input_ids": torch.tensor([[len(row[column]), ord(row[column][0])] for row in rows])}

    class Columns(dict):
        column_names = ("query", "passage")

    monkeypatch.setattr(clearir.training.batches, "TEXTS_AT_ONCE", 2)
    dataset = Columns(query=["a", "bb", "a", "ccc"], passage=["ddddd", "a", "a", "a"])
    assert words_of(dataset, collator) == [1, 2, 3, 5, ord("a"), ord("b"), ord("c"), ord("d")]
    assert words_of(dataset, lambda rows: {"query_pixels": torch.zeros(1)}) is None


@pytest.mark.parametrize(("kind", "side"), [("GPT2", "left"), ("Qwen3", "left"), ("GPT2", "right")])
def test_decoders_train_the_words_in_use_with_the_gradients_of_the_whole_table(tmp_path, kind, side):
    whole = model_of(tmp_path, kind, side, "lasttoken")
    part = cut(deepcopy(whole))
    batch = features(whole)
    grads = []
    for model in (whole, part):
        CLEARLoss(model, num_negatives=0)(batch, None).backward()
        grads.append(word_table(model).weight.grad)
    torch.testing.assert_close(grads[1], grads[0][in_use(whole)])
    assert grads[1].abs().max() > 1e-6
