"""From the axes of a map to those of a recording: x along the road, y to its left."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class LocalFrame:
    """A recording's axes, relative to those of the source.

    Attributes:
        origin_x_m, origin_y_m: position of the recording's origin.
        angle_rad: direction of its x axis, counter-clockwise.
    """

    origin_x_m: float
    origin_y_m: float
    angle_rad: float

    def to_local(self, points_m: np.ndarray) -> np.ndarray:
        """``(n, 2)`` points of the source in the recording's axes."""
        x, y = (np.asarray(points_m, float) - (self.origin_x_m, self.origin_y_m)).T
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.stack([cos * x + sin * y, cos * y - sin * x], axis=1)

    def to_source(self, points_m: np.ndarray) -> np.ndarray:
        """``(n, 2)`` points of the recording in the source's axes: the inverse of ``to_local``."""
        x, y = np.asarray(points_m, float).T
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.stack(
            [self.origin_x_m + cos * x - sin * y, self.origin_y_m + sin * x + cos * y], axis=1
        )

    def moved(self, x_m: float, y_m: float) -> LocalFrame:
        """Parallel axes whose origin is at a point of these."""
        ((origin_x_m, origin_y_m),) = self.to_source(np.array([[x_m, y_m]])).tolist()
        return LocalFrame(origin_x_m, origin_y_m, self.angle_rad)

    def as_json(self) -> dict[str, float]:
        """For the recording's provenance: it suffices to return to the map's axes."""
        return asdict(self)
