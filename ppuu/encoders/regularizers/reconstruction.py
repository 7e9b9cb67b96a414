"""Reconstruction of images from embeddings, as a baseline."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .base import NoRegularizer, Regularizer


@dataclass(frozen=True)
class ReconstructionConfig:
    """Embeddings are trained by reconstruction of the images."""

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """No loss of embeddings themselves."""
        return NoRegularizer()


class PixelDecoder(nn.Module):
    """Decodes embeddings to images of any size.

    A map is upsampled twice with convolutions; a vector is first projected to a map.

    Args:
        features: width of an embedding at each location.
        grid: rows and columns of the embedding.
        channels, rows, columns: of the images.
        width: of the hidden maps.
    """

    def __init__(
        self,
        features: int,
        grid: tuple[int, int],
        channels: int,
        rows: int,
        columns: int,
        width: int = 32,
    ):
        super().__init__()
        self._size, self._width = (rows, columns), width
        self._start = grid if grid != (1, 1) else (max(1, rows // 4), max(1, columns // 4))
        locations = self._start[0] * self._start[1]
        self.projection = (
            nn.Conv2d(features, width, 1) if grid == self._start
            else nn.Sequential(
                nn.Flatten(), nn.Linear(features, width * locations),
                nn.Unflatten(1, (width, *self._start)),
            )
        )  # fmt: skip
        self.hidden = nn.Conv2d(width, width, 3, 1, 1)
        self.output = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(
        self, embeddings: Float[Tensor, "batch features rows2 columns2"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Images, unbounded."""
        half = tuple(-(-side // 2) for side in self._size)
        maps = functional.relu(self.projection(embeddings))
        maps = functional.interpolate(maps, half, mode="bilinear")
        maps = functional.relu(self.hidden(maps))
        return functional.interpolate(self.output(maps), self._size, mode="bilinear")
