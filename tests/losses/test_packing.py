from __future__ import annotations

import torch

from clearir.losses.packing import TOKENS_A_CPU_CHUNK, Pack, plan_batch, text_ids


def row(*ids: int, width: int, left: bool = False) -> tuple[list[int], list[int]]:
    padding = [0] * (width - len(ids))
    mask = [1] * len(ids)
    return ([*padding, *ids], [*padding, *mask]) if left else ([*ids, *padding], [*mask, *padding])


def column(*rows: tuple[int, ...], left: bool = False) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids, masks = zip(*(row(*one, width=width, left=left) for one in rows), strict=True)
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(masks)}


def test_repeated_texts_are_packed_once_longest_first():
    plan = plan_batch([column((1, 2), (3,)), column((4, 5, 6), (1, 2))])
    (pack,) = plan.packs
    assert pack.lengths == [3, 2, 1]
    assert pack.features["input_ids"].tolist() == [[4, 5, 6], [1, 2, 0], [3, 0, 0]]
    assert [rows.tolist() for _, rows in plan.places] == [[1, 2], [0, 1]]
    embeddings = torch.tensor([[30.0], [20.0], [10.0]])
    assert [c.flatten().tolist() for c in plan.columns([embeddings])] == [[20.0, 10.0], [30.0, 20.0]]


def test_chunks_are_as_wide_as_their_longest_text():
    plan = plan_batch([column((1, 2, 3, 4), (5, 6), (7, 8), (9,))])
    pack = plan.packs[0]
    # A budget of one text of 4 tokens: then two of 2, then one of 1.
    assert pack.ranges(1, None) == [(0, 1), (1, 3), (3, 4)]
    assert pack.chunk(1, 3)["input_ids"].tolist() == [[5, 6], [7, 8]]
    assert pack.chunk(3, 4)["attention_mask"].tolist() == [[1]]
    assert pack.computed_tokens(pack.ranges(1, None)) == 4 + 4 + 1


def pack_of(*lengths: int) -> Pack:
    return plan_batch([column(*((number,) * length for number, length in enumerate(lengths, start=1)))]).packs[0]


def test_a_chunk_is_cut_where_its_padding_passes_a_sixteenth_of_the_budget():
    # A budget of 32 tokens allows 2 of padding: 8, 7, 7 holds 2; a 6 more would make it 4.
    assert pack_of(8, 7, 7, 6).ranges(1, 32) == [(0, 3), (3, 4)]
    # 8, 6 holds 2, with 6 again 4.
    assert pack_of(8, 6, 6, 6, 6).ranges(1, 32) == [(0, 2), (2, 5)]
    # The budget of tokens holds all the same: four of 8.
    assert pack_of(8, 8, 8, 8, 8).ranges(1, 32) == [(0, 4), (4, 5)]


def test_on_a_cpu_chunks_stay_small_unless_tokens_are_asked_for():
    pack = pack_of(*[TOKENS_A_CPU_CHUNK // 2] * 4)
    assert pack.ranges(32, None) == [(0, 2), (2, 4)]
    assert pack.ranges(1, None) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert pack.ranges(32, 2 * TOKENS_A_CPU_CHUNK) == [(0, 4)]


def test_a_text_longer_than_the_budget_goes_alone():
    pack = plan_batch([column((1, 2, 3), (4, 5, 6, 7), (8,))]).packs[0]
    assert pack.ranges(32, 2) == [(0, 1), (1, 2), (2, 3)]


def test_left_padding_is_kept_on_the_left():
    plan = plan_batch([column((1, 2, 3), (4,), left=True), column((5, 6), (4,), left=True)])
    pack = plan.packs[0]
    assert pack.features["input_ids"].tolist() == [[1, 2, 3], [0, 5, 6], [0, 0, 4]]
    assert pack.chunk(1, 3)["input_ids"].tolist() == [[5, 6], [0, 4]]


def test_a_chunk_may_be_written_into():
    pack = plan_batch([column((1, 2), (3,))]).packs[0]
    pack.chunk(0, 2)["attention_mask"].zero_()
    assert pack.chunk(0, 2)["attention_mask"].tolist() == [[1, 1], [1, 0]]


def test_different_prompts_go_through_the_model_apart():
    plan = plan_batch(
        [
            {**column((1, 2)), "prompt_length": 1},
            {**column((1, 2)), "prompt_length": 2},
            {**column((3,)), "prompt_length": 1},
        ]
    )
    assert [len(pack) for pack in plan.packs] == [2, 1]
    assert [number for number, _ in plan.places] == [0, 1, 0]
    assert plan.text_ids[0] != plan.text_ids[1]


def test_without_packing_columns_stay_as_they_are():
    columns = [column((1, 2), (1, 2)), column((3,), (4,))]
    plan = plan_batch(columns, packing=False)
    assert [pack.features for pack in plan.packs] == columns
    assert plan.distinct_texts == 4


def test_flattened_inputs_fall_back_and_their_texts_are_told_apart():
    flat = {"input_ids": torch.tensor([[1, 2, 3, 1, 2]]), "cu_seq_lens_q": torch.tensor([0, 2, 3, 5])}
    plan = plan_batch([flat, flat])
    assert [pack.lengths for pack in plan.packs] == [None, None]
    first, second, third = plan.text_ids[0].tolist()
    assert first == third != second


def test_padding_is_no_part_of_a_text():
    assert text_ids(column((1, 2), (1, 2, 3)))[0] == text_ids(column((1, 2)))[0]


def test_ids_are_the_same_in_every_process():
    # xxh3 of the int64 bytes, seed 0: a fixed function, unlike Python's hash of bytes.
    assert text_ids(column((1, 2, 3)))[0] == text_ids(column((1, 2, 3), (9,)))[0]
    assert text_ids(column((1,))).dtype == torch.int64


def test_an_unsorted_pack_is_cut_by_number():
    pack = Pack(column((1,), (2,), (3,)))
    assert pack.ranges(2, None) == [(0, 2), (2, 3)]
    assert pack.chunk(2, 3)["input_ids"].tolist() == [[3]]
