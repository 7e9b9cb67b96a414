"""Out of step: slower or faster than the lane the ego drives in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout


@dataclass(frozen=True)
class Pace:
    """Square of the difference to the pace of the ego's lane.

    PPUU has no such term: its policies are free to fall behind, and the traffic of a recording,
    which cannot react, then runs into them.

    Attributes:
        difference_mps: a difference that costs 1.
    """

    difference_mps: float = 3.0

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Zero for world models that tell no pace."""
        pace = rollout.futures.pace_mps
        if pace is None:
            return torch.zeros_like(rollout.states[..., 3])
        return ((rollout.states[..., 3] - pace) / self.difference_mps) ** 2
