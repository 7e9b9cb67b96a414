"""Polylines in the plane: stations along them, and projection onto them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int


def arc_length_m(points_m: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
    """Distance along a polyline from its first point to each of its points."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points_m, axis=0).T))])


def points_at(
    points_m: Float[np.ndarray, "points 2"],
    along_m: Float[np.ndarray, " points"],
    stations_m: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 2"]:
    """Places on a polyline; its ends for stations beyond.

    Args:
        points_m: of the polyline.
        along_m: station of each point, such as ``arc_length_m``.
        stations_m: of the places.
    """
    return np.stack([np.interp(stations_m, along_m, axis) for axis in points_m.T], axis=1)


@dataclass(frozen=True, eq=False)
class Projection:
    """Points seen from the nearest segment of a polyline.

    Attributes:
        segment: ``(n,)`` index of the segment.
        along_m: ``(n,)`` from the segment's start to the foot of the perpendicular.
        offset_m: ``(n,)`` to the left of the segment's straight line.
    """

    segment: Int[np.ndarray, " n"]
    along_m: Float[np.ndarray, " n"]
    offset_m: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Polyline:
    """A line of straight segments.

    Attributes:
        points_m: ``(points, 2)``, no two consecutive ones equal.
    """

    points_m: Float[np.ndarray, "points 2"]

    @cached_property
    def lengths_m(self) -> Float[np.ndarray, " segments"]:
        """Lengths of the segments."""
        return np.linalg.norm(np.diff(self.points_m, axis=0), axis=1)

    @cached_property
    def directions(self) -> Float[np.ndarray, "segments 2"]:
        """Unit vectors along the segments."""
        return np.diff(self.points_m, axis=0) / self.lengths_m[:, None]

    @cached_property
    def starts_m(self) -> Float[np.ndarray, " segments"]:
        """Station at which each segment begins."""
        return np.concatenate([[0.0], self.lengths_m.cumsum()[:-1]])

    def station_m(self, foot: Projection) -> Float[np.ndarray, " n"]:
        """Of the feet of projected points."""
        return self.starts_m[foot.segment] + foot.along_m

    def project(self, points_m: Float[np.ndarray, "n 2"], extended: bool) -> Projection:
        """The nearest segment of each point, and where the point lies beside it.

        Args:
            points_m: the points.
            extended: whether the first and the last segment go on straight for ever when the
                nearest segment is chosen; else the line ends at its ends.
        """
        low, high = np.zeros_like(self.lengths_m), self.lengths_m.copy()
        if extended:
            low[0], high[-1] = -np.inf, np.inf
        away = points_m[:, None] - self.points_m[:-1]
        along = np.einsum("nsk,sk->ns", away, self.directions).clip(low, high)
        distance = np.linalg.norm(away - along[..., None] * self.directions, axis=-1)
        segment, rows = distance.argmin(1), np.arange(len(points_m))
        direction = self.directions[segment]
        normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        offset = np.einsum("nk,nk->n", away[rows, segment], normal)
        return Projection(segment, along[rows, segment], offset)
