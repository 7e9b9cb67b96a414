"""The last image carried along by maps of velocities: how models that move pixels decode."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD, VEHICLES, RasterConfig
from ..perception.warp import sample
from ..predictions import CarriedMotion, Flow, OccupancyPrediction

MAPS = 5
"""What ``carry`` reads: velocities of vehicles beyond those seen (ahead, left), newcomers, and
velocities of the road beyond the ego's (ahead, left)."""
_NEWCOMERS_MPS = (8.0, 1.5)
"""Fastest that vehicles enter the view, along and across the road, relative to the ego."""
_FAINT = 0.02
"""Coverage below this is not worth carrying."""


def carry(
    observation: Observation,
    seen: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch samples time maps rows3 columns3"],
    seconds: Float[Tensor, " time"],
    raster: RasterConfig,
) -> OccupancyPrediction:
    """Every vehicle pixel of the last image moves on, newcomers are painted, the road slides by.

    Args:
        observation: its last image is what is carried.
        seen: velocity of each pixel as the history shows it, m/s ahead and to the left.
        maps: ``MAPS`` of them, at any resolution.
        seconds: from the last image to each time.
        raster: size and scale of images.
    """
    last, speed = observation.images[:, -1], observation.ego[:, -1, 3]
    moving = _velocities(last[:, VEHICLES], seen, maps[:, :, :, :2])
    moved = replace(moving, metres=moving.metres * seconds[:, None])
    mass = last[:, VEHICLES].flatten(1)[moved.owner, moved.pixel]
    carried = moved.landed(mass[:, None, None].expand(moved.metres.shape[:3]), len(last), raster)
    carried = carried.clamp(max=1.0)
    painted = torch.sigmoid(_full_size(maps[:, :, :, 2], raster) - 4.0)
    painted = painted * entrance(seconds, raster)
    samples = maps.shape[1]
    road = carried_road(
        last[:, [LANES, OFFROAD]].repeat_interleave(samples, 0),
        _full_size(maps[:, :, :, 3:].flatten(0, 1), raster), seconds,
        speed.repeat_interleave(samples, 0), raster,
    ).unflatten(0, (-1, samples))  # fmt: skip
    return OccupancyPrediction(
        gliding_poses(observation.ego[:, -1], seconds)[:, None],
        raster,
        (carried + (1.0 - carried) * painted)[:, None],
        road[:, None],
        CarriedMotion(moved, mass, seconds, speed, raster),
        moved,
    )


def carried_road(
    last: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch time 2 rows columns"],
    seconds: Float[Tensor, " time"],
    speed_mps: Float[Tensor, " batch"],
    raster: RasterConfig,
) -> Float[Tensor, "batch time 2 rows columns"]:
    """The road slides backwards at the ego's present speed; beyond the view it runs on.

    Args:
        last: lane lines and off-road area as seen last.
        maps: velocity of each pixel beyond that, ahead and to the left.
        seconds: from then to each time.
        speed_mps: the ego's.
        raster: size and scale of images.
    """
    grid = raster.pixel_centres_m(maps.device, maps.dtype)
    speed = speed_mps[:, None, None, None] + maps[:, :, 0]
    ahead = grid[..., 0] + speed * seconds[:, None, None]
    left = grid[..., 1] - maps[:, :, 1] * seconds[:, None, None]
    road = sample(last, ahead.flatten(1, 2), left.flatten(1, 2), raster, padding="border")
    return road.unflatten(2, ahead.shape[1:3]).transpose(1, 2)


def entrance(
    seconds: Float[Tensor, " time"], raster: RasterConfig
) -> Float[Tensor, "time rows columns"]:
    """How far in from the edges newcomers can have come; 1 at the edge, 0 beyond reach.

    Without it the squared error asks for a faint haze everywhere, and one per cent of haze
    under the ego's whole box costs as much as a touch.
    """
    grid = raster.pixel_centres_m(seconds.device, seconds.dtype)
    size = grid.new_tensor([raster.rows, raster.columns])
    inwards = 0.5 * raster.metres_per_pixel * size - grid.abs()
    reach = seconds[:, None, None, None] * grid.new_tensor(_NEWCOMERS_MPS)
    return (1.0 + reach - inwards).clamp(0.0, 1.0).amax(-1)


def _full_size(maps: Float[Tensor, "*batch rows3 columns3"], raster: RasterConfig) -> Tensor:
    """Maps at the raster's resolution."""
    flat = maps.flatten(0, -3)[:, None]
    size = (raster.rows, raster.columns)
    return functional.interpolate(flat, size, mode="bilinear").view(*maps.shape[:-2], *size)


def _velocities(
    last: Float[Tensor, "batch rows columns"],
    seen: Float[Tensor, "batch 2 rows columns"],
    maps: Float[Tensor, "batch samples time 2 rows3 columns3"],
) -> Flow:
    """Velocity of every pixel that shows a vehicle: as seen, and what was learned on top.

    The learned part is read from the coarse maps at those pixels alone, since most of an
    image shows none.
    """
    batch, samples, steps = maps.shape[:3]
    owner, pixel = (last.flatten(1) > _FAINT).nonzero(as_tuple=True)
    corner, weight = _bilinear(last.shape[1:], maps.shape[-2:], last)
    cells = maps.flatten(4).movedim(-1, 1).flatten(0, 1).flatten(1)
    learned = torch.zeros_like(cells[:1])
    for k in range(4):
        row = owner * (len(cells) // batch) + corner[pixel, k]
        learned = learned + weight[pixel, k, None] * cells.index_select(0, row)
    velocity = seen.flatten(2)[owner, :, pixel][:, None, None] + learned.view(-1, samples, steps, 2)
    return Flow(owner, pixel, velocity)


def _bilinear(
    size: tuple[int, int], coarse: tuple[int, int], like: Tensor
) -> tuple[Int[Tensor, "pixels 4"], Float[Tensor, "pixels 4"]]:
    """Which four cells of a coarse map each pixel reads, and their weights (as ``interpolate``)."""
    near, far, part = [], [], []
    for fine, rough in zip(size, coarse, strict=True):
        place = (torch.arange(fine, device=like.device, dtype=like.dtype) + 0.5) * rough / fine
        place = (place - 0.5).clamp(min=0.0)
        first = place.floor().long()
        near.append(first)
        far.append((first + 1).clamp(max=rough - 1))
        part.append(place - first)
    corners, weights = [], []
    for row, row_weight in ((near[0], 1.0 - part[0]), (far[0], part[0])):
        for column, column_weight in ((near[1], 1.0 - part[1]), (far[1], part[1])):
            corners.append((row[:, None] * coarse[1] + column).flatten())
            weights.append((row_weight[:, None] * column_weight).flatten())
    return torch.stack(corners, dim=1), torch.stack(weights, dim=1)
