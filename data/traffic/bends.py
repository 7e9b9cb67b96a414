"""Bends: traffic on a straight highway, mapped onto a winding road."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

from .road import MARGIN_M, SECTION_M

_LONGEST_M, _SHORTEST_M = 1200.0, 500.0
"""Distance from one bend to the next of the same direction."""
_GRID_M = 0.5
_LANE_POINTS_M = 5.0
"""Distance between two points of a lane's boundary."""


@dataclass(frozen=True, eq=False)
class Bend:
    """A line whose curvature is a sine, from before the section to behind it.

    Attributes:
        station_m: ``(points,)`` along the line; 0 is where the section begins.
        x_m, y_m, heading_rad, curvature_radpm: ``(points,)`` of the line there.
    """

    station_m: Float[np.ndarray, " points"]
    x_m: Float[np.ndarray, " points"]
    y_m: Float[np.ndarray, " points"]
    heading_rad: Float[np.ndarray, " points"]
    curvature_radpm: Float[np.ndarray, " points"]

    @classmethod
    def draw(cls, random: np.random.Generator, smallest_radius_m: float) -> Bend:
        """Positions and lengths of the bends are random."""
        station = np.arange(-MARGIN_M, SECTION_M + MARGIN_M + _GRID_M, _GRID_M)
        rate = 2 * np.pi / random.uniform(_SHORTEST_M, _LONGEST_M)
        phase = random.uniform(0, 2 * np.pi)
        curvature = np.sin(rate * station + phase) / smallest_radius_m
        heading = (np.cos(phase) - np.cos(rate * station + phase)) / (rate * smallest_radius_m)
        start = np.searchsorted(station, 0.0)
        x, y = (_integral(rate_of(heading), start) for rate_of in (np.cos, np.sin))
        return cls(station, x, y, heading, curvature)

    def at(self, values: Float[np.ndarray, " points"], station_m: np.ndarray) -> np.ndarray:
        """A property of the line at some stations."""
        return np.interp(station_m, self.station_m, values)

    def place(self, station_m: np.ndarray, left_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y of points beside the line."""
        heading = self.at(self.heading_rad, station_m)
        x = self.at(self.x_m, station_m) - left_m * np.sin(heading)
        y = self.at(self.y_m, station_m) + left_m * np.cos(heading)
        return x, y


def _integral(rate: Float[np.ndarray, " points"], start: np.intp) -> Float[np.ndarray, " points"]:
    """The trapezoidal integral, zero at point ``start``."""
    total = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]))]) * _GRID_M
    return total - total[start]


def bent(recording: Recording, bend: Bend) -> Recording:
    """The same traffic along a bend: x becomes the station, y the distance to the left of the line.

    Headings and speeds are those of the resulting motion: further inside the path is shorter.
    """
    along = recording.speed_mps * np.cos(recording.heading_rad)
    across = recording.speed_mps * np.sin(recording.heading_rad)
    along = along * (1.0 - recording.y_m * bend.at(bend.curvature_radpm, recording.x_m))
    x, y = bend.place(recording.x_m, recording.y_m)
    heading = bend.at(bend.heading_rad, recording.x_m) + np.arctan2(across, along)
    lanes = [recording.road.lane(k) for k in range(recording.road.lanes)]
    # Neighbours share their points: between two chords of one arc there would be a gap.
    stations = np.arange(-MARGIN_M, SECTION_M + MARGIN_M, _LANE_POINTS_M)
    for left, _ in lanes:
        stations = np.union1d(stations, left[:, 0])
    road = Road.from_lanes([_bent_lane(left, right, stations, bend) for left, right in lanes])
    return replace(
        recording, x_m=x, y_m=y, heading_rad=heading, speed_mps=np.hypot(along, across), road=road
    )


def _bent_lane(
    left: Float[np.ndarray, "points 2"],
    right: Float[np.ndarray, "points 2"],
    stations_m: Float[np.ndarray, " stations"],
    bend: Bend,
) -> tuple[np.ndarray, np.ndarray]:
    station = left[:, 0]
    dense = stations_m[(stations_m >= station[0]) & (stations_m <= station[-1])]
    sides = (np.interp(dense, station, side[:, 1]) for side in (left, right))
    placed = (np.stack(bend.place(dense, side), axis=1) for side in sides)
    return next(placed), next(placed)
