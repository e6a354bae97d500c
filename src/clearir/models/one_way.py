"""Models that send texts through different modules (Router): by language they are used, by query and passage refused.

Everything here tells queries and passages apart by prompts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clearir.support.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base import BaseModel
    from sentence_transformers.base.modules import Router

#: settings of a transformer module that hold for queries or for passages alone
_FOR_ONE_SIDE = ("query_length", "document_length", "query_expansion")


def refuse_two_ways(model: BaseModel, name: str) -> None:
    """Refuse a model for which `encode_query` and `encode_document` differ by more than the prompt.

    Args:
        model: as it was loaded.
        name: of the model, for messages.

    Raises:
        InputError: it has a Router with routes for them, or settings that hold for one of them.
    """
    from sentence_transformers.base.modules import Router

    for module in model.modules():
        if isinstance(module, Router) and _routes_by_task(module):
            raise InputError(
                f"{name}: it sends queries and passages through different modules (Router), but clearir reads both "
                "with the same; save one route as a model and name that, or train all of it with clearir.losses in "
                "your own SentenceTransformerTrainer, with router_mapping"
            )
        for setting in _FOR_ONE_SIDE:
            if getattr(module, setting, None) is not None:
                raise InputError(
                    f"{name}: {setting} applies to one side only, but clearir reads queries and passages in one way; "
                    f"remove {setting} from sentence_bert_config.json in the model's folder and give max_seq_length"
                )


def refuse_routes(model: BaseModel, name: str) -> None:
    """Refuse a model to train that has routes of any kind: its Trainer would ask for a route of each column.

    Raises:
        InputError: it has a Router.
    """
    from sentence_transformers.base.modules import Router

    if languages := languages_of(model):
        raise InputError(
            f"{name}: it subtracts a vector from passages in {', '.join(sorted(languages))} (clearir.models.shift), "
            "which training would make wrong; train the model that it was made from, and shift what comes out"
        )
    if any(isinstance(module, Router) for module in model.modules()):
        raise InputError(
            f"{name}: it has several routes (Router), of which clearir would train one; save that one as a model and "
            "name it"
        )


def languages_of(model: BaseModel) -> frozenset[str]:
    """The languages for which a model has a route of its own: the tasks that its Router maps to one."""
    from sentence_transformers.base.modules import Router

    routers = (module for module in model.modules() if isinstance(module, Router))
    return frozenset(task for router in routers for task, _ in router.route_mappings if task is not None)


def routes_of(model: SentenceTransformer, languages: Sequence[str | None]) -> list[str | None]:
    """Of each language itself if the model has a route for it, else None."""
    known = languages_of(model)
    return [language if language in known else None for language in languages]


def _routes_by_task(router: Router) -> bool:
    tasks = {*router.sub_modules, *(task for task, _ in router.route_mappings)}
    return not tasks.isdisjoint({"query", "document"})
