"""Lane speed: difference to the traffic in the ego's lane."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...predictions import Rollout
from ...runtime.errors import require_positive
from ..base import PathTerm


@dataclass(frozen=True)
class LaneSpeed(PathTerm):
    """Squared difference to the speed of the ego's lane, which is treated as a constant.

    Not in PPUU, whose policies may fall behind; replayed vehicles, which do not react, then collide
    with them.

    Attributes:
        difference_mps: the difference of unit cost.
    """

    weight: float = 0.5
    difference_mps: float = 3.0

    def __post_init__(self):
        super().__post_init__()
        require_positive("cost lane_speed", difference_mps=self.difference_mps)

    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """In squares of ``difference_mps``."""
        return ((rollout.states[..., 3] - rollout.lane_speed_mps) / self.difference_mps) ** 2
