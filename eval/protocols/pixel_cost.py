"""PPUU's proximity cost on the raster at full resolution, by which it detects collisions, too.

Henaff et al. (2019), as published: other vehicles are filled rectangles on an image of 468 x 96
pixels around the ego; a mask is 1 over the ego's box shrunk by 1 m and falls to 0 around it; the
cost is the largest product of the two, and more than 0.99 is a collision.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.vehicle_raster import draw_vehicles

from .screen import PX_PER_M

FULL_RASTER = RasterConfig(rows=468, columns=96, metres_per_pixel=1.0 / PX_PER_M)
COLLISION_COST = 0.99
_SHRINK_PX = 1.0 * PX_PER_M
_HEADWAY_S = 1.5
_STANDSTILL_PX = 1.0 * PX_PER_M


def proximity_mask(
    length_m: Float[Tensor, " envs"],
    width_m: Float[Tensor, " envs"],
    speed_mps: Float[Tensor, " envs"],
) -> tuple[Float[Tensor, "envs 468"], Float[Tensor, "envs 96"]]:
    """The mask's factors along and across the ego; the mask is their outer product.

    Both are truncated triangles, 1 over the shrunk box.  Along the ego, the triangle ends at the
    safe distance; across, one width from the centre.
    """
    length, width = length_m.double() * PX_PER_M, width_m.double() * PX_PER_M
    safe_px = _HEADWAY_S * speed_mps.double().abs() * PX_PER_M + _STANDSTILL_PX
    top = _core(FULL_RASTER.rows, length)
    along = _triangle(FULL_RASTER.rows, (top - safe_px).ceil().clamp(min=0.0), top)
    edge = (0.5 * FULL_RASTER.columns - width).ceil()
    across = _triangle(FULL_RASTER.columns, edge, _core(FULL_RASTER.columns, width))
    return along, across


def _core(pixels: int, extent_px: Float[Tensor, " envs"]) -> Float[Tensor, " envs"]:
    """The triangle's height above which the shrunk box lies."""
    return (0.5 * (pixels - (extent_px - _SHRINK_PX).clamp(min=0.0))).ceil()


def _triangle(
    pixels: int, bottom: Float[Tensor, " envs"], top: Float[Tensor, " envs"]
) -> Float[Tensor, "envs pixels"]:
    """A triangle over the image's side, truncated at two heights and scaled to [0, 1]."""
    height = 0.5 * pixels * (1.0 - torch.linspace(-1.0, 1.0, pixels, dtype=torch.float64).abs())
    bottom, top = bottom[:, None], top[:, None]
    cut = torch.minimum(torch.maximum(height.to(top.device), bottom), top)
    return ((cut - bottom) / (top - bottom).clamp(min=1.0)).float()


def proximity_cost(
    ego_box: Float[Tensor, "envs 5"],
    speed_mps: Float[Tensor, " envs"],
    boxes: Float[Tensor, "envs slots 5"],
    valid: Bool[Tensor, "envs slots"],
) -> Float[Tensor, " envs"]:
    """The largest product of mask and other vehicles, in [0, 1].

    A pixel belongs to a vehicle that covers at least half of it: the original fills whole pixels.
    """
    filled = draw_vehicles(ego_box[:, :3], boxes, valid, FULL_RASTER) >= 0.5
    along, across = proximity_mask(ego_box[:, 3], ego_box[:, 4], speed_mps)
    nearest = torch.where(filled, across[:, None], 0.0).amax(2)
    return (along * nearest).amax(1)
