"""Base class of image encoders: from an image to a feature map."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Encodes each image independently.

    Attributes:
        features: channels of the feature maps.
    """

    features: int

    @abstractmethod
    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """Feature maps of lower resolution."""

    def grid(self, channels: int, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the feature map for images of a given size."""
        mode = self.training
        with torch.no_grad():
            # In evaluation mode, so that a blank image does not enter running statistics.
            maps = self.eval()(torch.zeros(2, channels, rows, columns))
        self.train(mode)
        return tuple(maps.shape[-2:])
