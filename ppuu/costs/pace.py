"""Out of step: slower or faster than the lane the ego drives in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from ..track_futures import TrackFutures
from ..units import LANE_WIDTH_M


@dataclass(frozen=True)
class Pace:
    """Square of the difference to the pace of the ego's lane.

    PPUU has no such term: its policies are free to fall behind, and the traffic of a recording,
    which cannot react, then runs into them.  Where nobody is in the ego's lane the pace is that of
    all lanes: who has the end of a lane to himself must not come to rest there.

    Attributes:
        difference_mps: a difference that costs 1.
        reach_m: how far ahead and behind vehicles count as the ego's lane, where they are told as
            boxes.
    """

    difference_mps: float = 3.0
    reach_m: float = 40.0

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Zero for world models that tell no pace."""
        if isinstance(rollout.futures, TrackFutures):
            return self.of(rollout, self._of_tracks(rollout))
        if rollout.futures.pace_mps is None:
            return torch.zeros_like(rollout.states[..., 3])
        return self.of(rollout, rollout.futures.pace_mps)

    def of(
        self, rollout: Rollout, pace_mps: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time"]:
        """Given the pace."""
        return ((rollout.states[..., 3] - pace_mps) / self.difference_mps) ** 2

    def _of_tracks(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Mean speed of those who are then in the ego's lane, else of all, else its own."""
        others = rollout.others
        near = (others.ahead_m.abs() < self.reach_m) & others.here
        mean = rollout.states[..., 3]
        for counted in (near, near & (others.left_m.abs() < 0.5 * LANE_WIDTH_M)):
            weight = counted.to(others.speed_mps.dtype)
            total = weight.sum((1, 3))
            found = (weight * others.speed_mps).sum((1, 3)) / total.clamp(min=1.0)
            mean = torch.where(total > 0, found, mean)
        return mean
