"""Models that read queries and passages in two ways: refused, as everything here tells them apart by prompts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearir.support.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

#: settings of a transformer module that hold for queries or for passages alone
_FOR_ONE_SIDE = ("query_length", "document_length", "query_expansion")


def refuse_two_ways(model: SentenceTransformer, name: str) -> None:
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


def refuse_routes(model: SentenceTransformer, name: str) -> None:
    """Refuse a model to train that has routes of any kind: its Trainer would ask for a route of each column.

    Raises:
        InputError: it has a Router.
    """
    from sentence_transformers.base.modules import Router

    if any(isinstance(module, Router) for module in model.modules()):
        raise InputError(
            f"{name}: it has several routes (Router), of which clearir would train one; save that one as a model and "
            "name it"
        )


def _routes_by_task(router: Router) -> bool:
    named = not {"query", "document"}.isdisjoint(router.sub_modules)
    return named or any(task is not None for task, _ in router.route_mappings)
