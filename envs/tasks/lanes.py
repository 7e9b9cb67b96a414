"""The lanes of a road as goals: centre lines, neighbours, and how far each goes on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from ppuu.perception.goal import NODE_SPACING_M
from ppuu.recordings.lanes import NO_LANE
from ppuu.recordings.polyline import Polyline, arc_length_m, points_at
from ppuu.recordings.road import Road
from ppuu.units import LANE_WIDTH_M

NARROWEST_M = 2.5
"""A lane ends where it becomes narrower."""


@dataclass(frozen=True, eq=False)
class Lane:
    """A lane's centre line, resampled.

    Attributes:
        line: its centre, ``NODE_SPACING_M`` from node to node.
        width_m: ``(nodes,)``.
    """

    line: Polyline
    width_m: Float[np.ndarray, " nodes"]

    @classmethod
    def of(cls, road: Road, index: int) -> Lane:
        """Lane ``index`` of a road; the last piece, shorter than the others, is left out."""
        left, right = road.lane(index)
        centre = 0.5 * (left + right)
        station = arc_length_m(centre)
        nodes = np.arange(0.0, station[-1], NODE_SPACING_M)
        width = np.linalg.norm(left - right, axis=1)
        points = points_at(centre, station, nodes)
        return cls(Polyline(points), np.interp(nodes, station, width))

    @cached_property
    def end_m(self) -> float:
        """Station at which the lane ends, or becomes too narrow for good."""
        wide = np.flatnonzero(self.width_m >= NARROWEST_M)
        return NODE_SPACING_M * float(wide[-1]) if len(wide) else 0.0

    def station_m(self, points_m: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Of the points' feet on the centre line, also beyond its ends."""
        return self.line.station_m(self.line.project(points_m, extended=True))

    def beside(self, points_m: Float[np.ndarray, "n 2"], lanes: int) -> Float[np.ndarray, "n 2"]:
        """Points that many lane widths to the left of the centre line, abreast of given ones."""
        foot = self.line.project(points_m, extended=True)
        direction = self.line.directions[foot.segment]
        normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
        start = self.line.points_m[foot.segment]
        return start + foot.along_m[:, None] * direction + lanes * LANE_WIDTH_M * normal


@dataclass(frozen=True, eq=False)
class Lanes:
    """All lanes of a road."""

    road: Road

    @cached_property
    def all(self) -> list[Lane]:
        """In the road's order."""
        return [Lane.of(self.road, index) for index in range(self.road.lanes)]

    def at(self, points_m: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
        """Lanes under points, or ``NO_LANE``."""
        return self.road.lane_index(points_m)

    def beside(
        self, points_m: Float[np.ndarray, "n 2"], lane: Int[np.ndarray, " n"], lanes: int
    ) -> Int[np.ndarray, " n"]:
        """The lanes so many lanes to the left (negative: right) of those that points are in."""
        found = lane
        for _ in range(abs(lanes)):
            found = self._next(points_m, found, 1 if lanes > 0 else -1)
        return found

    def _next(
        self, points_m: Float[np.ndarray, "n 2"], lane: Int[np.ndarray, " n"], side: int
    ) -> Int[np.ndarray, " n"]:
        places = np.full_like(points_m, np.inf)
        for index in np.unique(lane[lane >= 0]):
            rows = lane == index
            places[rows] = self.all[index].beside(points_m[rows], side)
        found = np.full(len(lane), NO_LANE)
        known = lane >= 0
        found[known] = self.at(places[known])
        return np.where(found == lane, NO_LANE, found)

    def ahead_m(
        self, points_m: Float[np.ndarray, "n 2"], lane: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Metres from points to the ends of lanes; 0 where there is no lane."""
        left = np.zeros(len(lane))
        for index in np.unique(lane[lane >= 0]):
            rows = lane == index
            left[rows] = self.all[index].end_m - self.all[index].station_m(points_m[rows])
        return left
