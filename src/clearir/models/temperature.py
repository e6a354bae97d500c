"""The scale (1 / temperature) of a training: found from its rows with the untrained model, or set and checked.

```python
scale = scale_for("auto", [("how do I save", "Press Ctrl and S"), ...], model, prompts)
scale.used          # what the loss takes
scale.sentence      # the same in words, with what there is to warn of
```
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.settings import AUTO

if TYPE_CHECKING:
    from clearir.models.any_kind import AnyModel
    from clearir.models.prompts import Prompts

#: a scale that is set may be off by this factor before it is warned of
FACTOR = 2.0


@dataclass(frozen=True)
class Scale:
    """The scale of a training.

    Attributes:
        used: what the loss takes.
        auto: whether it was found; else it was set.
        found: what fits the untrained model; see `clearir.losses.scale.fit_scores`.
        pairs: of query and passage that it was found from.
        curve: scales, and the mean cross-entropy in nats at each.
        warning: what makes the found scale doubtful, or the one that was set; empty where nothing does.
    """

    used: float
    auto: bool
    found: float
    pairs: int
    curve: list[tuple[float, float]]
    warning: str = ""

    @property
    def sentence(self) -> str:
        """How the scale came about, and the warning."""
        if not self.pairs:
            return f"scale {self.used:g} (none is looked for: the scores of a reranker have no bounds)"
        how = (
            f"found from {self.pairs} pairs" if self.auto else f"set; {self.found:g} was found from {self.pairs} pairs"
        )
        return f"scale {self.used:g} ({how})" + (f". Warning: {self.warning}" if self.warning else "")

    def as_json(self) -> dict[str, Any]:
        """As it is written down."""
        return asdict(self) | {"curve": [list(point) for point in self.curve]}


def scale_of_reranker(wanted: float | str) -> Scale:
    """The scale for a reranker, whose scores have no bounds and come from a new head: 1, unless one is asked for."""
    used = 1.0 if wanted == AUTO else float(wanted)
    return Scale(used, wanted == AUTO, 1.0, 0, [])


def scale_for(
    wanted: float | str,
    pairs: Iterable[tuple[str, str]],
    model: AnyModel,
    prompts: Prompts,
    *,
    seed: int = 0,
    cache: Path | None = None,
) -> Scale:
    """The scale to train a model with, from some hundred of the pairs that it is trained on.

    Args:
        wanted: a number, or ``auto``.
        pairs: query and passage of each row, in the bridge language.
        model: before it.
        prompts: put before queries and passages.
        seed: of the draw.
        cache: folder of finished embeddings (see `clearir.models.encode`).

    Raises:
        InputError: the model gives vectors that are not finite.
    """
    from clearir.losses.scale import fit_scores, sample_pairs
    from clearir.models.any_kind import encode_any, scorer

    sample = sample_pairs(pairs, seed=seed)
    encode = partial(encode_any, model, cache=cache, description="Finding the scale")
    queries = encode([query for query, _ in sample], "query", prompt=prompts.query)
    passages = encode([passage for _, passage in sample], "passage", prompt=prompts.passage)
    fit = fit_scores(scorer(passages, "cpu")(queries), sample)
    curve = list(fit.curve)
    if wanted == AUTO:
        return Scale(fit.scale, True, fit.scale, fit.pairs, curve, fit.warning)
    used = float(wanted)
    off = not fit.warning and not 1 / FACTOR <= used / fit.scale <= FACTOR
    warning = f"off by more than a factor of {FACTOR:g} for this model; set loss.scale={AUTO}" if off else ""
    return Scale(used, False, fit.scale, fit.pairs, curve, warning)
