"""The speed of the ego's lane, from any prediction."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..units import LANE_WIDTH_M
from .base import Prediction
from .mask import EgoMask, EgoPath

LENGTH_M = 30.0
"""Of the part of a lane whose vehicles count, the ego in its middle."""
_FADE_M = 1.0
_LANES = (1.0, 3.0)
"""The ego's lane, and with those beside it; images show hardly more."""
_LITTLE_M2 = 1.0
"""Against so much of vehicles what is known from further away counts half."""


@torch.no_grad()
def lane_speed_mps(prediction: Prediction, ego: EgoPath) -> Float[Tensor, "batch candidates time"]:
    """Momentum over mass of the vehicles around the ego in its lane; a constant.

    Where few are in the lane, it goes over to that of the lanes beside it as well, and where
    nothing is near at all, to the ego's own speed: in an empty lane nothing must come to rest.
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
        near, moving = mass[..., which], momentum[..., which]
        speed = (moving + _LITTLE_M2 * speed) / (near + _LITTLE_M2)
    return speed
