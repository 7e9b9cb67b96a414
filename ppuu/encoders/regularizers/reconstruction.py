"""Reconstruction: the baseline that must not forget a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .base import NoDemands, Regularizer


@dataclass(frozen=True)
class ReconstructionConfig:
    """Embeddings learn by being painted: each must give the images that it stands for."""

    def build(self, features: int, places: int = 1) -> Regularizer:
        """A loss that asks nothing of embeddings themselves."""
        return NoDemands()


class Painter(nn.Module):
    """From embeddings to images of any size.

    A map is drawn larger, twice over, and convolved; a vector is first spread over a map.

    Args:
        features: width of an embedding at each place.
        grid: rows and columns of places.
        channels, rows, columns: of the images.
        width: of the maps between.
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
        places = self._start[0] * self._start[1]
        self.spread = (
            nn.Conv2d(features, width, 1) if grid == self._start
            else nn.Sequential(
                nn.Flatten(), nn.Linear(features, width * places),
                nn.Unflatten(1, (width, *self._start)),
            )
        )  # fmt: skip
        self.middle = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(
        self, embeddings: Float[Tensor, "batch features rows2 columns2"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Images, unbounded."""
        half = tuple(-(-side // 2) for side in self._size)
        maps = functional.relu(self.spread(embeddings))
        maps = functional.interpolate(maps, half, mode="bilinear")
        maps = functional.relu(self.middle(maps))
        return functional.interpolate(self.last(maps), self._size, mode="bilinear")
