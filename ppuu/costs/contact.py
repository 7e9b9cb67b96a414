"""Touching: other vehicles inside the ego's slightly inflated box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from .base import SurroundingsCost, ramp


@dataclass(frozen=True)
class Contact(SurroundingsCost):
    """1 - exp(-A), A the square metres of other vehicles in the ego's box and its fading margins.

    The raster's form of a box-penetration term.  A rises quadratically on the margin and linearly
    once boxes overlap; the exponential saves what can be saved: a scratch avoided counts as much
    as one of several square metres of wreck.  Without it a planner in dense traffic shaves past
    other vehicles, since proximity alone trades a sure touch against a wide berth elsewhere.

    Among boxes: 2 (d + d²), d the penetration of the other's box into the inflated own one in
    metres, summed over the others.

    Attributes:
        margin_along_m, margin_across_m: how far the mask reaches beyond the box.
        box_margin_along_m, box_margin_across_m: what boxes are inflated by.
    """

    margin_along_m: float = 1.5
    margin_across_m: float = 0.7
    box_margin_along_m: float = 1.0
    box_margin_across_m: float = 0.35

    def reach_m(self, rollout: Rollout) -> tuple[float, float]:
        """The box and its margins."""
        length, width = rollout.size_m.amax(0).tolist()
        return 0.5 * length + self.margin_along_m, 0.5 * width + self.margin_across_m

    def mask(
        self,
        rollout: Rollout,
        ahead_m: Float[Tensor, "batch time pixels"],
        left_m: Float[Tensor, "batch time pixels"],
    ) -> Float[Tensor, "batch time pixels"]:
        """1/m2 inside the box, fading to 0 over the margins."""
        along = ramp(1.0 - (ahead_m.abs() - 0.5 * rollout.length_m) / self.margin_along_m)
        across = ramp(1.0 - (left_m.abs() - 0.5 * rollout.width_m) / self.margin_across_m)
        return along * across

    def on_images(self, rollout: Rollout) -> Float[Tensor, "batch futures time"]:
        """Bounded by 1."""
        return 1.0 - torch.exp(-super().on_images(rollout))

    def among_tracks(self, rollout: Rollout) -> Float[Tensor, "batch futures time"]:
        """Penetration: linear to end a touch, squared to avoid a wreck."""
        others = rollout.others
        along = others.along_m + self.box_margin_along_m - others.ahead_m.abs()
        across = others.across_m + self.box_margin_across_m - others.left_m.abs()
        into = torch.minimum(along, across).clamp(min=0.0) * others.here
        return 2.0 * (into + into.square()).sum(-1)

    def image(self, rollout: Rollout) -> Float[Tensor, "batch futures time rows columns"]:
        """Other vehicles."""
        return rollout.images.vehicles
