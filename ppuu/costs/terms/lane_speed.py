"""Slower or faster than the lane the ego drives in."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...predictions import Rollout
from ...runtime.errors import require_positive
from ..base import PathTerm


@dataclass(frozen=True)
class LaneSpeed(PathTerm):
    """Square of the difference to the speed of the ego's lane, which is taken as given.

    PPUU has no such term: its policies are free to fall behind, and the traffic of a recording,
    which cannot react, then runs into them.

    Attributes:
        difference_mps: a difference that costs 1.
    """

    weight: float = 0.5
    difference_mps: float = 3.0

    def __post_init__(self):
        super().__post_init__()
        require_positive("cost lane_speed", difference_mps=self.difference_mps)

    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """In squares of ``difference_mps``."""
        return ((rollout.states[..., 3] - rollout.lane_speed_mps) / self.difference_mps) ** 2
