"""The blocks of PPUU's networks, at any width: image encoder and decoder, bottleneck, state head.

For 117 x 24 pixels layer by layer as in the code published with Henaff et al. (2019), except for
one fault (``Bottleneck``); at other sizes, maps whose size is not a multiple of the stride are
cropped or padded at the end.  Leaky ReLU of slope 0.2 and dropout before it everywhere except after
the last layer of a block.
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

MIN_RASTER = RasterConfig(64, 24)
"""In a smaller raster the last convolutions have too few rows or columns."""
_SLOPE = 0.2


def feature_size(raster: RasterConfig) -> tuple[int, int]:
    """Rows and columns of the feature maps: an eighth of the raster's, rounded down.

    Raises:
        InputError: the raster is too small.
    """
    if raster.rows < MIN_RASTER.rows or raster.columns < MIN_RASTER.columns:
        raise InputError(
            f"a raster of {raster.rows} x {raster.columns} pixels is too small for this world "
            f"model; it needs at least {MIN_RASTER.rows} x {MIN_RASTER.columns}"
        )
    return raster.rows // 8, raster.columns // 8


def _activated(
    layers: Sequence[nn.Module], widths: Sequence[int], dropout: float, kind: type[Dropout]
) -> nn.Sequential:
    """Layers with dropout and leaky ReLU between them."""
    parts: list[nn.Module] = []
    for layer, width in zip(layers[:-1], widths, strict=True):
        # In place, to save memory.
        parts += [layer, kind(dropout, width), nn.LeakyReLU(_SLOPE, inplace=True)]
    return nn.Sequential(*parts, layers[-1])


def image_encoder(channels: int, features: int, dropout: float) -> nn.Sequential:
    """Three convolutions of stride 2, to ``features`` maps."""
    widths = (channels, features // 4, features // 2, features)
    layers = [Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False)]
    return _activated(layers, widths[1:-1], dropout, MapDropout)


def mlp(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """A multilayer perceptron."""
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
        """The image before the output nonlinearity."""
        return _crop_or_pad(self.layers(features), self.size)


class Bottleneck(nn.Module):
    """PPUU's "u-net": down to one vector and up again, so that all positions interact.

    In the published code the second convolution skips the only column that the first one leaves
    and reads padding alone, so the block adds a constant.  Here the same kernels keep two columns.
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
            bottom = self.down(torch.zeros(1, features, *size))
        self.bottom = bottom.shape[1:]
        self.mlp = mlp((bottom.numel(), features, bottom.numel()), dropout)
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
        """A residual to be added to the features."""
        bottom = self.mlp(self.down(features).flatten(1)).unflatten(1, self.bottom)
        return _crop_or_pad(self.up(bottom), self.size)


class StateHead(nn.Module):
    """From features to a vector."""

    def __init__(self, features: int, dropout: float, size: tuple[int, int], numbers: int):
        super().__init__()
        maps = nn.Sequential(
            Conv2d(features, features, 4, 2, 1),
            MapDropout(dropout, features),
            nn.LeakyReLU(_SLOPE, inplace=True),
            Conv2d(features, features, (4, 1), (2, 1)),
        )
        with torch.no_grad():
            width = maps(torch.zeros(1, features, *size)).numel()
        self.layers = nn.Sequential(
            maps,
            nn.Flatten(),
            Dropout(dropout, width),
            nn.LeakyReLU(_SLOPE, inplace=True),
            mlp((width, features, features, numbers), dropout),
        )

    def forward(
        self, features: Float[Tensor, "batch features rows8 columns8"]
    ) -> Float[Tensor, "batch numbers"]:
        """The vector, without an output nonlinearity."""
        return self.layers(features)


def _crop_or_pad(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Crops or pads maps at the end of each axis."""
    rows, columns = maps.shape[-2:]
    if (rows, columns) == size:
        return maps
    return functional.pad(maps, (0, size[1] - columns, 0, size[0] - rows))
