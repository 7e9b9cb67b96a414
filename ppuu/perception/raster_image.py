"""The format of raster images: channels, size and scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor

from ..runtime.errors import InputError
from ..units import METRES_PER_RASTER_PIXEL

Images = Num[Tensor, "images channels rows columns"]
"""Images that are drawn into: coverage in [0, 1], or in 0 to 255 as uint8."""

LANES, VEHICLES, OFFROAD = 0, 1, 2
CHANNELS = 3

FULL = {
    torch.float32: (np.float32(1.0), np.float32(0.0)),
    torch.uint8: (np.float32(255.0), np.float32(0.5)),
}
"""By dtype, the value of a fully covered pixel and the offset that rounds it to the nearest."""


@dataclass(frozen=True)
class RasterConfig:
    """Size and scale of an image.

    Attributes:
        rows: pixels along the ego's heading.
        columns: pixels across it.
        metres_per_pixel: scale.
    """

    rows: int = 117
    columns: int = 24
    metres_per_pixel: float = METRES_PER_RASTER_PIXEL

    def __post_init__(self):
        if self.rows < 1 or self.columns < 1 or not self.metres_per_pixel > 0:
            raise InputError(
                f"raster.rows {self.rows}, raster.columns {self.columns}, raster.metres_per_pixel "
                f"{self.metres_per_pixel}: all must be positive"
            )

    def pixel_centres_m(self, device=None, dtype=torch.float32) -> Float[Tensor, "rows columns 2"]:
        """Centre of each pixel in the ego's frame: metres ahead, metres to the left."""
        ahead = 0.5 * (self.rows - 1) - torch.arange(self.rows, device=device, dtype=dtype)
        left = 0.5 * (self.columns - 1) - torch.arange(self.columns, device=device, dtype=dtype)
        grid = torch.meshgrid(ahead, left, indexing="ij")
        return torch.stack(grid, dim=-1) * self.metres_per_pixel

    @property
    def reach_m(self) -> float:
        """Distance from the centre to a corner of the image."""
        return 0.5 * self.metres_per_pixel * math.hypot(self.rows, self.columns)


def to_bytes(images: Float[Tensor, "*batch rows columns"]) -> UInt8[Tensor, "*batch rows columns"]:
    """Coverage from 0 to 1 as integers from 0 to 255."""
    return (images * 255.0).round().to(torch.uint8)


def blank_images(
    pose: Float[Tensor, "batch 3"], channels: int, config: RasterConfig
) -> tuple[Float[Tensor, "batch channels rows columns"], Int[Tensor, " batch"]]:
    """Uninitialised images, and their indices."""
    images = pose.new_empty(len(pose), channels, config.rows, config.columns)
    return images, torch.arange(len(pose))


def require_finite_pose(pose: Float[Tensor, "batch 3"]) -> None:
    """Guards the compiled loops, which index without checking.

    Raises:
        InputError: a pose is not finite.
    """
    finite = pose.isfinite()
    if not finite.all():
        bad = pose[~finite.all(-1)][0].tolist()
        raise InputError(f"cannot draw from the pose {bad}: it is not finite; check the track")
