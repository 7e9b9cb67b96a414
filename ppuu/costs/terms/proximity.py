"""Proximity: other vehicles within the ego's safe distance."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...predictions import EgoMask, EgoPath
from ..base import VehicleTerm


@dataclass(frozen=True)
class Proximity(VehicleTerm):
    """Area of vehicles ahead and behind, weighted by proximity, divided by the ego's area.

    The weight decreases linearly from the bumper to the safe distance and laterally from the ego's
    side over ``reach_side_m``.  PPUU's safe distance is 1.5 s x speed + 1 m, with the speed
    detached; here the gradient includes the speed, so that braking reduces the cost at once, and
    the headway is that of dense traffic: a longer one makes the follower come too close.

    Attributes:
        headway_ahead_s, gap_ahead_m: safe distance ahead = headway x speed + gap.
        headway_behind_s, gap_behind_m: the same behind.
        reach_side_m: lateral reach of the mask beyond the ego's side.
    """

    weight: float = 1.5
    headway_ahead_s: float = 0.9
    gap_ahead_m: float = 2.0
    headway_behind_s: float = 0.9
    gap_behind_m: float = 2.0
    reach_side_m: float = 0.9

    def mask(self, ego: EgoPath) -> EgoMask:
        """Longitudinal times lateral weight."""
        ahead = self.headway_ahead_s * ego.speed_mps + self.gap_ahead_m
        behind = self.headway_behind_s * ego.speed_mps + self.gap_behind_m
        return EgoMask.of(
            ego, ego.half_length_m, ahead, behind, ego.half_width_m, self.reach_side_m
        )

    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """In units of the ego's area."""
        return mass_m2 / ego.area_m2
