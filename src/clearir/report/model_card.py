"""The model card: the README.md of a trained sentence-transformers folder, for model hubs and people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from clearir.report.load import Run
from clearir.report.markdown import (
    code,
    data_section,
    join,
    proof_section,
    provenance,
    result,
    scale_note,
    scores_section,
    settings_section,
)
from clearir.report.text import markdown
from clearir.settings import DENSE, LATE_INTERACTION, RERANKER, SPARSE
from clearir.support.citation import CITATION
from clearir.support.languages import language_name
from clearir.support.texts import printable

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

USAGE = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["your query, in any of the languages above"])
passages = model.encode_document(["a passage"])
print(model.similarity(queries, passages))
```"""


#: the same of late interaction
USAGE_OF_TOKENS = USAGE.replace("SentenceTransformer", "MultiVectorEncoder")
#: the same in PyLate, which does without prompts unless they are named
USAGE_IN_PYLATE = """PyLate gives the same vectors. Its score is the sum over the tokens of a query, not the mean:

```python
from pylate import models

model = models.ColBERT("path/to/this/folder")
queries = model.encode(["your query, in any of the languages above"], is_query=True, prompt_name="query")
passages = model.encode(["a passage"], is_query=False, prompt_name="document")
```"""
#: the same of a sparse model, with the words that a query fires
USAGE_OF_WORDS = USAGE.replace("SentenceTransformer", "SparseEncoder").replace(
    "\n```", "\nprint(model.decode(queries[0], top_k=10))\n```"
)
#: the same of a reranker
USAGE_OF_PAIRS = """```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("path/to/this/folder")
query = "your query, in any of the languages above"
print(model.rank(query, ["a passage that a first search found", "another"], return_documents=True))
```"""


def model_card(run: Run, *, in_pylate: bool = False) -> str:
    """README.md: front matter, what the model is, how to use it, its scores, data, recipe and citation.

    Args:
        run: whose trained model it is.
        in_pylate: PyLate loads the model, see `clearir.models.pylate_layout`.
    """
    base = str(run.settings.get("model") or run.before.model)
    bridge = language_name(run.before.bridge)
    targets = ", ".join(map(language_name, trained_languages(run)))
    parts = [
        _front_matter(run, base, in_pylate),
        f"# {markdown(run.name)}",
        f"A sentence-transformers model for search across languages: {markdown(base)}, trained with"
        f" {objective(run)} so that queries in {markdown(targets, 2000)} find passages in {markdown(bridge)}, while"
        f" keeping the quality of {markdown(bridge)} search.",
        "## Use",
        *_usage(run, in_pylate),
        *_adapters(run, base),
        *_reading(run),
        "## Scores",
        *result(run),
        f"Before: {markdown(run.before.model)}. After: this model. Suite: {markdown(run.before.suite)}.",
        *scores_section(run),
        *proof_section(run),
        *data_section(run),
        *(scale_note(run.training) if run.training else []),
        *settings_section(run),
        provenance(run),
        "## Limits",
        f"Trained only between {markdown(bridge)} and the languages above; other pairs of languages were not trained."
        " The licences of the base model and of the training data apply.",
        "## Citation",
        f"```bibtex{CITATION}```",
    ]
    return join(parts)


def _usage(run: Run, in_pylate: bool) -> list[str]:
    """How the model is used from Python, and what kind of model it is."""
    kind = run.settings.get("kind")
    if kind == LATE_INTERACTION:
        what = (
            "A model of late interaction: each token of a text has a vector, and texts are compared by MaxSim. "
            "`clearir index path/to/this/folder passages.jsonl --out index` makes an index that is searched so."
        )
        return [USAGE_OF_TOKENS, *([USAGE_IN_PYLATE] if in_pylate else []), what]
    if kind == SPARSE:
        what = "A sparse model: a text has weights of words, most of them 0, and texts are compared by dot product."
        return [USAGE_OF_WORDS, what]
    if kind == RERANKER:
        rerank = run.settings.get("rerank")
        rerank = rerank if isinstance(rerank, dict) else {}
        top, weight = rerank.get("top"), rerank.get("first_weight")
        added = f", with {weight:g} x its cosine added to the reranker's score (the logit)" if weight else ""
        first = f" The scores below are of the first {top} passages that a dense model found{added}." if top else ""
        return [USAGE_OF_PAIRS, f"A reranker: it reads a query together with a passage and gives a score.{first}"]
    return [USAGE]


#: kind of model -> its tags on the Hub, and what the Hub calls what it does
_ON_THE_HUB: dict[str, tuple[str, list[str]]] = {
    DENSE: ("sentence-similarity", ["sentence-similarity", "feature-extraction"]),
    LATE_INTERACTION: (
        "sentence-similarity",
        ["sentence-similarity", "feature-extraction", "multi-vector", "colbert", "late-interaction"],
    ),
    SPARSE: ("feature-extraction", ["sparse-encoder", "sparse", "splade", "feature-extraction"]),
    RERANKER: ("text-ranking", ["cross-encoder", "reranker"]),
}


def _adapters(run: Run, base: str) -> list[str]:
    """What is needed besides the folder, where it holds adapters alone."""
    train = run.settings.get("train")
    lora = train.get("lora") if isinstance(train, dict) else None
    if not isinstance(lora, dict) or lora.get("merge", True) or run.settings.get("merge"):
        return []
    return [f"The folder holds adapters (LoRA) alone: to load them takes `pip install peft` and {markdown(base)}."]


def _reading(run: Run) -> list[str]:
    """Prompts and maximum length, for users of the model without this library."""
    prompts, length = (run.after.settings.get(key) for key in ("prompts", "max_seq_length"))
    lines = []
    if isinstance(prompts, dict) and any(prompts.values()):
        query, passage = (
            code(json.dumps(printable(str(prompts.get(kind) or "")), ensure_ascii=False))
            for kind in ("query", "passage")
        )
        lines.append(f"`encode_query` puts {query} before a text, `encode_document` puts {passage}.")
    if length is not None:
        lines.append(f"The model reads the first {length} tokens of each text.")
    return [" ".join(lines)] if lines else []


def objective(run: Run) -> str:
    """The objective of the training, in words; CLEAR if the run has no such facts."""
    loss = run.settings.get("loss")
    loss = loss if isinstance(loss, dict) else {}
    if loss.get("weights"):
        return "a weighted sum of clearir's terms (see the recipe below)"
    name = loss.get("objective", "clear")
    return "CLEAR" if name == "clear" else f"the objective {markdown(str(name))}"


def trained_languages(run: Run) -> list[str]:
    """Target languages with training data; those of the scores if the run has no such facts."""
    trained = [language for language, rows in run.rows_by_language.items() if rows]
    return trained or run.languages


def hub_name(model: str) -> str | None:
    """``model`` if it is a name on the Hub; None for a folder or a model inside a Python package."""
    return model if _HUB_NAME.fullmatch(model) and not Path(model).exists() else None


def _front_matter(run: Run, base: str, in_pylate: bool) -> str:
    import yaml

    task, tags = _ON_THE_HUB[str(run.settings.get("kind", DENSE))]
    values: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": task,
        "tags": ["sentence-transformers", *(["PyLate"] if in_pylate else []), *tags, "cross-lingual", "clear"],
        "language": [run.before.bridge, *trained_languages(run)],
    }
    if (name := hub_name(base)) is not None:
        values["base_model"] = name
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True).strip()}\n---"
