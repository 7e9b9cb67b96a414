"""Carrying pixels forward: each moves to where its velocity takes it and leaves its mass there."""

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
    """Adds point masses to images, each shared bilinearly between the four nearest pixels.

    The adjoint of bilinear sampling.  Mass that lands inside is conserved, so a vehicle that
    moves rigidly keeps its area; what lands outside is lost.  Differentiable with respect to
    masses and positions.

    Args:
        mass: what each point carries.
        ahead_m, left_m: where it lands, in the frame of its image.
        image: which image it lands in.
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
            share = torch.where(inside, mass * weight_down * weight_right, 0.0)
            canvas = canvas.index_add(0, index, share)
    return canvas.view(images, config.rows, config.columns)
