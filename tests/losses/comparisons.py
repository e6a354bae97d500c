"""What tests of losses compare: the loss of a batch, and the gradient of each parameter."""

from __future__ import annotations

from typing import Any

import torch


def gradients(loss: Any, features: Any) -> dict[str, torch.Tensor]:
    """The loss of a batch, detached, and the gradients that it gives the model."""
    loss.zero_grad()
    value = loss(features, None)
    value.backward()
    grads = {name: p.grad.clone() for name, p in loss.model.named_parameters() if p.grad is not None}
    assert grads
    assert any(grad.abs().max() > 1e-6 for grad in grads.values()), "a comparison of zeros shows nothing"
    return {"loss": value.detach(), **grads}
