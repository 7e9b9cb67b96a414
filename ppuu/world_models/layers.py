"""The blocks PPUU's networks are built of, at any width: images down to features and up again.

For 117 x 24 pixels layer for layer as in the code published with Henaff et al. (2019), but for one
fault (``Bottleneck``); at other sizes, maps that do not come out even are cut or padded at the end.
Everywhere: leaky ReLU of slope 0.2, dropout before it, none after the last layer of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import Dropout, MapDropout
from ..perception.raster_image import RasterConfig
from ..runtime.errors import InputError
from .convolutions import Conv2d, ConvTranspose2d

SMALLEST = RasterConfig(64, 24)
"""A smaller raster has too few rows or columns left for the last convolutions."""
_SLOPE = 0.2


def feature_maps(raster: RasterConfig) -> tuple[int, int]:
    """Rows and columns of the features of an image: an eighth, rounded down.

    Raises:
        InputError: the raster is too small.
    """
    if raster.rows < SMALLEST.rows or raster.columns < SMALLEST.columns:
        raise InputError(
            f"a raster of {raster.rows} x {raster.columns} pixels is too small for this world "
            f"model; it needs at least {SMALLEST.rows} x {SMALLEST.columns}"
        )
    return raster.rows // 8, raster.columns // 8


def _activated(
    layers: Sequence[nn.Module], widths: Sequence[int], dropout: float, kind: type[Dropout]
) -> nn.Sequential:
    """Layers with dropout of some kind and leaky ReLU between them, so many features each."""
    parts: list[nn.Module] = []
    for layer, width in zip(layers[:-1], widths, strict=True):
        # An activation in place needs no memory of its own.
        parts += [layer, kind(dropout, width), nn.LeakyReLU(_SLOPE, inplace=True)]
    return nn.Sequential(*parts, layers[-1])


def image_encoder(channels: int, features: int, dropout: float) -> nn.Sequential:
    """Three convolutions, each halving the resolution, to ``features`` maps."""
    widths = (channels, features // 4, features // 2, features)
    layers = [Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False)]
    return _activated(layers, widths[1:-1], dropout, MapDropout)


def perceptron(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers."""
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    return _activated(layers, widths[1:-1], dropout, Dropout)


class ImageDecoder(nn.Module):
    """Three transposed convolutions from features up to three channels of a raster."""

    def __init__(self, features: int, dropout: float, raster: RasterConfig):
        super().__init__()
        self.size = raster.rows, raster.columns
        self.layers = _activated(
            [
                ConvTranspose2d(features, features // 2, 4, 2, 1),
                ConvTranspose2d(features // 2, features // 4, 5, 2, (0, 1)),
                ConvTranspose2d(features // 4, 3, 2, 2, (0, 1)),
            ],
            (features // 2, features // 4), dropout, MapDropout,
        )  # fmt: skip

    def forward(
        self, features: Float[Tensor, "batch features rows8 columns8"]
    ) -> Float[Tensor, "batch 3 rows columns"]:
        """Of any value; nothing is squashed."""
        return _fitted(self.layers(features), self.size)


class Bottleneck(nn.Module):
    """What PPUU calls its u-net: down to one vector and up again, so that every place hears all.

    In the published code the second convolution strides over the single column that the first has
    left, and sees nothing but padding: the block adds a constant.  Here the same kernels keep two
    columns.
    """

    def __init__(self, features: int, dropout: float, size: tuple[int, int]):
        super().__init__()
        self.size = size
        self.down = _activated(
            [
                Conv2d(features, features, 4, (2, 1), 1),
                Conv2d(features, features, (4, 1), (2, 1), (1, 0)),
            ],
            (features,), dropout, MapDropout,
        )  # fmt: skip
        with torch.no_grad():
            middle = self.down(torch.zeros(1, features, *size))
        self.middle = middle.shape[1:]
        self.across = perceptron((middle.numel(), features, middle.numel()), dropout)
        self.up = _activated(
            [
                ConvTranspose2d(features, features, (4, 1), (2, 1), (1, 0)),
                ConvTranspose2d(features, features, (4, 3), 2, (0, 1)),
            ],
            (features,), dropout, MapDropout,
        )  # fmt: skip

    def forward(
        self, features: Float[Tensor, "batch features rows8 columns8"]
    ) -> Float[Tensor, "batch features rows8 columns8"]:
        """What is to be added to the features."""
        across = self.across(self.down(features).flatten(1)).unflatten(1, self.middle)
        return _fitted(self.up(across), self.size)


class StateHead(nn.Module):
    """Features down to a few numbers."""

    def __init__(self, features: int, dropout: float, size: tuple[int, int], numbers: int):
        super().__init__()
        maps = nn.Sequential(
            Conv2d(features, features, 4, 2, 1),
            MapDropout(dropout, features),
            nn.LeakyReLU(_SLOPE, inplace=True),
            Conv2d(features, features, (4, 1), (2, 1)),
        )
        with torch.no_grad():
            everything = maps(torch.zeros(1, features, *size)).numel()
        self.layers = nn.Sequential(
            maps,
            nn.Flatten(),
            Dropout(dropout, everything),
            nn.LeakyReLU(_SLOPE, inplace=True),
            perceptron((everything, features, features, numbers), dropout),
        )

    def forward(
        self, features: Float[Tensor, "batch features rows8 columns8"]
    ) -> Float[Tensor, "batch numbers"]:
        """Of any value."""
        return self.layers(features)


def _fitted(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut or padded at the end."""
    rows, columns = maps.shape[-2:]
    if (rows, columns) == size:
        return maps
    return functional.pad(maps, (0, size[1] - columns, 0, size[0] - rows))
