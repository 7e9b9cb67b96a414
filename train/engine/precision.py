"""How a loss is computed: autocast, compiled code, memory layout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ppuu.objectives import Terms

from .loop_config import LoopConfig

Batch = TypeVar("Batch")


def configured_loss(
    loss: Callable[[Batch, torch.Generator], Terms], module: nn.Module, loop: LoopConfig
) -> Callable[[Batch, torch.Generator], Terms]:
    """The loss, computed with the configured precision, compiler and memory layout.

    Args:
        loss: forward pass and objective.
        module: what is trained; its convolutions get the layout.
        loop: ``precision``, ``compile`` and ``channels_last``.
    """
    device = next(module.parameters()).device
    if loop.channels_last:
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if loop.compile and compiler_works(device):
        # The network's parts alone: what is around them draws images in other compiled loops,
        # and has shapes that depend on the data.
        for part in module.children():
            part.compile()
    if loop.precision == "float32":
        return loss

    def in_bfloat16(batch: Batch, generator: torch.Generator) -> Terms:
        with torch.autocast(device.type, torch.bfloat16):
            return loss(batch, generator)

    return in_bfloat16


def compiler_works(device: torch.device) -> bool:
    """Whether ``torch.compile`` has what it needs here; one line of warning if not."""
    try:
        torch.compile(lambda x: x.sin() + 1.0)(torch.zeros(8, device=device))
    except Exception as error:  # torch raises a different type for each missing piece
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        sys.stderr.write(
            f"warning: torch.compile fails here ({reason}); training is not compiled\n"
        )
        return False
    return True
