"""Histories seen from the gliding frame, so that what moves in them moves slowly."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..units import LANE_WIDTH_M
from .flow import seen_velocity
from .observation import Observation, ObservationConfig
from .raster_image import VEHICLES, RasterConfig
from .warp import warp


def gliding_poses(
    present: Float[Tensor, "batch 4"], seconds: Float[Tensor, " time"]
) -> Float[Tensor, "batch time 3"]:
    """The pose that keeps the present velocity, at times from now (negative: before)."""
    travelled = present[:, 3:4] * seconds
    heading = present[:, 2:3].expand_as(travelled)
    x = present[:, 0:1] + travelled * torch.cos(heading)
    y = present[:, 1:2] + travelled * torch.sin(heading)
    return torch.stack([x, y, heading], dim=-1)


class SeenLaneSpeed:
    """Mean speed of the vehicles that are now in the ego's lane, matched in the history's images
    when somebody asks; the ego's own where there are none.

    Args:
        observation: the history.
        config: what it shows.
        dt_s: seconds a recorded frame.
    """

    def __init__(self, observation: Observation, config: ObservationConfig, dt_s: float):
        self._observation, self._config, self._dt_s = observation, config, dt_s

    @cached_property
    def speed_mps(self) -> Float[Tensor, " batch"]:
        """Of each history."""
        seen, raster = self._observation, self._config.raster
        seconds_ago = self._config.lags(seen.ego.device) * self._dt_s
        history = aligned_vehicles(seen, seconds_ago, raster)
        faster = seen_velocity(history, seconds_ago, raster)[:, 0]
        left = raster.pixel_centres_m(history.device, history.dtype)[..., 1]
        mass = history[:, -1] * (left.abs() < 0.5 * LANE_WIDTH_M)
        total = mass.sum((1, 2)).clamp(min=1.0)
        return seen.ego[:, -1, 3] + (mass * faster).sum((1, 2)) / total


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
