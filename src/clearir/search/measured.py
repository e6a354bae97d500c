"""What a run has measured of the models that are served: how often the right passage comes first, in which languages.

```python
measured = Measured.of(Path("runs/demo"), load_info("runs/demo/index"), load_info("runs/demo/index-base"))
measured.lines[0]   # First(language="as", queries=59, tuned=35, base=1)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearir.data.scripts import script_of, scripts_of
from clearir.evaluation.scores import Direction, Scores, read_scores
from clearir.search.examples import First
from clearir.search.index import IndexInfo
from clearir.support.artifacts import MANIFEST, read_json

if TYPE_CHECKING:
    from clearir.models.reranker import Reranking


@dataclass(frozen=True)
class Measured:
    """What the scores of a run say of the models of two indexes.

    Attributes:
        bridge: language of the passages.
        trained: languages that were trained on, beside the bridge.
        lines: over all held-out queries of each language, on the passages that were held out.
        passages: how many these are, which are not all of the index.
    """

    bridge: str
    trained: tuple[str, ...]
    lines: tuple[First, ...]
    passages: int

    @classmethod
    def of(
        cls, run: Path, tuned: IndexInfo, base: IndexInfo | None = None, rerank: Reranking | None = None
    ) -> Measured | None:
        """Read the scores of a run; None where it has none of the very model that made the index.

        Args:
            run: folder of a run: scores are in ``scores``, rows in ``rows``.
            tuned: of the index that is searched.
            base: of the index of the base model.
            rerank: what is behind the models; then the scores of both together are sought.

        Raises:
            InputError: a file of scores cannot be read.
        """
        if not (run / "scores").is_dir():
            return None
        by_model = {scores.model_hash: scores for scores in read_scores([run / "scores"]).values()}
        hashes = [None if info is None else info.model_hash for info in (tuned, base)]
        if rerank is not None:
            hashes = [None if one is None else rerank.hash_with(one) for one in hashes]
        after, before = (None if one is None else by_model.get(one) for one in hashes)
        if after is None or (before is not None and before.suite_hash != after.suite_hash):
            return None
        directions = _to_bridge(after)
        lines = tuple(
            First(one.query_language, len(one.ranks), _first(one), None if before is None else _first_of(before, one))
            for one in directions
        )
        if not lines:
            return None
        return cls(after.bridge, _trained(run, lines), lines, max(one.corpus_size for one in directions))

    def over(self, languages: Sequence[str]) -> First:
        """The sum over some languages, or over all."""
        lines = [line for line in self.lines if line.language in languages]
        before = [line.base for line in lines if line.base is not None]
        return First(
            "+".join(line.language for line in lines),
            sum(line.queries for line in lines),
            sum(line.tuned for line in lines),
            sum(before) if len(before) == len(lines) else None,
        )

    @property
    def total(self) -> First:
        """The sum over all languages."""
        return self.over([line.language for line in self.lines])

    def may_be(self, query: str) -> tuple[str, ...]:
        """The languages of the training that are written in the script of a query; the bridge is one of them."""
        scripts = [script for letter in query if (script := script_of(letter)) is not None]
        if not scripts:
            return (self.bridge, *self.trained)
        script = max(scripts, key=scripts.count)
        return tuple(one for one in (self.bridge, *self.trained) if script in (scripts_of(one) or ()))


def _to_bridge(scores: Scores) -> list[Direction]:
    return [
        one
        for one in scores.directions.values()
        if one.passage_language == scores.bridge and one.query_language != scores.bridge
    ]


def _first(direction: Direction) -> int:
    return sum(rank == 1 for rank in direction.ranks)


def _first_of(scores: Scores, direction: Direction) -> int | None:
    other = scores.directions.get(direction.name)
    return _first(other) if other is not None and other.query_ids == direction.query_ids else None


def _trained(run: Path, lines: Sequence[First]) -> tuple[str, ...]:
    """The languages of the rows, or those that were measured where the rows are gone."""
    manifest = run / "rows" / MANIFEST
    if manifest.is_file():
        rows: dict[str, int] = read_json(manifest)["result"]["splits"]["train"]
        return tuple(sorted(code for code in rows if code != "null"))  # null: rows without a translation
    return tuple(line.language for line in lines)
