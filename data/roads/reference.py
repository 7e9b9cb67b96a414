"""A reference line along a curved road, derived from tracks; stations and offsets about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ppuu.recordings.polyline import arc_length_m

from .cells import cell_medians, interpolated, smooth

SPACING_M = 20.0
"""Distance between the line's points: a sagitta of 5 cm on a curve of 1 km radius."""
_CELL_M = 0.1
_BLUR_M = 0.3
_REACH_M = 25.0
_LARGEST_SHIFT_M = 0.6
_TEMPLATE_DECAY = 0.9


@dataclass(frozen=True, eq=False)
class ReferenceLine:
    """A line whose x increases at every point; its heading is interpolated between the points.

    Projection follows the interpolated normal, unlike that onto the straight segments of
    ``ppuu.recordings.polyline``: offsets stay continuous at the points, on both sides.

    Attributes:
        points_m: ``(n, 2)``, in driving direction.
    """

    points_m: np.ndarray

    @cached_property
    def stations_m(self) -> np.ndarray:
        """``(n,)`` distance along the line, 0 at its first point."""
        return arc_length_m(self.points_m)

    @cached_property
    def _heading_rad(self) -> np.ndarray:
        return np.arctan2(*np.gradient(self.points_m, axis=0).T[::-1])

    def project(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Station and offset (positive to the left) of ``(n, 2)`` points near the line."""
        line_x, line_y = self.points_m.T
        foot_x = np.array(points_m[:, 0], float)
        for _ in range(4):  # contracts by offset / radius a round: 1 cm after two
            heading = np.interp(foot_x, line_x, self._heading_rad)
            beside_x = points_m[:, 0] - foot_x
            beside_y = points_m[:, 1] - np.interp(foot_x, line_x, line_y)
            along = beside_x * np.cos(heading) + beside_y * np.sin(heading)
            foot_x = np.clip(foot_x + along * np.cos(heading), line_x[0], line_x[-1])
        heading = np.interp(foot_x, line_x, self._heading_rad)
        beside_x = points_m[:, 0] - foot_x
        beside_y = points_m[:, 1] - np.interp(foot_x, line_x, line_y)
        offset_m = beside_y * np.cos(heading) - beside_x * np.sin(heading)
        return np.interp(foot_x, line_x, self.stations_m), offset_m

    def points(self, stations_m: np.ndarray, offsets_m: np.ndarray) -> np.ndarray:
        """``(n, 2)`` points at stations and offsets: the inverse of ``project``."""
        x, y, heading = (
            np.interp(stations_m, self.stations_m, values)
            for values in (*self.points_m.T, self._heading_rad)
        )
        return np.stack([x - offsets_m * np.sin(heading), y + offsets_m * np.cos(heading)], 1)

    def shifted(self, offsets_m: np.ndarray) -> ReferenceLine:
        """The line with each of its points moved to the left by ``(n,)`` metres."""
        return ReferenceLine(self.points(self.stations_m, offsets_m))


def follow(points_m: np.ndarray, heading_rad: np.ndarray) -> ReferenceLine:
    """A line parallel to the lanes, from vehicles that (mostly) follow them.

    First the median heading is integrated over x.  The drift of the result (a bias of 0.01 degrees
    is a metre over 6 km) is then corrected: the histogram of the offsets at each station is matched
    with those before it.

    Args:
        points_m: ``(n, 2)`` positions, x roughly along the road (within 60 degrees).
        heading_rad: ``(n,)``.
    """
    x = points_m[:, 0]
    # The median slope is that at a cell's middle: the line starts half a cell inside.
    cells = max(2, int(np.ceil(np.ptp(x) / SPACING_M)))
    cell = np.minimum((x - x.min()) // SPACING_M, cells - 1).astype(int)
    slope = interpolated(cell_medians(np.tan(heading_rad), cell, cells))
    line_x = x.min() + SPACING_M * (np.arange(cells) + 0.5)
    rise = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]) * SPACING_M)])
    line = np.stack([line_x, rise + np.median(points_m[:, 1] - np.interp(x, line_x, rise))], 1)
    # One more point at either end, half a spacing beyond the outermost vehicle.
    first, last = 2 * line[0] - line[1], 2 * line[-1] - line[-2]
    reference = ReferenceLine(np.concatenate([first[None], line, last[None]]))
    for _ in range(2):
        station_m, offset_m = reference.project(points_m)
        reference = reference.shifted(_drift(station_m, offset_m, reference.stations_m))
    return reference


def _drift(station_m: np.ndarray, offset_m: np.ndarray, at_m: np.ndarray) -> np.ndarray:
    """Displacement of the lanes to the left, relative to the middle, ``(n,)`` at ``at_m``."""
    cells = len(at_m)
    edges = np.concatenate([[-np.inf], 0.5 * (at_m[1:] + at_m[:-1]), [np.inf]])
    cell = np.searchsorted(edges, station_m, side="right") - 1
    bins = int(2 * _REACH_M / _CELL_M)
    level = np.clip((offset_m + _REACH_M) / _CELL_M, 0, bins - 1).astype(int)
    counts = np.bincount(cell * bins + level, minlength=cells * bins).reshape(cells, bins)
    profile = np.array([smooth(row, _BLUR_M / _CELL_M) for row in np.sqrt(counts)])
    most = round(_LARGEST_SHIFT_M / _CELL_M)
    shift = np.zeros(cells, int)
    middle = cells // 2
    for order in (range(middle + 1, cells), range(middle - 1, -1, -1)):
        template, now = profile[middle].copy(), 0
        for k in order:
            trials = range(now - most, now + most + 1)
            scores = [np.roll(profile[k], -trial) @ template for trial in trials]
            if max(scores) > 0:
                now = trials[int(np.argmax(scores))]
            shift[k] = now
            template = _TEMPLATE_DECAY * template + (1 - _TEMPLATE_DECAY) * np.roll(
                profile[k], -now
            )
    return smooth(shift * _CELL_M, 1.0)
