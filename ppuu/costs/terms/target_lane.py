"""Target lane: lanes between the ego and the lane of its goal, the more so as the road runs out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...predictions import Rollout
from ...runtime.errors import require_positive
from ...units import LANE_WIDTH_M
from ..base import PathTerm


@dataclass(frozen=True)
class TargetLane(PathTerm):
    """Lanes to the goal's lane, times 1 + urgency; 0 without a goal.

    Urgency is the road that the missing lane changes need over the road that is left, so that
    an ego waits for a good gap as long as it can, and takes a narrower one in the end.

    Attributes:
        change_m: road that a change by one lane needs.
        least_m: road left is never counted as less.
        most_lanes: further away costs no more.
        smooth_m: within this distance of the lane's centre the cost is quadratic.
    """

    weight: float = 2.0
    change_m: float = 150.0
    least_m: float = 20.0
    most_lanes: float = 3.0
    smooth_m: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            "cost target_lane",
            least_m=self.least_m, most_lanes=self.most_lanes, smooth_m=self.smooth_m,
        )  # fmt: skip

    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """In lanes at no urgency."""
        goal = rollout.goal
        if goal is None:
            return 0.0 * rollout.states[..., 0]
        place = goal.place(rollout.states[..., :2])
        distance = (place.lateral_m.square() + self.smooth_m**2).sqrt() - self.smooth_m
        lanes = (distance / LANE_WIDTH_M).clamp(max=self.most_lanes)
        urgency = self.change_m * lanes / place.left_m.clamp(min=self.least_m)
        return torch.where(goal.wanted[:, None, None], lanes * (1.0 + urgency), 0.0)
