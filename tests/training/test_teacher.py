from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_rows import SHORT, sample
from torch.nn.functional import normalize

from clearir.losses.packing import text_ids
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.prompts import prompts_of
from clearir.settings import LossSettings
from clearir.support.errors import InputError
from clearir.training import batches
from clearir.training.batches import collator_of, dataset_of
from clearir.training.teacher import known_vectors, turned
from clearir.training.train import TRAINING, train

TURN = np.array([[0.0, 1.0], [-1.0, 0.0]], np.float32)  # 90 degrees


@pytest.fixture
def other_model_path(tiny_model_path, tmp_path):
    """The tiny model with other weights, of which the first 8 dimensions are taken."""
    model = load_model(tiny_model_path)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=draw)
    model.save_pretrained(str(tmp_path / "other"), create_model_card=False)
    return tmp_path / "other"


def test_vectors_that_were_turned_are_turned_back():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(turned(vectors @ TURN, vectors), vectors, atol=1e-6)


def test_what_is_the_same_stays_as_it_is():
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0, 0.8], [0, 0.8, 0.6]], np.float32)
    np.testing.assert_allclose(turned(vectors, vectors), vectors, atol=1e-6)


def test_fewer_dimensions_keep_all_distances():
    draw = np.random.default_rng(0)
    small, large = draw.normal(size=(20, 3)).astype(np.float32), draw.normal(size=(20, 5)).astype(np.float32)
    found = turned(small, large)
    assert found.shape == (20, 5)
    np.testing.assert_allclose(found @ found.T, small @ small.T, atol=1e-4)


def test_more_dimensions_keep_those_that_the_student_has():
    # The third dimension of the teacher says nothing that the student knows of.
    teacher = np.array([[0, 1, 0.1], [-1, 0, -0.1], [-0.8, 0.6, 0.1], [0.8, -0.6, -0.1]], np.float32)
    student = np.array([[1, 0], [0, 1], [0.6, 0.8], [-0.6, -0.8]], np.float32)
    found = turned(teacher, student)
    assert found.shape == (4, 2)
    np.testing.assert_allclose(normalize(torch.from_numpy(found)).numpy(), student, atol=0.1)


def known(model, rows, sides=("query", "passage"), **options):
    dataset = dataset_of(rows)
    collator = collator_of(model, dataset, prompts_of(model))
    return known_vectors(dataset, collator, sides, lambda: model, prompts_of(model), **options)


def test_the_vectors_of_all_queries_and_passages_are_those_of_the_untrained_model(tiny_model_path, monkeypatch):
    monkeypatch.setattr(batches, "TEXTS_AT_ONCE", 7)
    model = load_model(tiny_model_path, query_prompt="query: ", passage_prompt="")
    rows = sample(20)
    found = known(model, rows)
    for kind, prompt in (("query", "query: "), ("passage", "")):
        texts = [getattr(row, kind) for row in rows]
        features = model.preprocess(texts, prompt=prompt or None)
        embedded = found.embed([features], lambda pack: [])[0]
        np.testing.assert_allclose(embedded.numpy(), encode(model, texts, prompt=prompt), atol=1e-6)
        assert len(set(text_ids(features).tolist())) == 20


def test_what_mining_has_encoded_is_not_encoded_again(tiny_model_path, tmp_path, monkeypatch):
    model, rows = load_model(tiny_model_path), sample(20)
    prompts = prompts_of(model)
    for kind in ("query", "passage"):
        encode(model, [getattr(row, kind) for row in rows], prompt=getattr(prompts, kind), cache=tmp_path)
    monkeypatch.setattr(model, "forward", None)
    known(model, rows, cache=tmp_path)


def test_what_no_term_asks_for_is_not_encoded(tiny_model_path):
    model, rows = load_model(tiny_model_path), sample(20)
    found = known(model, rows, sides=["query"])
    assert len(found.embed([model.preprocess([row.query for row in rows])], lambda pack: [])[0]) == 20
    with pytest.raises(KeyError):
        found.embed([model.preprocess([rows[0].passage])], lambda pack: [])


def test_a_teacher_is_turned_to_the_student(tiny_model_path, other_model_path):
    model, rows = load_model(tiny_model_path), sample(30)
    other = load_model(other_model_path, passage_prompt="passage: ")
    found = known(model, rows, teacher=lambda: other)
    features = model.preprocess([row.passage for row in rows])
    vectors = found.embed([features], lambda pack: [])[0].numpy()
    wanted = encode(other, [row.passage for row in rows], prompt="passage: ")
    np.testing.assert_allclose(vectors @ vectors.T, wanted @ wanted.T, atol=1e-5)
    own = encode(model, [row.passage for row in rows])
    assert (vectors * own).sum() > (wanted * own).sum()


def test_training_with_a_teacher_keeps_the_texts_where_it_has_them(tiny_model_path, other_model_path, tmp_path):
    rows = sample(24)
    losses = {}
    for name, teacher in {"own": str(tiny_model_path), "other": str(other_model_path), "none": None}.items():
        settings = LossSettings(weights={"retain": 1.0}, scale=20, teacher=teacher)
        record = train(rows, str(tiny_model_path), tmp_path / "out" / name, SHORT, settings)
        losses[name] = record["log"][0]["retain"]
        assert (tmp_path / "out" / name / TRAINING).is_file()
    # dropout moves the first vectors a little from what they were without; another model's are further away
    assert losses["own"] == pytest.approx(losses["none"], abs=1e-6)
    assert losses["other"] > losses["own"] + 1e-3


@pytest.mark.parametrize("objective", ["hybrid", "clear"])
def test_a_teacher_without_a_term_for_it_is_refused(objective):
    with pytest.raises(ValueError, match="the teacher is for the terms retain and distil"):
        LossSettings(objective=objective, teacher="m")
    assert LossSettings(objective="mimo", teacher="m").deciding()["teacher"] == "m"
    assert "teacher" not in LossSettings().deciding()


def test_a_teacher_that_is_not_there_is_said(tiny_model_path, tmp_path):
    with pytest.raises(InputError, match="no-such-teacher"):
        train(sample(8), str(tiny_model_path), tmp_path / "out", SHORT, LossSettings(teacher="./no-such-teacher"))
    assert list(tmp_path.glob("out")) == []
