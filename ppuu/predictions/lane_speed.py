"""The mean speed of traffic in the ego's lane, for any kind of prediction."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..units import LANE_WIDTH_M
from .base import Prediction
from .mask import EgoMask, EgoPath

LENGTH_M = 30.0
"""Length of the lane section, centred on the ego, whose vehicles are averaged."""
_FADE_M = 1.0
_LANES = (1.0, 3.0)
"""Widths of the sections in lanes: the ego's, and including both adjacent ones."""
_PRIOR_MASS_M2 = 1.0
"""Weight of the wider section's mean speed, as an area of vehicles."""


@torch.no_grad()
def lane_speed_mps(prediction: Prediction, ego: EgoPath) -> Float[Tensor, "batch candidates time"]:
    """Momentum over mass of the vehicles near the ego in its lane, without gradients.

    With few vehicles in the lane it tends to the mean speed of all three lanes, and without any
    vehicle to the ego's own speed, so that an empty lane does not ask for a stop.
    """
    half = 0.5 * LENGTH_M - 0.5 * _FADE_M
    mask = EgoMask.stack(
        [
            EgoMask.of(ego, half, _FADE_M, _FADE_M, 0.5 * (lanes * LANE_WIDTH_M - _FADE_M), _FADE_M)
            for lanes in _LANES
        ]
    )
    mass, momentum = (moment.mean(2) for moment in prediction.vehicle_moments(mask, ego))
    speed = ego.speed_mps
    for which in (1, 0):
        prior = _PRIOR_MASS_M2 * speed
        speed = (momentum[..., which] + prior) / (mass[..., which] + _PRIOR_MASS_M2)
    return speed
