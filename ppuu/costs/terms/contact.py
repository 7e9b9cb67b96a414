"""Contact: overlap of other vehicles with the ego's inflated box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ...predictions import EgoMask, EgoPath
from ..base import VehicleTerm


@dataclass(frozen=True)
class Contact(VehicleTerm):
    """Area of other vehicles in the ego's box and its margins, in square metres.

    It grows quadratically in the margin and linearly once boxes overlap.

    Attributes:
        margin_along_m, margin_across_m: over which the mask decreases to 0 outside the box.
    """

    lasts: ClassVar[bool] = True
    weight: float = 8.0
    margin_along_m: float = 1.5
    margin_across_m: float = 0.7

    def mask(self, ego: EgoPath) -> EgoMask:
        """1 inside the box, decreasing to 0 over the margins."""
        along, across = self.margin_along_m, self.margin_across_m
        return EgoMask.of(ego, ego.half_length_m, along, along, ego.half_width_m, across)

    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """The mass."""
        return mass_m2
