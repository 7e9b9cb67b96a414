"""Convolutions on ego-centred images.

In ego-centred images a column is a fixed lateral offset, so the first layer spans all columns and
slides along the road only.  That is several times cheaper than PPUU's three two-dimensional layers
and trains faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...perception.observation import Observation, ObservationConfig
from ...perception.raster_image import VEHICLES
from ...perception.vehicle_raster import draw_boxes


@dataclass(frozen=True)
class PixelsConfig:
    """Size of the convolutions.

    Attributes:
        observation: of the policy.
        channels: of the three convolutions along the road (PPUU, in two dimensions: 64, 128, 256).
        draw_ego: whether the ego's box is drawn in a channel of its own (PPUU: yes); its size is
            always part of the features.
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    channels: tuple[int, int, int] = (48, 48, 48)
    draw_ego: bool = False

    def build(self) -> PixelFeatures:
        """A newly initialised module."""
        return PixelFeatures(self)


class PixelFeatures(nn.Module):
    """Convolutions of the vehicles of every frame, the current road and, optionally, the ego.

    Attributes:
        width: number of features.
    """

    def __init__(self, config: PixelsConfig):
        super().__init__()
        self.config, raster = config, config.observation.raster
        images = config.observation.frames + 2 + config.draw_ego
        first, second, third = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(images, first, (5, raster.columns), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(first, second, (5, 1), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(second, third, (5, 1), (2, 1), (2, 0)), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            outputs = self.convolutions(torch.zeros(1, images, raster.rows, raster.columns)).shape[
                1
            ]
        self.width = outputs + config.observation.frames * 4 + 2

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Image features, concatenated with the normalised ego history."""
        images = observation.images
        channels = [images[:, :-1, VEHICLES], images[:, -1]]
        if self.config.draw_ego:
            channels.append(self._draw_ego(observation.size_m))
        return torch.cat([self.convolutions(torch.cat(channels, dim=1)), ego], dim=1)

    def _draw_ego(self, size_m: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1 rows columns"]:
        """The ego's box, at the centre of every image, heading up."""
        box = torch.cat([torch.zeros_like(size_m[:, [0, 0, 1]]), size_m], dim=1)[:, None]
        valid = torch.ones_like(box[..., 0], dtype=torch.bool)
        return draw_boxes(box, valid, self.config.observation.raster)[:, None]
