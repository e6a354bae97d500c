"""What stands before a text when a model reads it: the prompts of queries and of passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentence_transformers.base import BaseModel


#: names of a passage's prompt, in the order in which sentence-transformers' encode_document looks for one
_PASSAGE_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class Prompts:
    """What is put before a query and before a passage (``"query: "``); empty for most models."""

    query: str = ""
    passage: str = ""


def prompts_of(model: BaseModel, query: str | None = None, passage: str | None = None) -> Prompts:
    """The prompts given, else those that ``model.encode_query`` and ``model.encode_document`` use.

    These are the saved ones named ``query``, and the first there is of ``document``, ``passage`` and ``corpus``, be it
    empty; where there is none, the model's default prompt.
    """
    saved = model.prompts
    default = saved.get(model.default_prompt_name or "")
    document = next((saved[name] for name in _PASSAGE_PROMPTS if name in saved), default)
    return Prompts(
        query=(saved.get("query", default) or "") if query is None else query,
        passage=(document or "") if passage is None else passage,
    )


def set_prompts(model: BaseModel, query: str | None, passage: str | None) -> None:
    """Also under the other names of a passage's prompt that the model has, so that none contradicts."""
    if query is not None:
        model.prompts["query"] = query
    if passage is not None:
        others = [name for name in _PASSAGE_PROMPTS if name in model.prompts]
        model.prompts.update(dict.fromkeys(("document", *others), passage))
