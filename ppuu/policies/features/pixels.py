"""Convolutions on the ego-centred images.

The images are centred on the ego, so a column always means the same distance to its side: the
first layer spans all columns at once (a lane is a pattern of its own) and only slides along the
road.  That is several times cheaper than PPUU's three two-dimensional layers and learns faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...observation import Observation, ObservationConfig
from ...raster import VEHICLES


@dataclass(frozen=True)
class PixelsConfig:
    """Size of the convolutions.

    Attributes:
        observation: what is seen.
        channels: of the three convolutions along the road (PPUU, in two dimensions: 64, 128, 256).
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    channels: tuple[int, int, int] = (48, 48, 48)

    def build(self) -> PixelFeatures:
        """Freshly initialised."""
        return PixelFeatures(self)


class PixelFeatures(nn.Module):
    """Vehicles of every frame and the present road.

    Attributes:
        width: of the features.
    """

    def __init__(self, config: PixelsConfig):
        super().__init__()
        raster = config.observation.raster
        images, (first, second, third) = config.observation.frames + 2, config.channels
        self.vision = nn.Sequential(
            nn.Conv2d(images, first, (5, raster.columns), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(first, second, (5, 1), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(second, third, (5, 1), (2, 1), (2, 0)), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            seen = self.vision(torch.zeros(1, images, raster.rows, raster.columns)).shape[1]
        self.width = seen + config.observation.frames * 4 + 2

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Pictures and normalised ego history, side by side."""
        images = observation.images
        picture = torch.cat([images[:, :-1, VEHICLES], images[:, -1]], dim=1)
        return torch.cat([self.vision(picture), ego], dim=1)
