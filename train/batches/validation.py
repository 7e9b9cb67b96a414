"""The loss on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from ppuu.objectives import Terms

from ..engine.loop_config import LoopConfig
from .clips import ClipStream, Selection

Batch = TypeVar("Batch")


def held_out_loss(
    stream: ClipStream,
    draw: Callable[[Selection, torch.Generator], Batch],
    loss: Callable[[Batch, torch.Generator], Terms],
    loop: LoopConfig,
) -> Callable[[], float] | None:
    """A function that gives the mean loss of some validation clips, always the same ones.

    Args:
        stream: training clips; the validation split of the same recordings is read.
        draw, loss: as of the recipe.
        loop: how many batches; nothing is read if it never validates.

    Raises:
        InputError: the recordings have no validation split.
    """
    if not loop.validate_every:
        return None
    held_out = stream.held_out()

    def validate() -> float:
        generator = torch.Generator().manual_seed(loop.seed)
        losses = [
            loss(draw(held_out.at(number), generator), generator).total.item()
            for number in range(loop.validation_batches)
        ]
        return sum(losses) / len(losses)

    return validate
