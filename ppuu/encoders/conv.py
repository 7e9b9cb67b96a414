"""A plain convolutional encoder: halve, halve, halve."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError
from .images import ImageEncoder
from .norms import Norm, norm_layer


@dataclass(frozen=True)
class ConvConfig:
    """Size of the plain encoder.

    Attributes:
        channels: width of each layer; each halves the rows.
        halve_columns: how many of the first ones halve the columns, too; a road is long and narrow.
        norm: after each but the last.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    halve_columns: int = 2
    norm: Norm = "group"

    def __post_init__(self):
        if not self.channels or min(self.channels) < 1 or self.halve_columns < 0:
            raise InputError(
                f"channels {self.channels} of an encoder, halving columns {self.halve_columns} "
                "times: give one width or more, and no negative number"
            )

    def build(self, channels: int, rows: int, columns: int) -> ConvEncoder:
        """A freshly initialised encoder for images of a shape."""
        if rows < 2 ** len(self.channels) or columns < 2**self.halve_columns:
            raise InputError(
                f"images of {rows} x {columns} pixels cannot be halved {len(self.channels)} and "
                f"{self.halve_columns} times"
            )
        return ConvEncoder(self, channels)


class ConvEncoder(ImageEncoder):
    """Convolutions of 4 x 4 at stride 2, or 4 x 3 at stride 2 x 1; ReLU and norm between."""

    def __init__(self, config: ConvConfig, channels: int):
        super().__init__()
        self.features = config.channels[-1]
        layers: list[nn.Module] = []
        for number, width in enumerate(config.channels):
            kernel, stride = (4, 2) if number < config.halve_columns else ((4, 3), (2, 1))
            layers += [nn.Conv2d(channels, width, kernel, stride, 1), nn.ReLU()]
            layers += [norm_layer(config.norm, width)]
            channels = width
        self.layers = nn.Sequential(*layers[:-1])

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """Maps with fewer rows and columns."""
        return self.layers(images)
