"""A short training without checkpoints, with the one-cycle learning rate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ppuu.runtime.errors import InputError

_CLIP_NORM = 1.0


def descend(
    module: nn.Module, loss: Callable[[], Float[Tensor, ""]], updates: int, learning_rate: float
) -> None:
    """Minimises a loss with Adam, in place.

    Args:
        module: what is trained.
        loss: of a new batch at every call.
        updates: number of optimiser steps.
        learning_rate: the highest of the cycle (Smith and Topin, 1708.07120).

    Raises:
        InputError: the loss is not finite.
    """
    optimizer = torch.optim.Adam(module.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=updates)
    for update in range(updates):
        value = loss()
        if not value.isfinite():
            raise InputError(
                f"loss of update {update} is {value.item()}; try a lower learning rate"
            )
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(module.parameters(), _CLIP_NORM)
        optimizer.step()
        schedule.step()
