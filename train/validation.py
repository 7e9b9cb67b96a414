"""The loss on data that nothing is learnt from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from ppuu.objectives import Terms

Picked = TypeVar("Picked")
Drawn = TypeVar("Drawn")


def held_out_loss(
    pick: Callable[[int], Picked],
    draw: Callable[[Picked, torch.Generator], Drawn],
    loss: Callable[[Drawn], Terms],
    batches: int,
    seed: int,
) -> Callable[[], float]:
    """The mean loss of some batches of the validation split, always the same ones.

    Args:
        pick, draw, loss: as of ``train.loop.train``, from other data.
        batches: how many.
        seed: of what ``draw`` leaves to chance.
    """

    def validate() -> float:
        generator = torch.Generator().manual_seed(seed)
        losses = [loss(draw(pick(number), generator)).total.item() for number in range(batches)]
        return sum(losses) / batches

    return validate
