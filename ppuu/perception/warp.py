"""Backward warping of images from one pose to another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..geometry import to_local
from .raster_image import LANES, OFFROAD, VEHICLES, RasterConfig


def warp(
    image: Float[Tensor, "batch channels rows columns"],
    source: Float[Tensor, "batch 3"],
    target: Float[Tensor, "batch 3"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows columns"]:
    """Resamples an image centred on pose ``source`` so that it is centred on pose ``target``.

    Exact geometry with bilinear interpolation; outside the source image the value is 0
    (``zeros``) or that of the nearest pixel (``border``).
    """
    grid = config.pixel_centres_m(image.device, image.dtype)
    offset = to_local(target, source)
    cos, sin = offset[:, 2].cos()[:, None, None], offset[:, 2].sin()[:, None, None]
    ahead = offset[:, 0, None, None] + cos * grid[..., 0] - sin * grid[..., 1]
    left = offset[:, 1, None, None] + sin * grid[..., 0] + cos * grid[..., 1]
    return sample(image, ahead, left, config, padding)


def warp_image(
    image: Float[Tensor, "batch 3 rows columns"],
    source: Float[Tensor, "batch 3"],
    target: Float[Tensor, "batch 3"],
    config: RasterConfig,
) -> Float[Tensor, "batch 3 rows columns"]:
    """``warp`` of all channels; outside the source the road is extended and vehicles are absent."""
    vehicles = warp(image[:, VEHICLES : VEHICLES + 1], source, target, config)
    road = warp(image[:, [LANES, OFFROAD]], source, target, config, padding="border")
    return torch.cat([road[:, :1], vehicles, road[:, 1:]], dim=1)


def sample(
    image: Float[Tensor, "batch channels rows columns"],
    ahead_m: Float[Tensor, "batch rows_out columns_out"],
    left_m: Float[Tensor, "batch rows_out columns_out"],
    config: RasterConfig,
    padding: str = "zeros",
) -> Float[Tensor, "batch channels rows_out columns_out"]:
    """Bilinear samples of an image at metric positions in its own frame."""
    scale = -2.0 / config.metres_per_pixel
    grid = torch.stack([left_m * (scale / config.columns), ahead_m * (scale / config.rows)], -1)
    return functional.grid_sample(
        image, grid, mode="bilinear", padding_mode=padding, align_corners=False
    )
