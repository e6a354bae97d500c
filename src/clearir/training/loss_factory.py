"""Settings -> the loss that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearir.settings import LossSettings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

    from clearir.losses.untrained import Frozen


def make_loss(
    network: SentenceTransformer | CrossEncoder,
    settings: LossSettings,
    num_negatives: int,
    untrained: Frozen | None = None,
) -> Any:
    """The loss that the settings name.

    Args:
        network: the model; a reranker has losses of its own.
        settings: the loss's, with a number for the scale.
        num_negatives: negative passages a row.
        untrained: what terms compare with that ask for the untrained model.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.losses.gradcache import has_static_embedding_input

    from clearir import losses

    kind: tuple[type[Any], type[Any]] = (losses.ObjectiveLoss, losses.CachedObjectiveLoss)
    what: dict[str, Any] = {"objective": settings.term_weights()}
    if isinstance(network, CrossEncoder):
        kind = losses.RerankingLoss, losses.CachedRerankingLoss
    else:
        what |= {"gather_across_devices": settings.gather_across_devices, "untrained": untrained}
        if settings.is_clear:
            kind = losses.CLEARLoss, losses.CachedCLEARLoss
            del what["objective"]
            what |= {"alpha": settings.alpha, "beta": settings.beta}
    plain, cached = kind
    common: dict[str, Any] = {
        **what,
        "scale": settings.scale,
        "num_negatives": num_negatives,
        "mask_false_negatives": settings.mask_false_negatives,
    }
    if not settings.cached or has_static_embedding_input(network):  # that has no chunks to cut, and needs little memory
        return plain(network, **common)
    return cached(
        network,
        **common,
        mini_batch_size=settings.mini_batch_size,
        mini_batch_num_tokens=settings.mini_batch_num_tokens,
        memory_budget=settings.memory_budget,
    )
