"""The residual encoder of IMPALA (1802.01561, figure 3), without its recurrent part."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError
from .images import ImageEncoder


@dataclass(frozen=True)
class ImpalaConfig:
    """Size of the residual encoder.

    Attributes:
        channels: of each stack; each stack halves rows and columns.
        blocks: residual blocks per stack.
    """

    channels: tuple[int, ...] = (16, 32, 32)
    blocks: int = 2

    def __post_init__(self):
        if not self.channels or min(self.channels) < 1 or self.blocks < 0:
            raise InputError(
                f"encoder: channels {self.channels} must be positive, blocks {self.blocks} not "
                "negative"
            )

    def build(self, channels: int, rows: int, columns: int) -> ImpalaEncoder:
        """A newly initialised encoder for images of a shape."""
        return ImpalaEncoder(self, channels)


class _Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1),
            nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1),
        )  # fmt: skip

    def forward(self, maps: Tensor) -> Tensor:
        """Same shape as the input."""
        return maps + self.layers(maps)


class ImpalaEncoder(ImageEncoder):
    """Stacks of a convolution, max pooling over 3 x 3 with stride 2, and residual blocks."""

    def __init__(self, config: ImpalaConfig, channels: int):
        super().__init__()
        self.features = config.channels[-1]
        layers: list[nn.Module] = []
        for width in config.channels:
            layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.MaxPool2d(3, 2, 1)]
            layers += [_Block(width) for _ in range(config.blocks)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.ReLU())

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """Feature maps at 1 / 2^stacks of the resolution."""
        return self.layers(images)
