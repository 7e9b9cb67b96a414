"""Off the middle of the lane: lane lines under the ego."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from ..units import LANE_WIDTH_M
from .base import SurroundingsCost, ramp, road_under

LANE_POINTS = 9


@dataclass(frozen=True)
class Lane(SurroundingsCost):
    """0 in the middle of a lane, 1 with a line along the ego's axis, linear between (as in PPUU).

    Attributes:
        half_lane_m: lateral reach of the mask.
    """

    half_lane_m: float = 0.5 * LANE_WIDTH_M

    def reach_m(self, rollout: Rollout) -> tuple[float, float]:
        """The box along, half a lane across."""
        length, _ = rollout.size_m.amax(0).tolist()
        return 0.5 * length + rollout.futures.raster.metres_per_pixel, self.half_lane_m

    def mask(
        self,
        rollout: Rollout,
        ahead_m: Float[Tensor, "batch time pixels"],
        left_m: Float[Tensor, "batch time pixels"],
    ) -> Float[Tensor, "batch time pixels"]:
        """Triangle across, the ego's length along; a line under the axis sums to 1."""
        pixel = rollout.futures.raster.metres_per_pixel
        along = ramp((0.5 * rollout.length_m - ahead_m.abs()) / pixel + 0.5)
        across = ramp(1.0 - left_m.abs() / self.half_lane_m)
        return along * across / (rollout.length_m * pixel)

    def image(self, rollout: Rollout) -> Float[Tensor, "batch 1 time rows columns"]:
        """Lane lines."""
        return rollout.images.road[:, None, :, 0]

    def among_tracks(self, rollout: Rollout) -> Float[Tensor, "batch 1 time"]:
        """The same triangle, at points across the front and the rear half."""
        across = torch.linspace(-1.0, 1.0, LANE_POINTS, device=rollout.states.device)
        weight = (1.0 - across.abs()) * (2.0 * self.half_lane_m / (LANE_POINTS - 1))
        left = (self.half_lane_m * across).repeat(2).expand(len(rollout.size_m), -1)
        quarter = 0.25 * rollout.size_m[:, :1].expand(-1, LANE_POINTS)
        lines = road_under(rollout, torch.cat([quarter, -quarter], dim=1), left)[:, :1]
        # The map's lines are as wide as a pixel of the raster.
        return 0.5 * (lines @ weight.repeat(2)) / rollout.futures.raster.metres_per_pixel
