"""Leaving the road: the share of the ego's box that is not on a lane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from .base import SurroundingsCost, ramp, road_under


@dataclass(frozen=True)
class Offroad(SurroundingsCost):
    """Share of the ego's (slightly inflated) box that lies off the road.

    Attributes:
        margin_m: how far the mask reaches beyond the box, so that the edge is felt before it is
            crossed.
    """

    margin_m: float = 0.5

    def reach_m(self, rollout: Rollout) -> tuple[float, float]:
        """The box and its margin."""
        length, width = rollout.size_m.amax(0).tolist()
        return 0.5 * length + self.margin_m, 0.5 * width + self.margin_m

    def mask(
        self,
        rollout: Rollout,
        ahead_m: Float[Tensor, "batch time pixels"],
        left_m: Float[Tensor, "batch time pixels"],
    ) -> Float[Tensor, "batch time pixels"]:
        """1 over the ego's area, fading to 0 over the margin."""
        along = ramp(1.0 - (ahead_m.abs() - 0.5 * rollout.length_m) / self.margin_m)
        across = ramp(1.0 - (left_m.abs() - 0.5 * rollout.width_m) / self.margin_m)
        return along * across / (rollout.length_m * rollout.width_m)

    def image(self, rollout: Rollout) -> Float[Tensor, "batch 1 time rows columns"]:
        """Off-road area."""
        return rollout.images.road[:, None, :, 1]

    def among_tracks(self, rollout: Rollout) -> Float[Tensor, "batch 1 time"]:
        """The same share, at three by three points of the inflated box."""
        half = 0.5 * rollout.size_m + 0.5 * self.margin_m
        three = half.new_tensor([-1.0, 0.0, 1.0])
        ahead, left = torch.cartesian_prod(three, three).T
        return road_under(rollout, half[:, :1] * ahead, half[:, 1:] * left)[:, 1:].mean(-1)
