"""Forward warping of the last image by velocity maps: the decoder of models that move pixels."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD, VEHICLES, RasterConfig
from ..perception.warp import sample
from ..predictions import Flow, FlowMotion, OccupancyPrediction

MAPS = 5
"""Channels of the velocity maps: of vehicles relative to the measured flow (ahead, left), a logit
of entering vehicles, and of the road relative to the ego's velocity (ahead, left)."""
_MAX_ENTRY_MPS = (8.0, 1.5)
"""Greatest speeds at which vehicles enter the view, along and across the road."""
_MIN_COVERAGE = 0.02
"""Pixels with less coverage are not warped."""


def forward_warp(
    observation: Observation,
    flow: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch samples time maps rows3 columns3"],
    seconds: Float[Tensor, " time"],
    raster: RasterConfig,
) -> OccupancyPrediction:
    """Splats the vehicle pixels of the last image, adds entering vehicles and warps the road.

    Args:
        observation: the last image is warped.
        flow: velocity of each pixel as measured in the history, m/s ahead and to the left.
        maps: ``MAPS`` channels at any resolution.
        seconds: from the last image to each time.
        raster: size and scale of images.
    """
    last, speed = observation.images[:, -1], observation.ego[:, -1, 3]
    velocity = _velocities(last[:, VEHICLES], flow, maps[:, :, :, :2])
    displacement = replace(velocity, displacement_m=velocity.displacement_m * seconds[:, None])
    mass = last[:, VEHICLES].flatten(1)[displacement.batch_index, displacement.pixel_index]
    masses = mass[:, None, None].expand(displacement.displacement_m.shape[:3])
    warped = displacement.splat(masses, len(last), raster).clamp(max=1.0)
    entering = torch.sigmoid(_full_size(maps[:, :, :, 2], raster) - 4.0)
    entering = entering * entry_mask(seconds, raster)
    samples = maps.shape[1]
    road = warp_road(
        last[:, [LANES, OFFROAD]].repeat_interleave(samples, 0),
        _full_size(maps[:, :, :, 3:].flatten(0, 1), raster), seconds,
        speed.repeat_interleave(samples, 0), raster,
    ).unflatten(0, (-1, samples))  # fmt: skip
    return OccupancyPrediction(
        constant_velocity_poses(observation.ego[:, -1], seconds)[:, None],
        raster,
        (warped + (1.0 - warped) * entering)[:, None],
        road[:, None],
        FlowMotion(displacement, mass, seconds, speed, raster),
        displacement,
    )


def warp_road(
    last: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch time 2 rows columns"],
    seconds: Float[Tensor, " time"],
    speed_mps: Float[Tensor, " batch"],
    raster: RasterConfig,
) -> Float[Tensor, "batch time 2 rows columns"]:
    """The road as it passes at the ego's speed; outside the view it is extended.

    Args:
        last: lane lines and off-road area in the last image.
        maps: velocity of each pixel relative to the ego's, ahead and to the left.
        seconds: from the last image to each time.
        speed_mps: the ego's.
        raster: size and scale of images.
    """
    grid = raster.pixel_centres_m(maps.device, maps.dtype)
    speed = speed_mps[:, None, None, None] + maps[:, :, 0]
    ahead = grid[..., 0] + speed * seconds[:, None, None]
    left = grid[..., 1] - maps[:, :, 1] * seconds[:, None, None]
    road = sample(last, ahead.flatten(1, 2), left.flatten(1, 2), raster, padding="border")
    return road.unflatten(2, ahead.shape[1:3]).transpose(1, 2)


def entry_mask(
    seconds: Float[Tensor, " time"], raster: RasterConfig
) -> Float[Tensor, "time rows columns"]:
    """1 where vehicles that enter the view can be, near its edges, 0 where they cannot be.

    Without it the squared error is minimised by low coverage everywhere, and one per cent under the
    ego's whole box costs as much as a contact.
    """
    grid = raster.pixel_centres_m(seconds.device, seconds.dtype)
    size = grid.new_tensor([raster.rows, raster.columns])
    depth = 0.5 * raster.metres_per_pixel * size - grid.abs()
    reach = seconds[:, None, None, None] * grid.new_tensor(_MAX_ENTRY_MPS)
    return (1.0 + reach - depth).clamp(0.0, 1.0).amax(-1)


def _full_size(maps: Float[Tensor, "*batch rows3 columns3"], raster: RasterConfig) -> Tensor:
    """Maps at the raster's resolution."""
    flat = maps.flatten(0, -3)[:, None]
    size = (raster.rows, raster.columns)
    return functional.interpolate(flat, size, mode="bilinear").view(*maps.shape[:-2], *size)


def _velocities(
    last: Float[Tensor, "batch rows columns"],
    flow: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch samples time 2 rows3 columns3"],
) -> Flow:
    """Velocity of every vehicle pixel: the measured flow plus the predicted residual.

    The residual is interpolated from the coarse maps at those pixels only, since most pixels show
    no vehicle.
    """
    batch, samples, steps = maps.shape[:3]
    batch_index, pixel = (last.flatten(1) > _MIN_COVERAGE).nonzero(as_tuple=True)
    corner, weight = _bilinear(last.shape[1:], maps.shape[-2:], last)
    cells = maps.flatten(4).movedim(-1, 1).flatten(0, 1).flatten(1)
    residual = torch.zeros_like(cells[:1])
    for k in range(4):
        row = batch_index * (len(cells) // batch) + corner[pixel, k]
        residual = residual + weight[pixel, k, None] * cells.index_select(0, row)
    measured = flow.flatten(2)[batch_index, :, pixel][:, None, None]
    return Flow(batch_index, pixel, measured + residual.view(-1, samples, steps, 2))


def _bilinear(
    size: tuple[int, int], coarse: tuple[int, int], like: Tensor
) -> tuple[Int[Tensor, "pixels 4"], Float[Tensor, "pixels 4"]]:
    """Indices and weights of the four cells of a coarse map per pixel, as in ``interpolate``."""
    near, far, part = [], [], []
    for fine, rough in zip(size, coarse, strict=True):
        position = (torch.arange(fine, device=like.device, dtype=like.dtype) + 0.5) * rough / fine
        position = (position - 0.5).clamp(min=0.0)
        first = position.floor().long()
        near.append(first)
        far.append((first + 1).clamp(max=rough - 1))
        part.append(position - first)
    corners, weights = [], []
    for row, row_weight in ((near[0], 1.0 - part[0]), (far[0], part[0])):
        for column, column_weight in ((near[1], 1.0 - part[1]), (far[1], part[1])):
            corners.append((row[:, None] * coarse[1] + column).flatten())
            weights.append((row_weight[:, None] * column_weight).flatten())
    return torch.stack(corners, dim=1), torch.stack(weights, dim=1)
