"""Index a corpus with a model, and search it in any language.

```python
corpus = read_corpus("passages.jsonl")
build_index(corpus, "runs/demo/model", "index", cache=Path("cache"))
searcher = Searcher.open("index")
for hit in searcher.search("kuinka salaan levyn", k=5):
    print(hit.rank, hit.score, hit.title, hit.text)
```

Names are imported when they are first used: the command line imports this package for every command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearir.data.passages import Corpus, Passage, read_corpus
    from clearir.search.index import IndexInfo, build_index, load_info
    from clearir.search.query import Hit, Searcher, compare

_PUBLIC = {
    **dict.fromkeys(("Corpus", "Passage", "read_corpus"), "clearir.data.passages"),
    **dict.fromkeys(("IndexInfo", "build_index", "load_info"), "clearir.search.index"),
    **dict.fromkeys(("Hit", "Searcher", "compare"), "clearir.search.query"),
}
__all__ = ["Corpus", "Hit", "IndexInfo", "Passage", "Searcher", "build_index", "compare", "load_info", "read_corpus"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
