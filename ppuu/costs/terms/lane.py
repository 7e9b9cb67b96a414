"""Lane keeping: lane lines under the ego."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ...predictions import EgoMask, EgoPath, RoadChannel
from ...units import LANE_WIDTH_M, LINE_WIDTH_M
from ..base import RoadTerm


@dataclass(frozen=True)
class Lane(RoadTerm):
    """0 in the middle of a lane, about 1 on a line (as in PPUU).

    Attributes:
        half_lane_m: lateral reach of the mask.
    """

    channel: ClassVar[RoadChannel] = "lanes"
    weight: float = 0.2
    half_lane_m: float = 0.5 * LANE_WIDTH_M

    def mask(self, ego: EgoPath) -> EgoMask:
        """Triangular in the lateral direction, as long as the ego."""
        return EgoMask.of(ego, ego.half_length_m, 0.0, 0.0, 0.0, self.half_lane_m)

    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """In units of a line as long as the ego."""
        return mass_m2 / (2.0 * LINE_WIDTH_M * ego.half_length_m[..., None])
