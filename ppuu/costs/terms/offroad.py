"""Off-road: the fraction of the ego's box outside the lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ...predictions import EgoMask, EgoPath, RoadChannel
from ..base import RoadTerm


@dataclass(frozen=True)
class Offroad(RoadTerm):
    """Off-road area under the ego's box and its margin, divided by the ego's area.

    Attributes:
        margin_m: width of the margin, so that the cost grows before the edge is crossed.
    """

    channel: ClassVar[RoadChannel] = "offroad"
    weight: float = 3.0
    margin_m: float = 0.5

    def mask(self, ego: EgoPath) -> EgoMask:
        """1 inside the box, decreasing to 0 over the margin."""
        margin = self.margin_m
        return EgoMask.of(ego, ego.half_length_m, margin, margin, ego.half_width_m, margin)

    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """In units of the ego's area."""
        return mass_m2 / ego.area_m2
