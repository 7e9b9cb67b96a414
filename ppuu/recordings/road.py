"""Roads: lanes as strips between two polylines, in metres.

World axes: x runs (roughly) along the road, y to its left, headings counter-clockwise from x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..runtime.errors import InputError


@dataclass(frozen=True, eq=False)
class Road:
    """Lanes as strips of quadrilaterals, stored flat.

    Lane ``k`` owns the points ``lane_pointer[k]:lane_pointer[k + 1]``; ``left_m[i]`` and
    ``right_m[i]`` are its two boundaries at the same station, ordered in driving direction.
    The drivable area is the union of the lanes; every boundary is painted as a line.

    Roads with the same lanes are equal and have equal hashes, so derived data can be cached.

    Attributes:
        lane_pointer: ``(lanes + 1,)`` int64.
        left_m: ``(points, 2)`` float64, left boundary.
        right_m: ``(points, 2)`` float64, right boundary.
    """

    lane_pointer: np.ndarray
    left_m: np.ndarray
    right_m: np.ndarray

    def __post_init__(self):
        if self.left_m.shape != self.right_m.shape or self.left_m.ndim != 2:
            raise InputError(
                f"road: left and right boundaries differ in shape: {self.left_m.shape} and "
                f"{self.right_m.shape}; give both at the same stations"
            )
        counts = np.diff(self.lane_pointer)
        if self.lane_pointer[0] != 0 or self.lane_pointer[-1] != len(self.left_m):
            raise InputError("road: lane_pointer must run from 0 to the number of points")
        if len(counts) and counts.min() < 2:
            raise InputError(f"road: lane {int(counts.argmin())} has fewer than two points")
        if not (np.isfinite(self.left_m).all() and np.isfinite(self.right_m).all()):
            raise InputError("road: a lane boundary is not finite")

    @cached_property
    def _key(self) -> tuple[bytes, ...]:
        arrays = (self.lane_pointer, self.left_m, self.right_m)
        return tuple(np.ascontiguousarray(array).tobytes() for array in arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Road) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @classmethod
    def from_lanes(cls, lanes: list[tuple[np.ndarray, np.ndarray]]) -> Road:
        """Builds a road from ``[(left (n, 2), right (n, 2)), ...]``, in metres."""
        pointer = np.cumsum([0] + [len(left) for left, _ in lanes]).astype(np.int64)
        empty = np.zeros((0, 2))
        return cls(
            pointer,
            np.concatenate([np.asarray(left, float) for left, _ in lanes] or [empty]),
            np.concatenate([np.asarray(right, float) for _, right in lanes] or [empty]),
        )

    @classmethod
    def straight(
        cls, length_m: float, lanes: int, lane_width_m: float, start_m: float = 0.0
    ) -> Road:
        """A straight road along x; lane 0 is the leftmost, y = 0 is the right edge."""
        stations = np.array([start_m, start_m + length_m])

        def line(y):
            return np.stack([stations, np.full(2, y)], axis=1)

        edges = lane_width_m * np.arange(lanes, -1, -1)
        return cls.from_lanes(
            [(line(a), line(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        )

    @property
    def lanes(self) -> int:
        """Number of lanes."""
        return len(self.lane_pointer) - 1

    def lane(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Left and right boundary of one lane, each ``(points, 2)``."""
        rows = slice(self.lane_pointer[index], self.lane_pointer[index + 1])
        return self.left_m[rows], self.right_m[rows]

    @cached_property
    def quadrilaterals_m(self) -> np.ndarray:
        """All lane pieces as ``(pieces, 4, 2)`` corners in order (left, left, right, right)."""
        first, last = self._segments
        return np.stack(
            [self.left_m[first], self.left_m[last], self.right_m[last], self.right_m[first]],
            axis=1,
        )

    @cached_property
    def piece_lane(self) -> np.ndarray:
        """``(pieces,)`` lane index of each quadrilateral."""
        return np.repeat(np.arange(self.lanes), np.diff(self.lane_pointer) - 1)

    @cached_property
    def _segments(self) -> tuple[np.ndarray, np.ndarray]:
        first = np.setdiff1d(np.arange(len(self.left_m)), self.lane_pointer[1:] - 1)
        return first, first + 1

    def lane_index(self, points_m: np.ndarray) -> np.ndarray:
        """Lane at each point; -1 off the road.

        Args:
            points_m: ``(n, 2)``.
        """
        points_m = np.asarray(points_m, float)
        # Points sorted by x, to compare each piece only with the points nearby.
        order = np.argsort(points_m[:, 0])
        x, y = points_m[order].T
        found = np.full(len(points_m), -1, np.int64)
        for corners, lane in zip(self.quadrilaterals_m, self.piece_lane, strict=True):
            (low_x, low_y), (high_x, high_y) = corners.min(0), corners.max(0)
            piece = slice(np.searchsorted(x, low_x), np.searchsorted(x, high_x, side="right"))
            near = order[piece][(y[piece] >= low_y) & (y[piece] <= high_y)]
            near = near[found[near] < 0]
            if len(near):
                found[near[inside_polygon(points_m[near], corners)]] = lane
        return found

    def drivable(self, points_m: np.ndarray) -> np.ndarray:
        """Whether each of ``(n, 2)`` points lies on a lane."""
        return self.lane_index(points_m) >= 0


def distinct(roads: Sequence[Road]) -> tuple[list[Road], list[int]]:
    """Roads without repetition, in order, and which of them each road is."""
    numbers: dict[Road, int] = {}
    which = [numbers.setdefault(road, len(numbers)) for road in roads]
    return list(numbers), which


def inside_polygon(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Even-odd test of ``(n, 2)`` points against one polygon of ``(k, 2)`` corners."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = corners.T
    bx, by = np.roll(corners, -1, axis=0).T
    spans = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing_x = ax + (y - ay) * (bx - ax) / (by - ay)
    return (spans & (x < crossing_x)).sum(1) % 2 == 1
