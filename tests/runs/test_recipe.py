from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clearir.data.filters import FilterSettings
from clearir.losses.objectives import weights_of
from clearir.runs.recipe import dump_recipe, load_recipe
from clearir.settings import LoraSettings, MergeSettings
from clearir.support.errors import InputError

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
MINIMAL = {"name": "n", "model": "m", "output": "o"}


def write(folder: Path, content: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path):
    recipe = load_recipe(path)
    assert recipe.name
    assert recipe.loss.alpha + recipe.loss.beta < 1


def test_the_project_has_its_recipes():
    assert {path.stem for path in RECIPES} >= {"demo", "paper-bge-m3", "paper-multilingual-e5"}


def test_the_papers_setup_is_the_papers():
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "paper-bge-m3.yaml")
    assert (recipe.loss.alpha, recipe.loss.beta, recipe.loss.scale) == (0.4, 0.2, 20)
    assert (recipe.mine.negatives, recipe.mine.target_negatives, recipe.mine.window) == (5, 5, (50, 100))
    assert (recipe.train.max_steps, recipe.train.learning_rate, recipe.train.warmup_ratio) == (50, 5e-5, 0.05)
    assert (recipe.train.batch_size, recipe.loss.mini_batch_size, recipe.train.max_seq_length) == (64, 32, 512)


def test_a_recipe_survives_being_written_and_read(tmp_path):
    recipe = load_recipe(RECIPES[0])
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


def test_overrides_reach_nested_keys_and_are_yaml(tmp_path):
    path = write(tmp_path, MINIMAL)
    recipe = load_recipe(path, ["train.max_steps=7", "data.languages=[de, fi]", "loss.cached=false", "name=other"])
    assert recipe.train.max_steps == 7
    assert recipe.data.languages == ["de", "fi"]
    assert recipe.loss.cached is False
    assert recipe.name == "other"


def test_an_unquoted_no_is_norwegian(tmp_path):
    """YAML 1.1 reads it as false."""
    content = "name: n\nmodel: m\noutput: o\ndata: {language: no, languages: [sv, no], bridge: no}\n"
    content += "translate: {backend: command, languages: [no]}\nsearches: [{language: no, query: hva}]\n"
    recipe = load_recipe(write(tmp_path, content), ["data.language=no"])
    assert (recipe.data.language, recipe.data.languages, recipe.data.bridge) == ("no", ["sv", "no"], "no")
    assert recipe.translate.languages == ("no",)
    assert recipe.searches[0].language == "no"


def test_the_scale_is_found_unless_it_is_set(tmp_path):
    path = write(tmp_path, MINIMAL)
    assert load_recipe(path).loss.scale == "auto"
    assert load_recipe(path, ["loss.scale=20"]).loss.scale == 20
    assert load_recipe(path, ["loss.scale=5e1"]).loss.scale == 50  # text to YAML
    for wrong in ("0", "-1", "'.inf'", "atuo", "[20]", "null"):
        with pytest.raises(InputError, match=r"loss\.scale: give a number above 0, or auto \(got"):
            load_recipe(path, [f"loss.scale={wrong}"])


def test_rows_are_filtered_unless_the_recipe_says_null(tmp_path):
    assert load_recipe(write(tmp_path, MINIMAL)).filter == FilterSettings()
    assert load_recipe(write(tmp_path, MINIMAL | {"filter": {}})).filter == FilterSettings()
    for recipe in (
        load_recipe(write(tmp_path, MINIMAL | {"filter": None})),
        load_recipe(write(tmp_path, MINIMAL), ["filter=null"]),
    ):
        assert recipe.filter is None
        assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


def test_a_section_with_nothing_in_it_is_one_left_out(tmp_path):
    empty = "name: n\nmodel: m\noutput: o\ntrain:\ndata:\nloss:\nstudy:\nsearches:\ndecontaminate:\nmerge:\n"
    assert load_recipe(write(tmp_path, empty)) == load_recipe(write(tmp_path, MINIMAL))
    inner = MINIMAL | {"data": {"columns": None, "languages": None}, "train": {"report_to": None, "max_steps": None}}
    assert load_recipe(write(tmp_path, inner)) == load_recipe(write(tmp_path, MINIMAL))
    translate = {"backend": "command", "command": "cat", "languages": None}
    assert load_recipe(write(tmp_path, MINIMAL | {"translate": translate})).translate.languages == ()


def test_an_override_fills_a_section_with_nothing_in_it(tmp_path):
    path = write(tmp_path, "name: n\nmodel: m\noutput: o\nmerge:\ntrain:\nfilter:\n")
    recipe = load_recipe(path, ["merge.weight=0.5", "train.max_steps=7", "filter.script=0", "data.test.de=5"])
    assert recipe.merge.weight == 0.5
    assert recipe.train.max_steps == 7
    assert recipe.filter == FilterSettings(script=0)
    assert recipe.data.test == {"de": 5}
    assert load_recipe(path, ["merge={}"]).merge == MergeSettings()
    assert load_recipe(path, ["data.test={fi: 3}", "data.test.de=5"]).data.test == {"fi": 3, "de": 5}


def test_adapters_are_trained_where_the_recipe_has_the_section(tmp_path):
    path = write(tmp_path, MINIMAL)
    assert load_recipe(path).train.lora is None
    assert load_recipe(write(tmp_path, "name: n\nmodel: m\noutput: o\ntrain:\n  lora:\n")).train.lora is None
    assert load_recipe(path, ["train.lora={}"]).train.lora == LoraSettings(r=16, alpha=32, targets=None, merge=True)
    recipe = load_recipe(path, ["train.lora.targets=[query, value]", "train.lora.r=8"])
    assert recipe.train.lora == LoraSettings(r=8, targets=("query", "value"))
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


@pytest.mark.parametrize(
    ("size", "held_out"),
    [
        ("0.1", 0.1),
        ("0", 0),
        ("1", 1),  # one row of each language
        ("500", 500),
        ("{de: 0.1, fi: 20}", {"de": 0.1, "fi": 20}),
        ("{deu_Latn: 1}", {"de": 1}),
        ("{no: 3}", {"no": 3}),
    ],
)
def test_rows_held_out_are_a_share_a_number_or_either_by_language(tmp_path, size, held_out):
    recipe = load_recipe(write(tmp_path, MINIMAL), [f"data.test={size}", f"data.dev={size}"])
    assert recipe.data.test == recipe.data.dev == held_out
    again = load_recipe(write(tmp_path, dump_recipe(recipe)))
    assert again == recipe
    assert type(again.data.test) is type(held_out)


@pytest.mark.parametrize(
    "size", ["1.0", "1.5", "-1", "true", "'many'", "null", "[1]", "{de: 1.0}", "{de: null}", ".nan"]
)
def test_sizes_that_cannot_be_are_refused(tmp_path, size):
    with pytest.raises(
        InputError, match=r"data\.test: write a share below 1 such as 0\.1, or a number of rows such as 500"
    ):
        load_recipe(write(tmp_path, MINIMAL), [f"data.test={size}"])


@pytest.mark.parametrize(("alpha", "beta"), [(0.9, 0.1), (0.8, 0.2), (0.7, 0.3), (0.55, 0.45), (1, 0), (0, 1)])
def test_alpha_and_beta_may_leave_the_forward_term_nothing(tmp_path, alpha, beta):
    recipe = load_recipe(write(tmp_path, MINIMAL | {"loss": {"objective": "clear", "alpha": alpha, "beta": beta}}))
    weights = recipe.loss.term_weights()
    assert weights["forward"] == pytest.approx(0, abs=1e-12)
    assert weights_of(weights) == weights  # none below 0


@pytest.mark.parametrize(
    ("loss", "weights"),
    [
        ({}, {"forward": 0.5, "direct": 0.5, "retain": 10.0}),
        ({"objective": "clear"}, {"forward": 1 - 0.4 - 0.2, "reverse": 0.4, "kl": 0.2}),
        ({"objective": "clear", "alpha": 0.3, "beta": 0.1}, {"forward": 1 - 0.3 - 0.1, "reverse": 0.3, "kl": 0.1}),
        ({"objective": "clear-no-kl", "alpha": 0.3}, {"forward": 0.7, "reverse": 0.3}),
        ({"objective": "infonce"}, {"direct": 1.0}),
        ({"weights": {"forward": 0.3, "consistency": 0.1}}, {"forward": 0.3, "consistency": 0.1}),
    ],
)
def test_the_weights_of_the_terms(tmp_path, loss, weights):
    recipe = load_recipe(write(tmp_path, {**MINIMAL, "loss": loss}))
    assert recipe.loss.term_weights() == pytest.approx(weights)
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


@pytest.mark.parametrize(
    ("kind", "loss", "objective"),
    [
        ("dense", {}, "hybrid-plus"),
        ("late-interaction", {}, "hybrid"),  # without retain, which would hold it to a projection at random
        ("late-interaction", {"scale": 20}, "hybrid"),
        ("late-interaction", None, "hybrid"),
        ("late-interaction", {"objective": "hybrid-plus"}, "hybrid-plus"),
        ("late-interaction", {"weights": {"forward": 1.0}}, None),
    ],
)
def test_each_kind_of_model_has_an_objective_of_its_own(tmp_path, kind, loss, objective):
    recipe = load_recipe(write(tmp_path, {**MINIMAL, "kind": kind, "loss": loss}))
    assert recipe.loss.objective == objective
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


@pytest.mark.parametrize(
    ("content", "overrides", "words"),
    [
        ({**MINIMAL, "trian": {}}, [], "unknown key 'trian'; did you mean 'train'?"),
        ({**MINIMAL, "train": {"batchsize": 3}}, [], "unknown key 'train.batchsize'; did you mean 'batch_size'?"),
        ({"name": "n", "model": "m"}, [], "the key 'output' is missing"),
        ({**MINIMAL, "train": {"batch_size": 0}}, [], "train.batch_size: "),
        ({**MINIMAL, "train": {"batch_size": "many"}}, [], "train.batch_size: "),
        ({**MINIMAL, "loss": {"objective": "clear", "alpha": 0.9, "beta": 0.3}}, [], "alpha + beta is over 1"),
        ({**MINIMAL, "loss": {"objective": "infonec"}}, [], "unknown objective 'infonec'; did you mean 'infonce'?"),
        ({**MINIMAL, "loss": {"weights": {"foward": 1}}}, [], "unknown term 'foward'; did you mean 'forward'?"),
        ({**MINIMAL, "loss": {"objective": "hybrid", "alpha": 0.3}}, [], "alpha and beta are weights of the objective"),
        ({**MINIMAL, "loss": {"alpha": 0.3}}, [], "leave them out, or add objective: clear"),
        ({**MINIMAL, "loss": {"objective": "hybrid", "weights": {"kl": 1}}}, [], "leave one of them out"),
        ({**MINIMAL, "study": {"objectives": []}}, [], "study.objectives"),
        ({**MINIMAL, "data": {"test": {"de": "x"}}}, [], "data.test"),
        ("name: [unclosed", [], ": not YAML (expected"),
        ("- a\n- b\n", [], "a recipe is a mapping"),
        (MINIMAL, ["train.max_steps"], "write KEY=VALUE"),
        (MINIMAL, ["=3"], "write KEY=VALUE"),
        (MINIMAL, ["name.x=3"], "'name' is a value"),
        (MINIMAL, ["name=[", ""], "is not YAML"),
        (
            MINIMAL,
            ["train.epochs=1", "train.epochs=2"],
            "'train.epochs=2' undoes train.epochs=..., which stands before",
        ),
        (MINIMAL, ["train.epochs=1", "train={}"], "'train={}' undoes train.epochs=..."),
        (MINIMAL, ["data.test={de: 5, de: 6}"], "is not YAML"),
        (MINIMAL, ["data.test={de: 5, deu: 6}"], "data.test: 'deu' stands twice, under another code of 'de'"),
        (MINIMAL, ["data.test={xx: 5}"], "data.test: unknown language code 'xx'"),
        ("name: n\nmodel: m\nname: o\n", [], "recipe.yaml:3: not YAML (the key 'name' stands twice, first in line 1)"),
        ("name: n\ndata: {test: 1, test: 2}\n", [], "the key 'test' stands twice"),
        (
            MINIMAL,
            ["mine.window=[10, 12]", "mine.negatives=5"],
            "mine: the window, ranks 10 to 12, holds fewer ranks than negatives",
        ),
        (MINIMAL, ["mine.window=[12, 10]"], "mine: the window, ranks 12 to 10"),
        (MINIMAL, ["mine.max_score=2"], "mine.max_score: "),
        (MINIMAL, ["mine.margin=-1"], "mine.margin: "),
        (MINIMAL, ["train.schedule=cosin"], "train.schedule: Input should be 'cosine', 'linear'"),
        (MINIMAL, ["train.epochs=.inf"], "train.epochs: "),
        (MINIMAL, ["seed=-1"], "seed: "),
        (MINIMAL, ["train.batch_size=null"], "train.batch_size: "),
        (MINIMAL, ["train.lora.r=0"], "train.lora.r: Input should be greater than or equal to 1"),
        (MINIMAL, ["train.lora.alpha=0"], "train.lora.alpha: Input should be greater than or equal to 1"),
        (
            MINIMAL,
            ["train.lora.targets=[]"],
            "train.lora.targets: write a list of names such as [query, value], or",
        ),
        (MINIMAL, ["train.lora.targets=query"], "train.lora.targets: write a list of names such as [query, value], or"),
        (MINIMAL, ["train.lora.rank=8"], "unknown key 'train.lora.rank'; known keys: r, alpha, targets, merge"),
        (MINIMAL, ["train.lora=true"], "train.lora: give settings such as {r: 8}, or {} for the usual ones (got True)"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, content, overrides, words):
    with pytest.raises(InputError) as error:
        load_recipe(write(tmp_path, content), overrides)
    assert words in str(error.value)


def test_a_missing_file_and_a_wrong_encoding_are_said(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml.*write one to begin with: clearir init"):
        load_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match="byte 9 is not UTF-8"):
        load_recipe(tmp_path / "latin.yaml")


def test_yaml_runs_no_code(tmp_path):
    with pytest.raises(InputError, match="not YAML"):
        load_recipe(write(tmp_path, "name: !!python/object/apply:os.system ['true']"))


@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda c: (
            st.lists(c)
            | st.dictionaries(st.text() | st.sampled_from(["train", "data", "loss", "name", "searches", "test"]), c)
        ),
        max_leaves=8,
    )
)
def test_no_content_ends_in_anything_but_a_clear_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("r") / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError):  # name, model and output are never all there
        load_recipe(path)
