"""Too close for the speed: other vehicles inside the ego's safe distance."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...predictions import EgoMask, EgoPath
from ..base import VehicleTerm


@dataclass(frozen=True)
class Proximity(VehicleTerm):
    """Covered area ahead of and behind the ego, weighted by nearness, in units of its own area.

    The weight falls linearly from the bumper to the safe distance and sideways from the ego's
    flank over ``reach_side_m``.  PPUU's safe distance is 1.5 s x speed + 1 m, with the speed
    detached; here the gradient runs through the speed, so that braking pays at once, and the
    headway is that of dense traffic, where a wider one only invites the follower into the boot.

    Attributes:
        headway_ahead_s, gap_ahead_m: safe distance ahead = headway x speed + gap.
        headway_behind_s, gap_behind_m: the same behind.
        reach_side_m: how far beyond the flank the mask reaches.
    """

    weight: float = 1.5
    headway_ahead_s: float = 0.9
    gap_ahead_m: float = 2.0
    headway_behind_s: float = 0.9
    gap_behind_m: float = 2.0
    reach_side_m: float = 0.9

    def mask(self, ego: EgoPath) -> EgoMask:
        """Nearness times lateral weight."""
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
