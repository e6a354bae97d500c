from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from clearir.evaluation.matrix import evaluate
from clearir.evaluation.merge_weight import MERGE, Judged, best, choose_weight, judge
from clearir.evaluation.suites import Suite
from clearir.models.interpolate import interpolate
from clearir.models.load import load_model
from clearir.support.errors import InputError

ENGLISH = {"q1": "amber birch", "q2": "cobalt", "q3": "delta ember", "q4": "fjord grove"}
GERMAN = {"q1": "rebma hcrib", "q2": "tlaboc", "q3": "atled rebme", "q4": "drojf evorg"}
PASSAGES = {"p1": "birch and amber", "p2": "cobalt blue", "p3": "a delta of embers", "p4": "a grove by the fjord"}


@pytest.fixture(scope="module")
def suite() -> Suite:
    passages = {"en": PASSAGES, "de": {f"de/{name}": text[::-1] for name, text in PASSAGES.items()}}
    qrels = {f"q{n}": {f"p{n}": 1, f"de/p{n}": 1} for n in range(1, 5)}
    return Suite("dev", {"en": ENGLISH, "de": GERMAN}, passages, qrels)


@pytest.fixture(scope="module")
def models(tiny_model_path) -> list[SentenceTransformer]:
    base, tuned = (load_model(tiny_model_path, device="cpu") for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return [base, tuned]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_weights_are_the_weighted_sum(models, weight):
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    merged = interpolate(*models, weight).state_dict()
    base, tuned = before
    for name, value in merged.items():
        if value.is_floating_point():
            assert torch.equal(value, (1 - weight) * base[name] + weight * tuned[name]), name
        else:
            assert torch.equal(value, tuned[name]), name
    for model, state in zip(models, before, strict=True):
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items()), "inputs stay"
    assert any(not torch.equal(base[name], tuned[name]) for name in base)


@pytest.mark.parametrize("retention", [0.9, 1.0, 1e-9])
def test_the_choice_is_the_best_of_those_above_the_bound(models, suite, retention):
    weights = (0.25, 0.5, 0.75, 1.0)
    choice = choose_weight(*models, suite, retention=retention, weights=weights)
    assert [one.weight for one in choice.tried] == [0.0, *weights]
    for one in choice.tried:  # each as if it were scored by itself
        scores = evaluate(interpolate(*models, one.weight), suite)
        assert one.cross == pytest.approx(scores.mean("de->en"), abs=1e-9)
        assert one.bridge == pytest.approx(scores.mean("en->en"), abs=1e-9)
        assert one.retention == pytest.approx(one.bridge / choice.tried[0].bridge)
        assert one.kept == (one.weight == 0 or one.retention >= retention)
    kept = [one for one in choice.tried if one.kept]
    taken = next(one for one in choice.tried if one.weight == choice.weight)
    assert taken in kept
    assert taken.cross == max(one.cross for one in kept)


def test_of_equals_the_first_is_best_and_a_base_without_english_loses_none():
    base = Judged(cross=0.3, bridge=0.8)
    others = [Judged(cross=cross, bridge=bridge) for cross, bridge in ((0.5, 0.4), (0.4, 0.79), (0.4, 0.8))]
    judged = [base, *(judge(one, base, 0.9) for one in others)]
    assert [one.kept for one in judged] == [True, False, True, True]
    assert best(judged) is judged[2]
    assert judge(others[0], Judged(cross=0.0, bridge=0.0), 1.0).kept


def test_a_bound_that_nothing_keeps_leaves_the_base(models, suite):
    assert choose_weight(*models, suite, retention=100.0, weights=(0.5, 1.0)).weight == 0.0


def test_what_cannot_be_mixed_is_said(models, suite):
    with pytest.raises(InputError, match=r"a weight of 1\.5"):
        interpolate(*models, 1.5)
    with pytest.raises(InputError, match=r"a weight of -0\.5"):
        choose_weight(*models, suite, weights=(0.5, -0.5))
    other = SentenceTransformer(modules=[torch.nn.Linear(2, 2)])
    with pytest.raises(InputError, match="missing in the tuned one; give a model and one that was trained from it"):
        interpolate(models[0], other, 0.5)
    english = Suite("one", {"en": ENGLISH}, {"en": PASSAGES}, {f"q{n}": {f"p{n}": 1} for n in range(1, 5)})
    with pytest.raises(InputError, match="one has no x->en"):
        choose_weight(*models, english)


def test_the_command_writes_a_plain_folder_and_what_it_tried(models, clearir, tmp_path):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for model, folder in zip(models, (base, tuned), strict=True):
        model.save_pretrained(str(folder), create_model_card=False)
    rows = [
        {"query": ENGLISH[q], "target_query": GERMAN[q], "language": "de", "passage": PASSAGES[p]}
        for q, p in zip(ENGLISH, PASSAGES, strict=True)
    ]
    (tmp_path / "dev.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    out = tmp_path / "out"
    status, shown, said = clearir(
        "merge", base, tuned, "--data", tmp_path / "dev.jsonl", "--retention", 0.5, "--out", out
    )
    assert status == 0, said
    facts = json.loads((out / MERGE).read_text())
    assert len(facts["choice"]["tried"]) == 11
    assert f"{facts['weight']:g}" in shown
    assert "chosen" in shown
    expected = interpolate(*models, facts["weight"])
    loaded = SentenceTransformer(str(out), device="cpu")
    assert torch.equal(
        loaded.encode(["amber"], convert_to_tensor=True), expected.encode(["amber"], convert_to_tensor=True)
    )
    status, _, said = clearir("merge", base, tuned, "--weight", 0.5, "--out", out)
    assert (status, "--overwrite" in said) == (2, True)
    status, _, said = clearir("merge", base, tuned, "--weight", 0.25, "--out", out, "--overwrite")
    assert status == 0, said
    mixed, one, two = (load_file(folder / "model.safetensors") for folder in (out, base, tuned))
    assert all(torch.equal(mixed[name], 0.75 * one[name] + 0.25 * two[name]) for name in mixed)
