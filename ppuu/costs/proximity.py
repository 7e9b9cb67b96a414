"""Too close for the speed: other vehicles inside the ego's safe distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from .base import SurroundingsCost, ramp


@dataclass(frozen=True)
class Proximity(SurroundingsCost):
    """Covered area ahead of and behind the ego, weighted by nearness.

    The weight falls linearly from the bumper to the safe distance and sideways from the ego's
    flank over ``reach_side_m``.  PPUU's safe distance is 1.5 s x speed + 1 m, with the speed
    detached; here the gradient runs through the speed, so that braking pays at once, and the
    headway is that of dense traffic, where a wider one only invites the follower into the boot.
    In units of the ego's own area.

    Attributes:
        headway_ahead_s, gap_ahead_m: safe distance ahead = headway x speed + gap.
        headway_behind_s, gap_behind_m: the same behind.
        reach_side_m: how far beyond the flank the mask reaches.
    """

    headway_ahead_s: float = 0.9
    gap_ahead_m: float = 2.0
    headway_behind_s: float = 0.9
    gap_behind_m: float = 2.0
    reach_side_m: float = 0.9

    def reach_m(self, rollout: Rollout) -> tuple[float, float]:
        """The safe distance of the fastest, the flank and the reach beyond it."""
        length, width = rollout.size_m.amax(0).tolist()
        speed = float(rollout.states[..., 3].detach().max())
        ahead = self.headway_ahead_s * speed + self.gap_ahead_m
        behind = self.headway_behind_s * speed + self.gap_behind_m
        return 0.5 * length + max(ahead, behind), 0.5 * width + self.reach_side_m

    def mask(
        self,
        rollout: Rollout,
        ahead_m: Float[Tensor, "batch time pixels"],
        left_m: Float[Tensor, "batch time pixels"],
    ) -> Float[Tensor, "batch time pixels"]:
        """Nearness times lateral weight."""
        half_length, half_width = 0.5 * rollout.length_m, 0.5 * rollout.width_m
        reach_ahead = self.headway_ahead_s * rollout.speed_mps + self.gap_ahead_m
        reach_behind = self.headway_behind_s * rollout.speed_mps + self.gap_behind_m
        reach = torch.where(ahead_m > 0, reach_ahead, reach_behind)
        near = ramp(1.0 - (ahead_m.abs() - half_length) / reach)
        beside = ramp(1.0 - (left_m.abs() - half_width) / self.reach_side_m)
        return near * beside / (rollout.length_m * rollout.width_m)

    def image(self, rollout: Rollout) -> Float[Tensor, "batch futures time rows columns"]:
        """Other vehicles."""
        return rollout.images.vehicles

    def among_tracks(self, rollout: Rollout) -> Float[Tensor, "batch futures time"]:
        """Nearness times lateral weight of the gaps between boxes, summed over the others."""
        others = rollout.others
        speed = rollout.states[:, None, :, 3, None]
        ahead = self.headway_ahead_s * speed + self.gap_ahead_m
        behind = self.headway_behind_s * speed + self.gap_behind_m
        reach = torch.where(others.ahead_m > 0, ahead, behind)
        near = ramp(1.0 - (others.ahead_m.abs() - others.along_m) / reach)
        beside = ramp(1.0 - (others.left_m.abs() - others.across_m) / self.reach_side_m)
        return (near * beside * others.here).sum(-1)
