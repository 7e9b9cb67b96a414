"""Splatting: forward warping of pixels, as in softmax splatting without the softmax."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .raster_image import RasterConfig


def splat(
    mass: Float[Tensor, " points"],
    ahead_m: Float[Tensor, " points"],
    left_m: Float[Tensor, " points"],
    image: Int[Tensor, " points"],
    images: int,
    config: RasterConfig,
) -> Float[Tensor, "images rows columns"]:
    """Adds point masses to images, each distributed bilinearly over the four nearest pixels.

    The adjoint of bilinear sampling.  Mass inside an image is conserved, so a vehicle that moves
    rigidly keeps its area; mass outside is dropped.  Differentiable with respect to masses and
    positions.

    Args:
        mass: of each point.
        ahead_m, left_m: position of each point in the frame of its image.
        image: index of the image of each point.
        images: number of images.
        config: their size and scale.
    """
    row = 0.5 * (config.rows - 1) - ahead_m / config.metres_per_pixel
    column = 0.5 * (config.columns - 1) - left_m / config.metres_per_pixel
    top, side = row.detach().floor(), column.detach().floor()
    below, beside = row - top, column - side
    canvas = mass.new_zeros(images * config.rows * config.columns)
    for down, weight_down in ((0, 1.0 - below), (1, below)):
        for right, weight_right in ((0, 1.0 - beside), (1, beside)):
            r, c = top.long() + down, side.long() + right
            inside = (r >= 0) & (r < config.rows) & (c >= 0) & (c < config.columns)
            index = (image * config.rows + r.clamp(0, config.rows - 1)) * config.columns
            index = index + c.clamp(0, config.columns - 1)
            contribution = torch.where(inside, mass * weight_down * weight_right, 0.0)
            canvas = canvas.index_add(0, index, contribution)
    return canvas.view(images, config.rows, config.columns)
