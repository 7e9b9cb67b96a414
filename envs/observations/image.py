"""``image``: the raster, at any size and scale, with chosen channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, UInt8
from torch import Tensor

from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.perception.raster_image import RasterConfig, to_bytes
from ppuu.perception.vehicle_raster import draw_boxes
from ppuu.runtime.errors import InputError

from ..core.simulator import Simulator
from ..core.world import World
from .base import Sensor, SensorConfig

CHANNELS = ("lanes", "vehicles", "offroad", "ego")
"""The raster's channels, in its order, and the ego's ego box."""


@dataclass(frozen=True)
class ImageConfig(SensorConfig):
    """Size, scale and channels of each image.

    Attributes:
        rows, columns: pixels along and across the ego's heading.
        metres_per_pixel: scale.
        channels: of ``lanes``, ``vehicles``, ``offroad`` and ``ego``, in the order wanted.
    """

    rows: int = RasterConfig.rows
    columns: int = RasterConfig.columns
    metres_per_pixel: float = RasterConfig.metres_per_pixel
    channels: tuple[Literal["lanes", "vehicles", "offroad", "ego"], ...] = CHANNELS[:3]

    def __post_init__(self):
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise InputError(
                f"observation.image.channels: {', '.join(self.channels) or 'none'}; "
                "name at least one, and each once"
            )

    @property
    def raster(self) -> RasterConfig:
        """Size and scale."""
        return RasterConfig(self.rows, self.columns, self.metres_per_pixel)

    def build(self, world: World, history: ObservationConfig) -> Image:
        """``history`` must have been made with ``raster``."""
        return Image(self, history.frames, world)


class Image(Sensor):
    """``(frames * channels, rows, columns)`` uint8, oldest frame first, channels side by side.

    Each frame is centred on where the ego then was, forward up; a value is the covered fraction of
    the pixel, times 255.
    """

    def __init__(self, config: ImageConfig, frames: int, world: World):
        shape = (frames * len(config.channels), config.rows, config.columns)
        super().__init__(spaces.Box(0, 255, shape, np.uint8), world.device)
        self._raster = config.raster
        self._order = [CHANNELS.index(name) for name in config.channels]

    def read(
        self, simulator: Simulator, history: Observation
    ) -> UInt8[Tensor, "envs channels rows columns"]:
        """The history's images."""
        images = simulator.images()
        if CHANNELS.index("ego") in self._order:
            ego = to_bytes(self._ego_box(history.size_m))
            images = torch.cat([images, ego.expand_as(images[:, :, :1])], dim=2)
        if self._order != list(range(images.shape[2])):
            images = images[:, :, self._order]
        return images.flatten(1, 2)

    def _ego_box(self, size_m: Float[Tensor, "envs 2"]) -> Float[Tensor, "envs 1 1 rows columns"]:
        """The ego, which stands in the middle of every one of its images."""
        box = torch.cat([size_m.new_zeros(len(size_m), 3), size_m], dim=1)
        valid = torch.ones(len(size_m), 1, dtype=torch.bool, device=size_m.device)
        return draw_boxes(box[:, None], valid, self._raster)[:, None, None]
