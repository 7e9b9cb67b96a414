"""Comfort: accelerations, jerk and steering rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...predictions import Rollout
from ...runtime.errors import require_positive
from ..base import PathTerm


@dataclass(frozen=True)
class Comfort(PathTerm):
    """Sum of four squared quantities, each in units of a comfort limit.

    Attributes:
        acceleration_mps2: limit of the longitudinal acceleration.
        lateral_mps2: limit of the lateral acceleration.
        jerk_mps3: limit of the longitudinal jerk.
        curvature_rate_radpms: limit of the change of curvature; the only penalty on steering at
            low speed.
    """

    weight: float = 0.02
    acceleration_mps2: float = 3.0
    lateral_mps2: float = 2.0
    jerk_mps3: float = 6.0
    curvature_rate_radpms: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        require_positive(
            "cost comfort",
            acceleration_mps2=self.acceleration_mps2, lateral_mps2=self.lateral_mps2,
            jerk_mps3=self.jerk_mps3, curvature_rate_radpms=self.curvature_rate_radpms,
        )  # fmt: skip

    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """Sum of the four squares."""
        candidates = rollout.actions.shape[1]
        previous = rollout.previous_action[:, :, None].expand(-1, candidates, -1, -1)
        rate = torch.cat([previous, rollout.actions], dim=2).diff(dim=2) / rollout.step_s
        acceleration, curvature = rollout.actions.unbind(-1)
        lateral = curvature * rollout.states[..., 3].square()
        quantities = torch.stack([acceleration, lateral, *rate.unbind(-1)], dim=-1)
        limits = quantities.new_tensor(
            [
                self.acceleration_mps2, self.lateral_mps2,
                self.jerk_mps3, self.curvature_rate_radpms,
            ]
        )  # fmt: skip
        return (quantities / limits).square().sum(-1)
