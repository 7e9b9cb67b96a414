"""Histories seen from the gliding frame, so that what moves in them moves slowly."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..observation import Observation
from ..raster import VEHICLES, RasterConfig, warp
from .base import gliding_poses


def aligned_vehicles(
    observation: Observation, seconds_ago: Float[Tensor, " frames"], raster: RasterConfig
) -> Float[Tensor, "batch frames rows columns"]:
    """The vehicles of a history, warped to where the gliding frame was, backwards in time.

    Args:
        observation: images drawn from where the ego was.
        seconds_ago: when each was taken; the last is 0.
        raster: size and scale.
    """
    frames = len(seconds_ago)
    target = gliding_poses(observation.ego[:, -1], -seconds_ago)
    past = warp(
        observation.images[:, :-1, VEHICLES].flatten(0, 1)[:, None],
        observation.ego[:, :-1, :3].flatten(0, 1),
        target[:, :-1].flatten(0, 1),
        raster,
    ).unflatten(0, (-1, frames - 1))[:, :, 0]
    return torch.cat([past, observation.images[:, -1:, VEHICLES]], dim=1)
