"""What every image encoder is: one image in, one map of features out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Encodes each image by itself.

    Attributes:
        features: width of the maps.
    """

    features: int

    @abstractmethod
    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """A coarser map of features."""

    def grid(self, channels: int, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the map, for images of a size."""
        mode = self.training
        with torch.no_grad():
            # Nothing is to be learnt from an image that nobody took.
            maps = self.eval()(torch.zeros(2, channels, rows, columns))
        self.train(mode)
        return tuple(maps.shape[-2:])
