"""A plain convolutional encoder: halve, halve, halve."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError
from .images import ImageEncoder
from .norms import Norm, norm_layer


@dataclass(frozen=True)
class ConvConfig:
    """Size of the plain encoder.

    Attributes:
        channels: width after each halving of rows and columns.
        norm: after each but the last.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    norm: Norm = "group"

    def __post_init__(self):
        if not self.channels or min(self.channels) < 1:
            raise InputError(f"channels {self.channels} of an encoder: give one width or more")

    def build(self, channels: int, rows: int, columns: int) -> ConvEncoder:
        """A freshly initialised encoder for images of a shape."""
        if min(rows, columns) < 2 ** len(self.channels):
            raise InputError(
                f"images of {rows} x {columns} pixels cannot be halved {len(self.channels)} times"
            )
        return ConvEncoder(self, channels)


class ConvEncoder(ImageEncoder):
    """Convolutions of 4 x 4 at stride 2, ReLU and norm between."""

    def __init__(self, config: ConvConfig, channels: int):
        super().__init__()
        self.features = config.channels[-1]
        layers: list[nn.Module] = []
        for width in config.channels:
            layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU()]
            layers += [norm_layer(config.norm, width)]
            channels = width
        self.layers = nn.Sequential(*layers[:-1])

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """Maps at a 2^n-th of the resolution."""
        return self.layers(images)
