"""A plain convolutional encoder."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError
from .images import ImageEncoder
from .norms import Norm, norm_layer


@dataclass(frozen=True)
class ConvConfig:
    """Size of the convolutional encoder.

    Attributes:
        channels: of each layer; each layer halves the rows.
        halve_columns: number of first layers that also halve the columns (images are narrow).
        norm: after each layer but the last.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    halve_columns: int = 2
    norm: Norm = "group"

    def __post_init__(self):
        if not self.channels or min(self.channels) < 1 or self.halve_columns < 0:
            raise InputError(
                f"encoder: channels {self.channels} must be positive, halve_columns "
                f"{self.halve_columns} not negative"
            )

    def build(self, channels: int, rows: int, columns: int) -> ConvEncoder:
        """A newly initialised encoder for images of a shape."""
        if rows < 2 ** len(self.channels) or columns < 2**self.halve_columns:
            raise InputError(
                f"encoder: images of {rows} x {columns} pixels cannot be halved "
                f"{len(self.channels)} and {self.halve_columns} times; choose fewer"
            )
        return ConvEncoder(self, channels)


class ConvEncoder(ImageEncoder):
    """Convolutions of 4 x 4 with stride 2, or 4 x 3 with stride 2 x 1; ReLU and norm between."""

    def __init__(self, config: ConvConfig, channels: int):
        super().__init__()
        self.features = config.channels[-1]
        layers: list[nn.Module] = []
        for index, width in enumerate(config.channels):
            kernel, stride = (4, 2) if index < config.halve_columns else ((4, 3), (2, 1))
            layers += [nn.Conv2d(channels, width, kernel, stride, 1), nn.ReLU()]
            layers += [norm_layer(config.norm, width)]
            channels = width
        self.layers = nn.Sequential(*layers[:-1])

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """Feature maps of lower resolution."""
        return self.layers(images)
