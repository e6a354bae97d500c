from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from tiny_bert import descend
from tiny_models import model_of, static_model
from torch import Tensor, nn

import clearir.support.processes
import clearir.training.train
from clearir.data.rows import Row
from clearir.evaluation.merge_weight import cross_and_bridge
from clearir.evaluation.suites import Suite
from clearir.losses import CachedCLEARLoss, CLEARLoss, ObjectiveLoss
from clearir.losses.untrained import FrozenCopy
from clearir.models.encode import encode
from clearir.models.load import load_model
from clearir.models.lora import CONFIG, add_adapters, base_of_adapters, check_lora, merge_adapters
from clearir.settings import LoraSettings, LossSettings, TrainSettings
from clearir.support.errors import InputError, MissingExtraError
from clearir.training.batches import draw_rows
from clearir.training.checkpoints import load_trained, save_trained
from clearir.training.train import train
from clearir.training.trainer import Trainer
from clearir.training.words_in_use import keep_words_in_use

peft = pytest.importorskip("peft", reason="the extra lora is not installed")

TEXTS = ["abba", "cab c", "a bab and more"]
COLUMNS = [["abba", "cab c"], ["a cab", "bab abc ca"], ["acca", "baa"]]
WORDS = ("amber", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "lotus")
SMALL = LoraSettings(r=4, alpha=8)
SHORT = TrainSettings(max_steps=6, batch_size=4, save_steps=2, log_steps=2, learning_rate=1e-3)
PLAIN = LossSettings(cached=False)
LORA = SHORT.model_copy(update={"lora": SMALL, "learning_rate": 1e-2})
QUERY = "encoder.layer.0.attention.self.query"


def sample(count: int) -> list[Row]:
    return [
        Row(
            query=f"{WORDS[i % 12]} {i}",
            passage=f"{WORDS[i % 11]} {WORDS[i % 7]} {i}",
            target_query=f"x {WORDS[i % 12]} {i}",
            language="de",
            negatives=(f"{WORDS[i % 5]} {i}",),
            target_negatives=(f"x {WORDS[i % 5]} {i}",),
        )
        for i in range(count)
    ]


def dev() -> Suite:
    return Suite.from_rows(sample(12), "dev")


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def features(model: SentenceTransformer) -> list[dict[str, Any]]:
    return [model.preprocess(column) for column in COLUMNS]


def vectors(model: SentenceTransformer) -> Tensor:
    found: Tensor = model.encode(TEXTS, convert_to_tensor=True)
    return found


def adapted(model: SentenceTransformer, settings: LoraSettings = SMALL, seed: int = 1) -> SentenceTransformer:
    """With adapters that say something, as after some steps."""
    add_adapters(model, "tiny", settings)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def trained_names(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def number_trained(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


# -- adapters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        # Two layers of query, key, value, attention.output (16 to 16), intermediate and output (16 to 32 and back),
        # and the pooler, 16 to 16.
        ({"r": 4}, 2 * 4 * (4 * (16 + 16) + 2 * (16 + 32)) + 4 * (16 + 16)),
        ({"r": 1}, 2 * 1 * (4 * (16 + 16) + 2 * (16 + 32)) + 1 * (16 + 16)),
        ({"r": 4, "targets": ["query", "value"]}, 2 * 2 * 4 * (16 + 16)),
        ({"r": 2, "targets": ["key"]}, 2 * 2 * (16 + 16)),
        ({"r": 3, "targets": ["attention.output.dense"]}, 2 * 3 * (16 + 16)),
    ],
)
def test_adapters_alone_are_trained(tiny_model, settings, number):
    model = tiny_model()
    add_adapters(model, "tiny", LoraSettings(**settings))
    assert number_trained(model) == number
    assert all(".lora_A." in name or ".lora_B." in name for name in trained_names(model))


def test_training_begins_with_the_base_model(tiny_model):
    before = vectors(tiny_model())
    model = tiny_model()
    add_adapters(model, "tiny", SMALL)
    assert torch.equal(vectors(model), before)
    assert not torch.allclose(vectors(adapted(tiny_model())), before, atol=1e-3)


def test_layers_behind_the_transformer_are_frozen_too(tiny_model):
    model = tiny_model()
    model.append(Dense(16, 8))
    add_adapters(model, "tiny", SMALL)
    assert not any(parameter.requires_grad for parameter in model[-1].parameters())


def test_no_word_is_trained_so_the_table_is_left_as_it_is(tiny_model):
    model = tiny_model()
    add_adapters(model, "tiny", SMALL)
    table = model.transformers_model.get_input_embeddings()
    assert keep_words_in_use(model, lambda: pytest.fail("no words are asked for")) is None
    assert model.transformers_model.get_input_embeddings() is table


def test_an_adapter_has_no_dropout(tiny_model):
    def drops(model: nn.Module) -> int:
        return sum(isinstance(module, nn.Dropout) for module in model.modules())

    model = tiny_model()
    before = drops(model)
    add_adapters(model, "tiny", SMALL)
    assert drops(model) == before > 0


def test_adapters_of_a_model_in_16_bits_are_trained_in_32(tiny_model):
    model = tiny_model(torch.bfloat16)
    add_adapters(model, "tiny", SMALL)
    types = {(parameter.dtype, parameter.requires_grad) for parameter in model.parameters()}
    assert types == {(torch.bfloat16, False), (torch.float32, True)}
    assert vectors(model).dtype == torch.bfloat16
    merge_adapters(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_the_saved_settings_do_not_depend_on_the_order_of_a_set(tiny_model, tmp_path):
    model = tiny_model()
    add_adapters(model, "tiny", SMALL)
    model.save_pretrained(str(tmp_path / "out"), create_model_card=False)
    targets = json.loads((tmp_path / "out" / CONFIG).read_text())["target_modules"]
    assert targets == sorted(targets)
    assert len(targets) == 13


# -- merging ----------------------------------------------------------------------------------------------------


def test_a_merged_weight_is_the_base_and_its_adapter(tiny_model):
    base, model = tiny_model(torch.float64), adapted(tiny_model(torch.float64))
    layer = model.transformers_model.get_submodule(QUERY)
    a, b = (getattr(layer, name)["default"].weight.detach() for name in ("lora_A", "lora_B"))
    assert (a.shape, b.shape) == ((4, 16), (16, 4))
    merge_adapters(model)
    was = base.transformers_model.get_submodule(QUERY).weight
    torch.testing.assert_close(model.transformers_model.get_submodule(QUERY).weight, was + 8 / 4 * b @ a)
    for name in ("embeddings.word_embeddings", "encoder.layer.0.output.LayerNorm"):
        one, other = (each.transformers_model.get_submodule(name).weight for each in (model, base))
        assert torch.equal(one, other)


def same_after_merging(model: SentenceTransformer, names: list[str]) -> None:
    wanted = vectors(model)
    merge_adapters(model)
    torch.testing.assert_close(vectors(model), wanted)
    assert list(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())
    merge_adapters(model)  # nothing to do
    torch.testing.assert_close(vectors(model), wanted)


def test_the_merged_model_gives_the_vectors_of_the_adapted_one(tiny_model):
    same_after_merging(adapted(tiny_model()), list(tiny_model().state_dict()))
    same_after_merging(tiny_model(), list(tiny_model().state_dict()))  # without adapters


@pytest.mark.parametrize(("kind", "side"), [("GPT2", "right"), ("Qwen3", "left")])
def test_decoders_have_adapters_too(tmp_path, kind, side, recwarn):
    model = model_of(tmp_path, kind, side, "lasttoken")
    before, names = vectors(model), list(model.state_dict())
    assert not torch.allclose(vectors(adapted(model)), before, atol=1e-3)
    assert not [one for one in recwarn if "fan_in_fan_out" in str(one.message)]
    same_after_merging(model, names)


def test_what_is_no_sum_of_weights_is_not_merged(tiny_model):
    model = tiny_model()
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"], modules_to_save=["pooler"]))
    with pytest.raises(ValueError, match=r"its adapters \(LORA\) cannot be added to the weights here"):
        merge_adapters(model)


# -- gradients --------------------------------------------------------------------------------------------------


def gradients(loss: nn.Module, model: SentenceTransformer) -> dict[str, Tensor]:
    model.zero_grad()
    loss(features(model), None).backward()
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def test_gradients_of_an_adapter_are_those_of_its_layer(tiny_model):
    """With W + s B A in place of W, dB = s dW A' and dA = s B' dW."""
    model = adapted(tiny_model(torch.float64))
    found = gradients(CLEARLoss(model), model)
    layer = model.transformers_model.get_submodule(QUERY)
    a, b = (getattr(layer, name)["default"].weight.detach() for name in ("lora_A", "lora_B"))
    merge_adapters(model)
    of_weights = gradients(CLEARLoss(model), model)[f"0.model.{QUERY}.weight"]
    assert of_weights.abs().max() > 1e-6
    torch.testing.assert_close(found[f"0.model.{QUERY}.lora_B.default.weight"], 2 * of_weights @ a.T)
    torch.testing.assert_close(found[f"0.model.{QUERY}.lora_A.default.weight"], 2 * b.T @ of_weights)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("budget", [0, 1 << 40], ids=["replayed", "kept"])
def test_cached_and_plain_gradients_are_the_same(tiny_model, budget, checkpointing):
    found = []
    for loss in (CLEARLoss, lambda model: CachedCLEARLoss(model, mini_batch_size=2, memory_budget=budget)):
        model = adapted(tiny_model(torch.float64)).train()
        if checkpointing and found:
            model.transformers_model.gradient_checkpointing_enable()
        found.append(gradients(loss(model), model))
    plain, cached = found
    assert set(plain) == {name for name in trained_names(model) if "pooler" not in name}
    assert max(float(one.abs().max()) for one in plain.values()) > 1e-3
    torch.testing.assert_close(cached, plain, atol=1e-9, rtol=1e-6)


def test_what_retain_compares_with_is_the_base_model(tiny_model):
    def embedded(model: FrozenCopy) -> Tensor:
        return model.embed(features(base)[:1], lambda pack: [(0, len(pack))])[0]

    base, model = tiny_model(), tiny_model()
    add_adapters(model, "tiny", SMALL)
    untrained = FrozenCopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3
    assert torch.equal(embedded(untrained), embedded(FrozenCopy(base)))
    assert not torch.allclose(embedded(FrozenCopy(model)), embedded(untrained), atol=1e-3)


def test_the_untrained_model_shares_what_is_frozen(tiny_model):
    def shared(model: SentenceTransformer) -> list[bool]:
        both = zip(model.parameters(), FrozenCopy(model)._model.parameters(), strict=True)
        return [one is other for one, other in both]

    model = tiny_model()
    assert not any(shared(model))
    add_adapters(model, "tiny", SMALL)
    assert shared(model) == [not parameter.requires_grad for parameter in model.parameters()]


def test_retain_is_nothing_at_first_and_goes_back_to_the_base_model(tiny_model):
    base, model = tiny_model(torch.float64), tiny_model(torch.float64)
    add_adapters(model, "tiny", SMALL)
    loss = ObjectiveLoss(model, {"retain": 1.0})
    assert float(loss(features(model), None)) == pytest.approx(0, abs=1e-12)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    cosines = [
        torch.cosine_similarity(*(each(dict(column))["sentence_embedding"] for each in (model, base))).mean()
        for column in features(base)[:2]
    ]
    assert float(loss(features(model), None)) == pytest.approx(float(1 - sum(cosines) / 2))


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"targets": ["query", "q_proj"]},
            r"train\.lora\.targets: tiny has no linear layer 'q_proj'; it has query, key, value, dense: take some",
        ),
        ({"targets": ["word_embeddings"]}, "no linear layer 'word_embeddings'"),
        ({"targets": ["uery"]}, "no linear layer 'uery'"),
        ({"r": 17}, r"train\.lora\.r: a rank of 17 is over that of the layers themselves \(16 in tiny\)"),
    ],
)
def test_what_the_model_cannot_have(tiny_model, settings, words):
    model = tiny_model()
    with pytest.raises(InputError, match=words):
        add_adapters(model, "tiny", LoraSettings(**settings))
    assert all(parameter.requires_grad for parameter in model.parameters()), "and the model is as it was"
    check_lora(model, "tiny", LoraSettings(r=16))


def test_a_model_without_a_transformer():
    with pytest.raises(InputError, match=r"train\.lora: words has no transformer with layers to adapt; leave"):
        check_lora(static_model(), "words", SMALL)


def test_a_model_with_quantised_weights(tiny_model):
    model = tiny_model()
    model.transformers_model.is_quantized = True  # as transformers marks it
    with pytest.raises(InputError, match=r"train\.lora: the weights of tiny are quantised; name the model in full"):
        check_lora(model, "tiny", SMALL)


def test_processes_that_share_the_model(tiny_model, monkeypatch):
    monkeypatch.setattr(clearir.support.processes, "shares_model", lambda: True)
    with pytest.raises(InputError, match=r"train\.lora does not go with FSDP; leave it out, or start with recipes"):
        check_lora(tiny_model(), "tiny", SMALL)


def test_without_peft(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'peft is not installed; run: pip install "clearir\[lora\]"'):
        check_lora(tiny_model(), "tiny", SMALL)


# -- checkpoints ------------------------------------------------------------------------------------------------


def test_a_checkpoint_holds_what_is_trained(tiny_model, tmp_path):
    model, other = adapted(tiny_model()), adapted(tiny_model(), seed=2)
    save_trained(model, tmp_path / "lora")
    assert set(load_file(tmp_path / "lora")) == set(trained_names(model))
    load_trained(other, tmp_path / "lora")
    assert same(other.state_dict(), model.state_dict())
    save_trained(tiny_model(), tmp_path / "whole")
    assert set(load_file(tmp_path / "whole")) == set(tiny_model().state_dict())
    with pytest.raises(ValueError, match="does not hold what is trained of this model"):
        load_trained(tiny_model(), tmp_path / "lora")


def test_tied_weights_and_buffers_are_kept_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            self.other.weight = self.one.weight
            self.mean = nn.BatchNorm1d(2, affine=False)

    model, other = Tied(), Tied()
    model.mean.running_mean += 3
    save_trained(model, tmp_path / "file")
    assert set(load_file(tmp_path / "file")) == {
        "one.weight",
        "mean.running_mean",
        "mean.running_var",
        "mean.num_batches_tracked",
    }
    load_trained(other, tmp_path / "file")
    assert torch.equal(other.other.weight, model.one.weight)
    assert other.mean.running_mean.tolist() == [3, 3]


# -- training ---------------------------------------------------------------------------------------------------


def trained(
    model: Path | str, out: Path, settings: TrainSettings = LORA, loss: LossSettings = PLAIN, **more: Any
) -> dict[str, Any]:
    return train(draw_rows(sample(30), settings, 0), str(model), out, settings, loss, **more)


WITHOUT_PEFT = """
import sys
sys.modules["peft"] = None
from sentence_transformers import SentenceTransformer
import torch
torch.save(SentenceTransformer(sys.argv[1], device="cpu").encode(sys.argv[3:], convert_to_tensor=True), sys.argv[2])
"""


def test_the_model_that_comes_out_is_one_as_any_other(still_model_path, tmp_path, monkeypatch):
    seen: list[Tensor] = []

    def noted(network: SentenceTransformer) -> None:
        seen.append(vectors(network.eval()))
        merge_adapters(network)

    with monkeypatch.context() as patch:
        patch.setattr("clearir.models.lora.merge_adapters", noted)
        trained(still_model_path, tmp_path / "lora")
    trained(still_model_path, tmp_path / "plain", SHORT)
    files = [sorted(str(one.relative_to(tmp_path / name)) for one in (tmp_path / name).rglob("*")) for name in
             ("lora", "plain")]  # fmt: skip
    assert files[0] == files[1]
    assert {name: one.shape for name, one in weights(tmp_path / "lora").items()} == {
        name: one.shape for name, one in weights(tmp_path / "plain").items()
    }
    command = [sys.executable, "-c", WITHOUT_PEFT, str(tmp_path / "lora"), str(tmp_path / "vectors.pt"), *TEXTS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.load(tmp_path / "vectors.pt", weights_only=True), seen[-1])
    assert not torch.allclose(seen[-1], vectors(SentenceTransformer(str(still_model_path), device="cpu")), atol=1e-3)
    before, after = weights(still_model_path), weights(tmp_path / "lora")
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {
        f"encoder.layer.{layer}.{name}.weight"
        for layer in (0, 1)
        for name in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
            "output.dense",
        )
    }, "layers that have an adapter and a gradient: nobody asks the pooler"


def test_checkpoints_hold_adapters_and_their_moments(tiny_model_path, tmp_path, monkeypatch):
    found: list[tuple[set[str], int]] = []
    mark = clearir.training.train.mark_whole

    def noted(seconds: Callable[[], float]) -> Any:
        callback = mark(seconds)
        on_save = callback.on_save

        def read(args: Any, state: Any, control: Any, **more: Any) -> None:
            on_save(args, state, control, **more)
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            moments = torch.load(folder / "optimizer.pt", weights_only=True)["state"].values()
            numbers = sum(one[name].numel() for one in moments for name in ("exp_avg", "exp_avg_sq"))
            found.append((set(weights(folder)), numbers))

        callback.on_save = read
        return callback

    monkeypatch.setattr("clearir.training.train.mark_whole", noted)
    trained(tiny_model_path, tmp_path / "model")
    assert len(found) == 3
    names, moments = found[-1]
    assert len(names) == 2 * 13
    assert all("lora_" in name for name in names)
    assert moments == 2 * (2 * 4 * (4 * (16 + 16) + 2 * (16 + 32))), "of all but the pooler, which has no gradient"


def test_the_settings_of_adapters_are_settings_of_the_checkpoint(tiny_model_path, tmp_path, monkeypatch):
    said: list[str] = []

    def stopped(settings: TrainSettings) -> None:
        said.clear()
        step = Trainer.training_step

        def stopping(trainer: Any, *arguments: Any, **named: Any) -> Any:
            if trainer.state.global_step == 3:
                raise KeyboardInterrupt
            return step(trainer, *arguments, **named)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Trainer, "training_step", stopping)
            trained(tiny_model_path, tmp_path / "model", settings, say=said.append)

    stopped(LORA)
    stopped(LORA.model_copy(update={"lora": SMALL.model_copy(update={"r": 2})}))
    assert said[1] == (
        "training begins at step 1: the checkpoint of step 2 is of other settings (train.lora.r is 4 there and 2 here)"
    )
    stopped(LORA)
    assert said[1] == "training goes on after step 2 of 6"


def test_settings_without_adapters_decide_what_they_did_before():
    assert "lora" not in SHORT.deciding()
    assert LORA.deciding()["lora"] == {"r": 4, "alpha": 8, "targets": None, "merge": True}


def test_where_no_checkpoint_keeps_english_the_base_comes_out(tiny_model_path, tmp_path):
    settings = LORA.model_copy(update={"retention": 100.0})
    record = trained(tiny_model_path, tmp_path / "none", settings, dev=dev())
    assert record["step_kept"] == 0
    assert same(weights(tmp_path / "none"), weights(tiny_model_path))


def test_the_best_checkpoint_comes_out(still_model_path, tmp_path):
    settings = LORA.model_copy(update={"retention": 1e-9})
    record = trained(still_model_path, tmp_path / "any", settings, dev=dev())
    found = {check["step"]: check for check in record["checks"]}
    kept = found[record["step_kept"]]
    assert kept["cross"] == max(check["cross"] for check in record["checks"])
    cross, bridge = cross_and_bridge(load_model(tmp_path / "any"), dev(), None)
    assert (cross, bridge) == pytest.approx((kept["cross"], kept["bridge"]))


def test_cached_and_plain_training_give_the_same_model(exact_model_path, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "create_optimizer", descend)
    settings = LORA.model_copy(update={"learning_rate": 0.1})
    trained(exact_model_path, tmp_path / "plain", settings)
    trained(exact_model_path, tmp_path / "cached", settings, LossSettings(mini_batch_size=3))
    plain, cached, begun = (weights(folder) for folder in (tmp_path / "plain", tmp_path / "cached", exact_model_path))
    for name, weight in plain.items():
        torch.testing.assert_close(cached[name], weight, atol=1e-9, rtol=0)
    assert max(float((plain[name] - begun[name]).abs().max()) for name in plain) > 1e-3, "it was trained"


# -- adapters alone ---------------------------------------------------------------------------------------------

ALONE = LORA.model_copy(update={"lora": SMALL.model_copy(update={"merge": False})})


@pytest.fixture(scope="module")
def base(tiny_model_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    shutil.copytree(tiny_model_path, folder)
    return folder


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory) -> Path:
    """A folder of adapters."""
    folder = tmp_path_factory.mktemp("alone") / "adapters"
    trained(base, folder, ALONE)
    return folder


@pytest.fixture
def copied(alone, tmp_path) -> Path:
    shutil.copytree(alone, tmp_path / "copied")
    return tmp_path / "copied"


def test_adapters_alone_are_the_same_training(base, alone, tmp_path):
    trained(base, tmp_path / "merged")
    names = {one.name for one in alone.iterdir()}
    assert names >= {CONFIG, "adapter_model.safetensors", "modules.json", "tokenizer.json", "training.json"}
    assert not names & {"model.safetensors", "config.json"}
    one, other = load_model(alone), load_model(tmp_path / "merged")
    assert same(one.state_dict(), other.state_dict())
    assert all(parameter.requires_grad for parameter in one.parameters())
    by_peft = SentenceTransformer(str(alone), device="cpu")  # as anybody loads it
    np.testing.assert_allclose(by_peft.encode(TEXTS), other.encode(TEXTS), atol=1e-5)
    assert by_peft.transformers_model.peft_config


def test_adapters_name_their_base_from_wherever_they_are_loaded(base, alone, monkeypatch, tmp_path):
    assert base_of_adapters(alone) == str(base.resolve())
    monkeypatch.chdir(base.parent)
    model = SentenceTransformer(base.name, device="cpu")
    add_adapters(model, base.name, SMALL)
    model.save_pretrained(str(tmp_path / "near"), create_model_card=False)
    assert base_of_adapters(tmp_path / "near") == str(base.resolve())
    assert base_of_adapters(base) is None


def test_a_base_that_is_gone(copied):
    config = json.loads((copied / CONFIG).read_text())
    for base in ("/no/such/folder", "acme/base"):
        (copied / CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": base}))
        with pytest.raises(
            InputError, match=rf"copied: adapters of the model {base}, which is no folder here and"
        ) as no:
            load_model(copied)
        assert f"say in {copied}/{CONFIG} where it is (base_model_name_or_path)" in str(no.value)
    (copied / CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(InputError, match="names no base model; add base_model_name_or_path"):
        load_model(copied)
    (copied / CONFIG).write_text("{")
    with pytest.raises(InputError, match=rf"{CONFIG}:1: not JSON"):
        load_model(copied)


def test_adapters_that_are_damaged_or_of_another_model(copied):
    file = copied / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="the file is cut off or damaged"):
        load_model(copied)
    file.unlink()
    with pytest.raises(InputError, match=r"copied: cannot be loaded .*adapter_model\.safetensors"):
        load_model(copied)


def test_adapters_where_peft_is_missing(alone, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r'peft is not installed; run: pip install "clearir\[lora\]"'):
        load_model(alone)


def test_adapters_cannot_name_what_is_made_of_adapters(alone, tmp_path):
    with pytest.raises(InputError, match=r"train\.lora\.merge: .*adapters is made of adapters itself, and others"):
        trained(alone, tmp_path / "more", ALONE)
    trained(alone, tmp_path / "more")  # merged, it is a base as any other
    trained(alone, tmp_path / "whole", SHORT)
    assert not same(weights(tmp_path / "whole"), load_model(alone).transformers_model.state_dict())
    moved = weights(tmp_path / "whole")["embeddings.LayerNorm.weight"]
    assert not torch.equal(moved, load_model(alone).transformers_model.embeddings.LayerNorm.weight)


def test_adapters_cannot_name_a_folder_that_keeps_its_transformer_below(base, tmp_path):
    below = tmp_path / "below"
    shutil.copytree(base, below)
    (below / "0_Transformer").mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.move(below / file, below / "0_Transformer" / file)
    shutil.copy(below / "sentence_bert_config.json", below / "0_Transformer")
    modules = json.loads((below / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (below / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match=r"train\.lora\.merge: .*below has no config\.json, without which adapters"):
        trained(below, tmp_path / "out", ALONE)
    trained(below, tmp_path / "out")


def test_commands_take_a_folder_of_adapters_as_a_model(alone, base, clearir, tmp_path):
    rows = [
        {"query": row.query, "target_query": row.target_query, "language": row.language, "passage": row.passage}
        for row in sample(8)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"id": i, "text": row.passage}) for i, row in enumerate(sample(8))), encoding="utf-8"
    )
    merged = load_model(alone)
    merged.save_pretrained(str(tmp_path / "merged"), create_model_card=False)
    for arguments in (
        ("evaluate", alone, "--data", tmp_path / "rows.jsonl", "--out", tmp_path / "scores"),
        ("index", alone, tmp_path / "corpus.jsonl", "--out", tmp_path / "index"),
        ("merge", base, alone, "--weight", 1, "--out", tmp_path / "mixed"),
    ):
        status, _, said = clearir(*arguments)
        assert status == 0, said
    assert same(weights(tmp_path / "mixed"), weights(tmp_path / "merged"))
    np.testing.assert_array_equal(
        encode(load_model(tmp_path / "mixed"), TEXTS), encode(load_model(tmp_path / "merged"), TEXTS)
    )


def test_adapters_are_exported_as_a_whole_model(alone, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from clearir.evaluation.export import FULL, export_model

    exports = export_model(str(alone), tmp_path / "out")
    assert exports[1].file == FULL
    assert exports[1].lowest_cosine > 0.999
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "out" / CONFIG).exists()
    assert same(weights(tmp_path / "out"), load_model(alone).transformers_model.state_dict())
