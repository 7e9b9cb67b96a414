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

from ...perception.observation import Observation, ObservationConfig
from ...perception.raster_image import VEHICLES
from ...perception.vehicle_raster import draw_boxes


@dataclass(frozen=True)
class PixelsConfig:
    """Size of the convolutions.

    Attributes:
        observation: what is seen.
        channels: of the three convolutions along the road (PPUU, in two dimensions: 64, 128, 256).
        shows_ego: whether the ego's own box is drawn, too, in a channel of its own (PPUU: yes);
            its size is told as numbers in any case.
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    channels: tuple[int, int, int] = (48, 48, 48)
    shows_ego: bool = False

    def build(self) -> PixelFeatures:
        """Freshly initialised."""
        return PixelFeatures(self)


class PixelFeatures(nn.Module):
    """Vehicles of every frame, the present road, and the ego if it is to be shown.

    Attributes:
        width: of the features.
    """

    def __init__(self, config: PixelsConfig):
        super().__init__()
        self.config, raster = config, config.observation.raster
        images = config.observation.frames + 2 + config.shows_ego
        first, second, third = config.channels
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
        shown = [images[:, :-1, VEHICLES], images[:, -1]]
        if self.config.shows_ego:
            shown.append(self._own(observation.size_m))
        return torch.cat([self.vision(torch.cat(shown, dim=1)), ego], dim=1)

    def _own(self, size_m: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1 rows columns"]:
        """The ego, which is in the middle of every image, heading up."""
        box = torch.cat([torch.zeros_like(size_m[:, [0, 0, 1]]), size_m], dim=1)[:, None]
        here = torch.ones_like(box[..., 0], dtype=torch.bool)
        return draw_boxes(box, here, self.config.observation.raster)[:, None]
