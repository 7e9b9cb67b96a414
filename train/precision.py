"""With which arithmetic a loss is computed: autocast, compiled code, memory layout."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ppuu.objectives import Terms

from .loop_config import LoopConfig

Drawn = TypeVar("Drawn")


def faster(
    loss: Callable[[Drawn], Terms], module: nn.Module, loop: LoopConfig
) -> Callable[[Drawn], Terms]:
    """The same loss as the configuration wants it computed.

    Args:
        loss: forward pass and objective.
        module: what is trained; its convolutions get the layout.
        loop: ``precision``, ``compile`` and ``channels_last``.
    """
    device = next(module.parameters()).device
    if loop.channels_last:
        # Recurrent and 1-D weights have no channels to move; torch leaves them alone.
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    computed = compiled(loss, device) if loop.compile else loss
    if loop.precision == "float32":
        return computed

    def in_bfloat16(drawn: Drawn) -> Terms:
        with torch.autocast(device.type, torch.bfloat16):
            return computed(drawn)

    return in_bfloat16


def compiled(function: Callable, device: torch.device) -> Callable:
    """``torch.compile`` where this machine has what it needs, else the function as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Half a line of arithmetic shows whether there is a compiler that works.
            torch.compile(lambda x: x.sin() + 1.0)(torch.zeros(8, device=device))
    except Exception as error:  # torch raises a different type for each missing piece
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        sys.stderr.write(f"warning: torch.compile fails here ({reason}); going on without\n")
        return function
    return torch.compile(function)
