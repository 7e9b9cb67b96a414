"""With which arithmetic a loss is computed: autocast, compiled code, memory layout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ppuu.objectives import Terms

from .loop_config import LoopConfig

Drawn = TypeVar("Drawn")


def faster(
    loss: Callable[[Drawn, torch.Generator], Terms], module: nn.Module, loop: LoopConfig
) -> Callable[[Drawn, torch.Generator], Terms]:
    """The same loss as the configuration wants it computed.

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
        # and has shapes that change with what is seen.
        for part in module.children():
            part.compile()
    if loop.precision == "float32":
        return loss

    def in_bfloat16(drawn: Drawn, generator: torch.Generator) -> Terms:
        with torch.autocast(device.type, torch.bfloat16):
            return loss(drawn, generator)

    return in_bfloat16


def compiler_works(device: torch.device) -> bool:
    """Whether ``torch.compile`` has what it needs here; one line of warning if not."""
    try:
        # Half a line of arithmetic shows it.
        torch.compile(lambda x: x.sin() + 1.0)(torch.zeros(8, device=device))
    except Exception as error:  # torch raises a different type for each missing piece
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        sys.stderr.write(f"warning: torch.compile fails here ({reason}); going on without\n")
        return False
    return True
