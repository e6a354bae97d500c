"""Vectors that `clearir encode` has made, found by their texts.

```python
ready = ReadyVectors.open(Path("vectors"))
encode(model, texts, ready=ready)      # computes only what is not there
```
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.support.arrow import column_to_vectors
from clearir.support.artifacts import MANIFEST, read_json
from clearir.support.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer


class ReadyVectors:
    """Finished vectors of `encode_corpus`, found by their texts; ``len()`` is their number.

    Keys are in memory (24 bytes a passage), vectors on disk.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        import numpy as np

        self.folder = folder
        self._settings = settings
        self._parts = sorted(folder.glob("part-*.parquet"))
        halves = [_halves(part) for part in self._parts]
        self._starts = np.cumsum([0, *map(len, halves)])
        self._keys = np.concatenate(halves) if halves else np.empty((0, 2), "<u8")
        self._order = np.argsort(self._keys[:, 0])
        self._read = lru_cache(maxsize=2)(self._read_part)

    @classmethod
    def open(cls, folder: Path) -> ReadyVectors:
        """Open what `encode_corpus` wrote.

        Raises:
            InputError: it is something else, or not finished.
        """
        manifest = folder / MANIFEST
        settings = read_json(manifest).get("settings", {}) if manifest.is_file() else {}
        if settings.get("stage") != "encode":
            raise InputError(
                f"{folder}: no finished vectors; make them with: clearir encode MODEL CORPUS --out {folder}"
            )
        return cls(folder, settings)

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, model: SentenceTransformer, passage_prompt: str) -> None:
        """Refuse a model that would give other vectors.

        Raises:
            InputError: another model, prompt or maximal length.
        """
        from clearir.models.load import model_fingerprint

        ours = {
            "model_hash": model_fingerprint(model),
            "prompt": passage_prompt,
            "max_seq_length": model.max_seq_length,
        }
        for name, value in ours.items():
            if (made := self._settings[name]) != value:
                same = {
                    "model_hash": "use the model that made them",
                    "prompt": f"add --passage-prompt {shlex.quote(str(made))}",
                    "max_seq_length": f"add --max-seq-length {made}",
                }
                raise InputError(
                    f"{self.folder}: vectors of another {name} ({made!r}, but here it is {value!r}); {same[name]}, or "
                    "encode the corpus again"
                )

    def find(self, keys: Mapping[str, bytes]) -> dict[str, NDArray[np.float32]]:
        """Vectors of texts.

        Args:
            keys: of each text; see `clearir.models.vector_cache.vector_key`.

        Returns:
            those that are there.
        """
        import numpy as np

        if not keys or not len(self):
            return {}
        texts = list(keys)
        wanted = np.frombuffer(b"".join(keys.values()), "<u8").reshape(-1, 2)
        ordered = self._keys[self._order, 0]
        places = self._order[np.minimum(np.searchsorted(ordered, wanted[:, 0]), len(ordered) - 1)]
        found = np.flatnonzero((self._keys[places] == wanted).all(axis=1))
        parts = np.searchsorted(self._starts, places, side="right") - 1
        vectors: dict[str, NDArray[np.float32]] = {}
        for number in found[np.argsort(parts[found], kind="stable")]:
            part = int(parts[number])
            vectors[texts[number]] = self._read(part)[places[number] - self._starts[part]]
        return vectors

    def _read_part(self, part: int) -> NDArray[np.float32]:
        import pyarrow.parquet as pq

        return column_to_vectors(pq.read_table(self._parts[part], columns=["vector"])["vector"])


def _halves(part: Path) -> NDArray[np.uint64]:
    """The keys of a part, of 16 bytes each, as two numbers a row."""
    import numpy as np
    import pyarrow.parquet as pq

    keys = pq.read_table(part, columns=["key"])["key"].combine_chunks()
    return np.frombuffer(keys.buffers()[1], "<u8", 2 * len(keys), 16 * keys.offset).reshape(-1, 2)
