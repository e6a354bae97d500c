"""Models of late interaction as a folder that PyLate and sentence-transformers both load.

```python
save_late_interaction(model, "late")
sentence_transformers.MultiVectorEncoder("late")
pylate.models.ColBERT("late")       # the same token vectors
```

PyLate lists a transformer and dense layers alone, and says the rest in one file: the length of queries and of
documents, the words that are ignored, and whether mask tokens stand behind a query. sentence-transformers 6 reads that
layout as well as its own, which PyLate 1 cannot read.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.models.kind import PYLATES
from clearir.models.prompts import prompts_of
from clearir.support.artifacts import read_json, write_json

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

#: module -> its type, by the names that PyLate finds it under
_TYPES = {"Transformer": "sentence_transformers.models.Transformer", "Dense": "pylate.models.Dense.Dense"}
#: what PyLate does with the token vectors itself, in whatever order
_AFTER = {"MultiVectorMask", "Normalize"}
_TOKENS = "token_embeddings"
#: a transformer over text, as sentence-transformers describes it
_PLAIN = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": _TOKENS,
}
#: said elsewhere in PyLate's layout, or of no matter for the vectors
_ELSEWHERE = {"query_length", "document_length", "query_expansion", "unpad_inputs"}
#: beyond it, a tokenizer's limit means that it has none
_NO_LIMIT = 1_000_000


def save_late_interaction(model: MultiVectorEncoder, folder: str | Path) -> str | None:
    """Write a model into a folder that PyLate loads, too; where PyLate cannot, as sentence-transformers saves it.

    A prompt that is one token of the tokenizer's own (``[Q] ``) becomes PyLate's prefix, which PyLate puts before each
    text unasked. Other prompts (``query: ``) it uses where it is asked to: ``encode(..., prompt_name="query")``.

    Args:
        model: with prompts and lengths, which are saved with it.
        folder: to write to; files of the same names are replaced.

    Returns:
        What the model has that PyLate's layout cannot hold; None where PyLate loads it.
    """
    folder = Path(folder)
    model.save_pretrained(str(folder), create_model_card=False)
    if (lacking := _unknown_to_pylate(model)) is not None:
        return lacking
    kept = []
    for listed, module in zip(read_json(folder / "modules.json"), model, strict=True):
        name = type(module).__name__
        if name in _AFTER:
            shutil.rmtree(folder / listed["path"])
            continue
        kept.append(listed | {"type": _TYPES[name]})
        if name == "Dense":
            config = read_json(folder / listed["path"] / "config.json")
            config = {key: value for key, value in config.items() if not key.startswith("module_")}
            write_json(folder / listed["path"] / "config.json", config)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": model.max_seq_length, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", _settings(model))
    write_json(folder / "modules.json", kept)
    return None


def _unknown_to_pylate(model: Any) -> str | None:
    """What the model has that PyLate's layout cannot hold; None where it can."""
    kinds = [type(module).__name__ for module in model]
    dense = kinds.count("Dense")
    if kinds[: 1 + dense] != ["Transformer", *["Dense"] * dense] or not dense or {*kinds[1 + dense :]} != _AFTER:
        return "modules other than a transformer and dense layers"
    transformer, *others = model
    if any(getattr(module, "module_input_name", _TOKENS) != _TOKENS for module in others):
        return "modules that compute something other than token vectors"
    settings = {key: value for key, value in transformer.get_config_dict().items() if key not in _ELSEWHERE}
    if settings != _PLAIN:
        return "a transformer with settings of its own"
    expansion = transformer.query_expansion or {"strategy": "fixed"}
    if expansion["strategy"] != "fixed" or expansion.get("token") not in (None, model.tokenizer.mask_token):
        return "a query expansion other than by mask tokens to one length"
    mask = _mask(model)
    if mask.skiplist_tasks != ["document"] or mask.keep_only_token_ids:
        return "ignored words other than those of documents"
    if model.max_seq_length > _NO_LIMIT:
        return "no limit on the length of a text"
    return None


def _mask(model: Any) -> Any:
    """The module that leaves out ignored words."""
    return next(module for module in model if type(module).__name__ == "MultiVectorMask")


def _settings(model: Any) -> dict[str, Any]:
    """What stands in ``config_sentence_transformers.json``."""
    transformer = model[0]
    expansion = transformer.query_expansion
    prompts = prompts_of(model)
    before = {"query": prompts.query, "document": prompts.passage}
    prefixes = {side: prompt if _is_prefix(model.tokenizer, prompt) else "" for side, prompt in before.items()}
    return {
        "model_type": PYLATES,
        "query_prefix": prefixes["query"],
        "document_prefix": prefixes["document"],
        "query_length": expansion["length"] if expansion else transformer.query_length or model.max_seq_length,
        "document_length": transformer.document_length or model.max_seq_length,
        "do_query_expansion": expansion is not None,
        "attend_to_expansion_tokens": bool(expansion and expansion.get("attend")),
        # PyLate would take the rest for the unknown token, and ignore every unknown word.
        "skiplist_words": [word for word in _mask(model).skiplist_words if _is_token(model.tokenizer, word)],
        "similarity_fn_name": model.similarity_fn_name,
        "prompts": {side: "" if prefixes[side] else prompt for side, prompt in before.items()},
        "default_prompt_name": None,
    }


def _is_prefix(tokenizer: Any, prompt: str) -> bool:
    """Whether a prompt is a token that was added to the tokenizer, with the same tokens behind it as without it."""
    if prompt not in tokenizer.get_added_vocab():
        return False
    text = "what is it"
    alone, both = (tokenizer.encode(one, add_special_tokens=False) for one in (text, prompt + text))
    return bool(both == [tokenizer.convert_tokens_to_ids(prompt), *alone])


def _is_token(tokenizer: Any, word: str) -> bool:
    return bool(word == tokenizer.unk_token or tokenizer.convert_tokens_to_ids(word) != tokenizer.unk_token_id)
