"""The first recipe for a table: `clearir init --from TABLE` writes it, with the reasons beside the settings."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from clearir.cli import sample
from clearir.data.sources.understand import Understood
from clearir.evaluation.compare import FEW
from clearir.models.packaged_e5 import PROMPTS
from clearir.support.artifacts import atomic_file
from clearir.support.errors import InputError
from clearir.support.languages import language_name
from clearir.support.texts import text_key

NAME = "recipe.yaml"
#: rows that a step of training takes, and steps below which a model hardly moves
BATCH, FEWEST_STEPS = 32, 40
#: different passages from which the scale of the loss can be found; see `clearir.losses.scale`, which imports torch
FEWEST_PAIRS = 32

_TEXT = Template("""\
# clearir train $recipe
name: $name
model: $model  # a name on the Hub, a folder, or a model inside a Python package
output: $output
data:
  path: $path
$options  test: $test  # $test_reason
$prompts${translate}train:
  learning_rate: 5.0e-5  # docs/study.md: 5e-5 or 1e-4 for e5-small and MiniLM
  batch_size: $batch
  $length  # $length_reason
  max_seq_length: 128  # tokens of a text that are read; longer passages are cut
$scale""")


@dataclass(frozen=True)
class FirstRecipe:
    """Where it stands, and what its reader should know."""

    path: Path
    warnings: tuple[str, ...]


def write_recipe(
    table: Path, found: Understood, folder: Path, *, model: str | None = None, overwrite: bool = False
) -> FirstRecipe:
    """Write a recipe for a table.

    Args:
        table: the file.
        found: what it holds.
        folder: for the recipe.
        model: the base; by default e5-small.
        overwrite: replace a recipe that is there.

    Raises:
        InputError: a recipe is there, or nothing in the table can be trained on or translated.
    """
    path = folder / NAME
    if path.exists() and not overwrite:
        raise InputError(f"{path}: already exists; name another folder or add --overwrite")
    translated, missing = found.translated, found.missing
    if not translated:
        raise InputError(
            f"{table}: no translated queries were found; name their column (columns.target_query_sw=COLUMN, or "
            "columns.target_query=COLUMN language=sw), or have them translated (docs/data.md)"
        )
    base = model or sample.base()
    test, reason = _test_part(found)
    train_rows = round(sum(translated.values()) * (1 - test))
    batch = max(2, min(BATCH, train_rows // 2))
    steps = math.ceil(train_rows / batch)
    few = steps < FEWEST_STEPS
    text = _TEXT.substitute(
        recipe=os.path.relpath(path),
        name=_plain(table.stem),
        model=_plain(base),
        output=_plain(f"runs/{table.stem}"),
        path=_plain(os.path.relpath(table)),
        options="".join(
            f"  {name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in found.options.items()
        ),
        test=test,
        test_reason=reason,
        prompts=_prompts(base),
        translate=_translate(missing),
        batch=batch,
        length=f"max_steps: {FEWEST_STEPS}" if few else "epochs: 1",
        scale=_scale(base, round(found.passages * (1 - test))),
        length_reason=f"{train_rows:,} rows; {FEWEST_STEPS / steps:.0f} times each" if few else f"{steps:,} steps",
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return FirstRecipe(path, tuple(_warnings(found, test)))


def _plain(text: str) -> str:
    """As YAML writes it."""
    import yaml

    return str(yaml.safe_dump(text, allow_unicode=True, width=10**6)).removesuffix("\n").removesuffix("\n...")


def _test_part(found: Understood) -> tuple[float, str]:
    """Share of each language's rows to hold out, and why."""
    least = min(found.translated.values())
    if least >= 10 * FEW:
        return 0.1, f"a tenth of each language is held out: at least {least // 10} queries"
    share = 0.2 if least >= 5 * FEW else 0.3
    return share, f"few rows ({least} in the smallest language), so a larger share is held out"


def _prompts(base: str) -> str:
    """Those of E5, which its folder on the Hub does not have."""
    if base.startswith("python:") or not _is_e5(base):
        return ""
    prompts = {"query": PROMPTS["query"], "passage": PROMPTS["document"]}
    return f"prompts: {json.dumps(prompts)}  # E5 was trained with these\n"


def _scale(base: str, passages: int) -> str:
    """That of E5 where the rows to train on are too few to find it from."""
    if passages >= FEWEST_PAIRS or not _is_e5(base):
        return "# loss.scale is found from your rows before training (docs/study.md); loss.objective is hybrid-plus\n"
    return (
        f"loss:\n  scale: 100  # that of E5 (docs/study.md); with {FEWEST_PAIRS} passages or more to train on, leave it"
        " out: it is found\n"
    )


def _is_e5(base: str) -> bool:
    return "e5" in base.lower() and not Path(base).is_dir()


def _translate(missing: Mapping[str, int]) -> str:
    if not missing:
        return ""
    shown = ", ".join(f"{language_name(code)} {count:,}" for code, count in sorted(missing.items()))
    return (
        f"# Queries without a translation are left out ({shown}). To translate them, name a translator:\n"
        "# translate: {backend: hf, model: facebook/nllb-200-distilled-600M}  # see docs/data.md\n"
    )


def _warnings(found: Understood, test: float) -> list[str]:
    warnings = []
    few = {code: round(count * test) for code, count in found.translated.items() if count * test < FEW}
    if few:
        shown = ", ".join(f"{language_name(code)} {count}" for code, count in sorted(few.items()))
        warnings.append(
            f"few test queries ({shown}): with fewer than {FEW} per language, most differences are not significant"
        )
    same = sum(row.target_query is not None and text_key(row.target_query) == text_key(row.query) for row in found.rows)
    if same:
        warnings.append(f"{same:,} target queries are the same as the query; the filter drops them")
    return warnings
