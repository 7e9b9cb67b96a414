"""Harsh driving: accelerations along and across, and their changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout


@dataclass(frozen=True)
class Comfort:
    """Squares of four quantities, each in units of what a passenger starts to mind.

    Attributes:
        acceleration_mps2: scale of the acceleration along the path.
        lateral_mps2: scale of curvature times speed squared.
        jerk_mps3: scale of the change of acceleration.
        curvature_rate_radpms: scale of the change of curvature, which alone keeps the steering
            calm at walking speed.
    """

    acceleration_mps2: float = 3.0
    lateral_mps2: float = 2.0
    jerk_mps3: float = 6.0
    curvature_rate_radpms: float = 0.1

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Sum of the four squares."""
        actions = torch.cat([rollout.previous_action[:, None], rollout.actions], dim=1)
        rate = actions.diff(dim=1) / rollout.step_s
        acceleration, curvature = rollout.actions.unbind(-1)
        lateral = curvature * rollout.states[..., 3] ** 2
        return (
            (acceleration / self.acceleration_mps2) ** 2
            + (lateral / self.lateral_mps2) ** 2
            + (rate[..., 0] / self.jerk_mps3) ** 2
            + (rate[..., 1] / self.curvature_rate_radpms) ** 2
        )
