from __future__ import annotations

from collections import Counter

import pytest
from tiny_rows import SHORT, sample

from clearir.data.rows import Row
from clearir.losses import ObjectiveLoss
from clearir.models.load import load_late_interaction
from clearir.models.prompts import Prompts
from clearir.settings import LossSettings
from clearir.support.errors import InputError
from clearir.training.batches import by_language, collator_of, dataset_of
from clearir.training.train import train


def rows(**counts: int) -> list[Row]:
    return [Row("q", "p", f"{language} {n}", language) for language, count in counts.items() for n in range(count)]


def batches(found: list[Row], size: int) -> list[list[str]]:
    return [[str(row.language) for row in found[start : start + size]] for start in range(0, len(found), size)]


def test_a_batch_has_one_language():
    found = by_language(rows(de=6, fi=4, sw=2), 2, seed=0)
    assert len(found) == 12
    of = batches(found, 2)
    assert all(len(set(batch)) == 1 for batch in of)
    assert Counter(batch[0] for batch in of) == {"de": 3, "fi": 2, "sw": 1}
    assert Counter(row.target_query for row in found) == Counter(row.target_query for row in rows(de=6, fi=4, sw=2))
    assert [batch[0] for batch in of] != sorted(batch[0] for batch in of)
    assert by_language(rows(de=6, fi=4, sw=2), 2, seed=0) == found
    assert by_language(rows(de=6, fi=4, sw=2), 2, seed=1) != found


def test_there_are_as_many_batches_as_before_and_a_language_is_gone_through_again():
    # 10 rows are 3 batches of 4; by largest remainder 7/10 and 3/10 of 3 batches are 2.1 and 0.9: 2 and 1
    found = by_language(rows(de=7, fi=3), 4, seed=0)
    assert Counter(row.language for row in found) == {"de": 8, "fi": 4}
    assert Counter(row.target_query for row in found if row.language == "de")["de 0"] == 2  # the eighth
    assert Counter(row.target_query for row in found if row.language == "fi")["fi 0"] == 2  # the fourth


def test_more_languages_than_batches_are_refused():
    with pytest.raises(InputError, match="1 batches leave none for sw; take more steps"):
        by_language(rows(de=3, sw=1), 4, seed=0)


def test_training_sees_batches_of_one_language(tiny_model_path, tmp_path, monkeypatch):
    seen: list[list[list[int]]] = []
    forward = ObjectiveLoss.forward

    def noted(self, sentence_features, labels=None):
        columns = list(sentence_features)
        seen.append(columns[-2]["input_ids"].tolist())
        return forward(self, columns, labels)

    monkeypatch.setattr(ObjectiveLoss, "forward", noted)
    table, settings = sample(24), SHORT.model_copy(update={"one_language_a_batch": True})
    record = train(table, str(tiny_model_path), tmp_path / "out", settings, LossSettings(cached=False, scale=20))
    from clearir.models.load import load_model

    tokenizer = load_model(tiny_model_path).tokenizer
    language = {tuple(tokenizer(str(row.target_query))["input_ids"]): row.language for row in table}
    pad = tokenizer.pad_token_id
    of = [[language[tuple(i for i in text if i != pad)] for text in batch] for batch in seen]
    assert len(of) == 6
    assert [len(batch) for batch in of] == [4] * 6
    assert all(len(set(batch)) == 1 for batch in of)
    assert Counter(batch[0] for batch in of) == {"de": 4, "fi": 2}
    assert record["rows_by_language"] == {"de": 16, "fi": 8}


def test_columns_have_a_task_where_a_model_reads_queries_and_passages_in_two_ways(tiny_model, tiny_model_path):
    dataset = dataset_of(sample(2))
    late = load_late_interaction(tiny_model_path, device="cpu")
    batches = [collator_of(model, dataset, Prompts())(list(dataset)) for model in (late, tiny_model())]
    tasks = [{key: value for key, value in batch.items() if key.endswith("_task")} for batch in batches]
    queries, passages = ("query", "target_query", "target_negative_1"), ("passage", "negative_1")
    assert tasks[0] == {f"{one}_task": "query" for one in queries} | {f"{one}_task": "document" for one in passages}
    assert tasks[1] == {}
