"""MOBIL: whether a lane change pays, and whether it is safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


@dataclass(frozen=True)
class Mobil:
    """Incentive and safety of lane changes (Kesting, Treiber and Helbing, 2007, equations 2 and 3).

    The old follower's advantage is left out.  Accelerations are those of a car-following model.

    Attributes:
        threshold_mps2: a change starts where the incentive exceeds this.
        politeness: weight of the new follower's disadvantage; a number, or one for each driver.
        mandatory_incentive_mps2: added to the incentive of a change that has to be made.
        safe_braking_mps2: a change may make neither vehicle brake harder than this; likewise.
        urgent_braking_mps2: the same where the change is most urgent.
        smallest_gap_m: gap ahead and behind at standstill.
        smallest_gap_s: further gap per m/s of the follower's speed.
        slowest_mps: in a queue slower than this only mandatory changes are made.
    """

    threshold_mps2: float
    politeness: Any = 0.2
    mandatory_incentive_mps2: float = 10.0
    safe_braking_mps2: Any = 2.0
    urgent_braking_mps2: float = 3.5
    smallest_gap_m: float = 1.5
    smallest_gap_s: float = 0.15
    slowest_mps: float = 3.0

    def incentive_mps2(
        self,
        own_mps2: Float[Array, "..."],
        own_after_mps2: Float[Array, "..."],
        follower_mps2: Float[Array, "..."],
        follower_after_mps2: Float[Array, "..."],
        has_follower: Bool[Array, "..."],
    ) -> Float[Array, "..."]:
        """Advantage of a change: own gain less the weighted loss of the new follower.

        Args:
            own_mps2, own_after_mps2: acceleration in the present lane and in the new one.
            follower_mps2, follower_after_mps2: the same of the new follower; any finite value
                without one.
            has_follower: whether there is a new follower.
        """
        loss = (follower_mps2 - follower_after_mps2).clip(0.0) * has_follower
        return own_after_mps2 - own_mps2 - self.politeness * loss

    def is_safe(
        self,
        own_after_mps2: Float[Array, "..."],
        follower_after_mps2: Float[Array, "..."],
        has_follower: Bool[Array, "..."],
        urgency: Float[Array, "..."],
    ) -> Bool[Array, "..."]:
        """Whether neither vehicle has to brake too hard after the change.

        Args:
            own_after_mps2: acceleration in the new lane.
            follower_after_mps2: the new follower's.
            has_follower: whether there is a new follower.
            urgency: 0 to 1, how far the limit moves to ``urgent_braking_mps2``.
        """
        further = self.urgent_braking_mps2 - self.safe_braking_mps2
        limit = -self.safe_braking_mps2 - urgency * further
        return (own_after_mps2 > limit) & (~has_follower | (follower_after_mps2 > limit))

    def has_room(
        self, gap_m: Float[Array, "..."], follower_speed_mps: Float[Array, "..."]
    ) -> Bool[Array, "..."]:
        """Whether a gap in the new lane, bumper to bumper, is large enough for the follower."""
        return gap_m > self.smallest_gap_m + self.smallest_gap_s * follower_speed_mps
