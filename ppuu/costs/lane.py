"""Off the middle of the lane: lane lines under the ego."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from ..units import LANE_WIDTH_M
from .base import RasterCost, ramp


@dataclass(frozen=True)
class Lane(RasterCost):
    """0 in the middle of a lane, 1 with a line along the ego's axis, linear between (as in PPUU).

    Attributes:
        half_lane_m: lateral reach of the mask.
    """

    half_lane_m: float = 0.5 * LANE_WIDTH_M

    def mask(self, rollout: Rollout) -> Float[Tensor, "batch time rows columns"]:
        """Triangle across, the ego's length along; a line under the axis sums to 1."""
        ahead, left = rollout.pixels_m
        pixel = rollout.futures.raster.metres_per_pixel
        along = ramp((0.5 * rollout.length_m - ahead.abs()) / pixel + 0.5)
        across = ramp(1.0 - left.abs() / self.half_lane_m)
        return along * across / (rollout.length_m * pixel)

    def image(self, rollout: Rollout) -> Float[Tensor, "batch 1 time rows columns"]:
        """Lane lines."""
        return rollout.futures.road[:, None, :, 0]
