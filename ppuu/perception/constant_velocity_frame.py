"""The constant-velocity frame: it starts at the ego's pose and keeps the ego's velocity.

Relative to it most vehicles move slowly, and it does not depend on the ego's actions.
"""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..units import LANE_WIDTH_M
from .flow import block_matching_flow
from .observation import Observation, ObservationConfig
from .raster_image import VEHICLES, RasterConfig
from .warp import warp


def constant_velocity_poses(
    state: Float[Tensor, "batch 4"], seconds: Float[Tensor, " time"]
) -> Float[Tensor, "batch time 3"]:
    """Poses of a vehicle that keeps its velocity.

    Args:
        state: x_m, y_m, heading_rad and speed_mps at time 0.
        seconds: times of the poses; negative is the past.
    """
    distance_m = state[:, 3:4] * seconds
    heading = state[:, 2:3].expand_as(distance_m)
    x = state[:, 0:1] + distance_m * torch.cos(heading)
    y = state[:, 1:2] + distance_m * torch.sin(heading)
    return torch.stack([x, y, heading], dim=-1)


class LaneSpeedEstimate:
    """Mean speed of the vehicles in the ego's lane, estimated from images by block matching.

    Without a vehicle in the lane, the ego's own speed.  Computed when first read.

    Args:
        observation: the history.
        config: of the observation.
        dt_s: seconds per recorded frame.
    """

    def __init__(self, observation: Observation, config: ObservationConfig, dt_s: float):
        self._observation, self._config, self._dt_s = observation, config, dt_s

    @cached_property
    def speed_mps(self) -> Float[Tensor, " batch"]:
        """One speed per history."""
        observation, raster = self._observation, self._config.raster
        seconds_ago = self._config.lags(observation.ego.device) * self._dt_s
        history = aligned_vehicles(observation, seconds_ago, raster)
        relative_speed = block_matching_flow(history, seconds_ago, raster)[:, 0]
        left = raster.pixel_centres_m(history.device, history.dtype)[..., 1]
        mass = history[:, -1] * (left.abs() < 0.5 * LANE_WIDTH_M)
        total = mass.sum((1, 2)).clamp(min=1.0)
        return observation.ego[:, -1, 3] + (mass * relative_speed).sum((1, 2)) / total


def aligned_vehicles(
    observation: Observation, seconds_ago: Float[Tensor, " frames"], raster: RasterConfig
) -> Float[Tensor, "batch frames rows columns"]:
    """The vehicle channel of a history, warped into the constant-velocity frame.

    Args:
        observation: images, each centred on the ego's pose at its time.
        seconds_ago: age of each image; the last is 0.
        raster: size and scale of images.
    """
    frames = len(seconds_ago)
    target = constant_velocity_poses(observation.ego[:, -1], -seconds_ago)
    past = warp(
        observation.images[:, :-1, VEHICLES].flatten(0, 1)[:, None],
        observation.ego[:, :-1, :3].flatten(0, 1),
        target[:, :-1].flatten(0, 1),
        raster,
    ).unflatten(0, (-1, frames - 1))[:, :, 0]
    return torch.cat([past, observation.images[:, -1:, VEHICLES]], dim=1)
