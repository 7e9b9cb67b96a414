"""Lanes where traffic has several directions: strips swept along the most travelled tracks.

Greedy cover: the track along the most used positions becomes a strip (straight tracks before those
that turn) and covers the points within half a lane of it that have the same direction.  This is
repeated with the remaining points until all are covered.  Strips beside each other share the line
midway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.units import LANE_WIDTH_M

from .cells import cell_medians, smooth

_SPACING_M = 1.0
_JITTER_M = 0.5
"""Shorter displacements are noise."""
_STANDING_M = 3.0
"""A vehicle that never moves further from its first row stands."""
_REVERSING_M = 8.0
_BLUR_M = 2.0
_MEDIAN_BLUR_M = 8.0
_BEYOND_M = 8.0
"""Road before and after a track: half a lorry, and a queue becomes one lane."""
_OVERLAP_M = 8.0
"""Length along which a strip that branches off overlaps the one that it leaves."""
_SHORTEST_M = 6.0
_SAME_WAY_RAD = np.radians(30.0)
_COVERED_M = 0.5 * LANE_WIDTH_M
_NARROWEST_M, _WIDEST_M = 2.4, 4.6
"""Strips between these distances apart lie beside each other."""
_WIDTH_BLUR_M = 6.0
_CELL_M = 0.5
_SECTORS = 16
_THINNED = 2
"""Every second point of a strip is kept for the road."""


@dataclass(frozen=True, eq=False)
class _Paths:
    """All tracks as points at equal distances, independent of the speed.

    Attributes:
        points_m: ``(n, 2)``, smoothed.
        heading_rad: ``(n,)`` tangent.
        pointer: ``(tracks + 1,)``: track ``k`` owns ``pointer[k]:pointer[k + 1]``.
        driven: ``(n,)`` false where a path is continued beyond its track.
    """

    points_m: Float[np.ndarray, "n 2"]
    heading_rad: Float[np.ndarray, " n"]
    pointer: Int[np.ndarray, " tracks_and_one"]
    driven: Bool[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class _Strip:
    """A centre line: ``(n, 2)`` points and their ``(n,)`` headings."""

    points_m: Float[np.ndarray, "n 2"]
    heading_rad: Float[np.ndarray, " n"]


def swept_lanes(recording: Recording) -> Road:
    """Lanes for traffic of any directions, from its tracks alone.

    Every stretch that a vehicle drove lies on a lane, except for stretches of less than 6 m.
    """
    paths = _paths(recording)
    strips = _cover(paths)
    lanes = []
    for strip, (left_m, right_m) in zip(strips, _half_widths(strips), strict=True):
        normal = np.stack([-np.sin(strip.heading_rad), np.cos(strip.heading_rad)], axis=1)
        kept = np.append(np.arange(0, len(normal) - 1, _THINNED), len(normal) - 1)
        left = strip.points_m + left_m[:, None] * normal
        right = strip.points_m - right_m[:, None] * normal
        lanes.append((left[kept], right[kept]))
    return Road.from_lanes(lanes)


def _paths(recording: Recording) -> _Paths:
    points_m, driven = [], []
    for vehicle in range(recording.vehicles):
        x, y, heading, _ = recording.track(vehicle).T
        rows = _moves(x, y)
        points = np.stack([x[rows], y[rows]], axis=1)
        directions = np.array([[np.cos(heading[0]), np.sin(heading[0])]] * 2)
        if len(rows) > 1:
            # The direction of motion, not the heading: some recorded headings are reversed.
            near = min(len(rows) - 1, round(_STANDING_M / _JITTER_M))
            directions = np.stack([points[near] - points[0], points[-1] - points[-1 - near]])
            directions /= np.maximum(np.hypot(*directions.T), 1e-6)[:, None]
        points = np.concatenate(
            [
                points[:1] - _BEYOND_M * directions[:1],
                points,
                points[-1:] + _BEYOND_M * directions[1:],
            ]
        )
        along = arc_length_m(points)
        stations = np.linspace(0.0, along[-1], max(2, round(along[-1] / _SPACING_M)) + 1)
        path = [_blurred(np.interp(stations, along, values), _BLUR_M) for values in points.T]
        points_m.append(np.stack(path, axis=1))
        # At least one station is driven, even of a vehicle that stands.
        driven_m = 0.5 * along[-1] - _BEYOND_M + 1.5 * _SPACING_M
        driven.append(np.abs(stations - 0.5 * along[-1]) <= driven_m)
    pointer = np.cumsum([0] + [len(path) for path in points_m])
    heading_rad = np.concatenate([_tangent_rad(path) for path in points_m])
    return _Paths(np.concatenate(points_m), heading_rad, pointer, np.concatenate(driven))


def _moves(x_m: Float[np.ndarray, " n"], y_m: Float[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    """Rows between which the vehicle has moved; only the first row if it stands."""
    position = x_m + 1j * y_m
    rows, last_move = [0], 0j
    if np.abs(position - position[0]).max() < _STANDING_M:
        return np.array(rows)
    for row in range(1, len(position)):
        move = position[row] - position[rows[-1]]
        # At a stop, recorded positions drift back by metres; real reversing is longer.
        onward = (move * np.conj(last_move)).real >= 0
        if np.abs(move) >= (_JITTER_M if onward else _REVERSING_M):
            rows.append(row)
            last_move = move
    return np.array(rows)


def _cover(paths: _Paths) -> list[_Strip]:
    """Strips that cover all driven points, the most used first."""
    track = np.repeat(np.arange(len(paths.pointer) - 1), np.diff(paths.pointer))
    weight = _usage(paths) * paths.driven * _straightness(paths)[track]
    near = _Sorted(paths.points_m, paths.heading_rad)
    strips: list[_Strip] = []
    while weight.any():
        best = int(np.bincount(track, weight).argmax())
        first, last = paths.pointer[best : best + 2]
        start, stop = _heaviest_run(weight[first:last])
        weight[first + start : first + stop] = 0.0
        most = stop - start > 0.5 * paths.driven[first:last].sum()
        if (stop - start) * _SPACING_M < _SHORTEST_M and not most:
            continue
        reach = round(_OVERLAP_M / _SPACING_M)
        rows = np.arange(max(first, first + start - reach), min(last, first + stop + reach))
        strip = _centred(_Strip(paths.points_m[rows], paths.heading_rad[rows]), near)
        covered, at, _ = _followers(strip, near)
        # A point beside an end point may lie beyond the end.
        weight[covered[(at > 1) & (at < len(rows) - 2)]] = 0.0
        strips.append(strip)
    return strips


def _heaviest_run(weight: Float[np.ndarray, " n"]) -> tuple[int, int]:
    """First entry and end of the consecutive positive entries with the largest sum.

    Zeros shorter than an overlap do not end a run.
    """
    positive = np.flatnonzero(weight)
    breaks = np.flatnonzero(np.diff(positive) > _OVERLAP_M / _SPACING_M)
    starts = positive[np.concatenate([[0], breaks + 1])]
    stops = positive[np.concatenate([breaks, [len(positive) - 1]])] + 1
    total = np.concatenate([[0.0], np.cumsum(weight)])
    best = int((total[stops] - total[starts]).argmax())
    return int(starts[best]), int(stops[best])


def _straightness(paths: _Paths) -> Float[np.ndarray, " tracks"]:
    """Distance between a path's ends, as a fraction of its length."""
    ends_m = paths.points_m[paths.pointer[1:] - 1] - paths.points_m[paths.pointer[:-1]]
    length_m = np.diff(paths.pointer) * _SPACING_M
    return np.minimum(np.hypot(*ends_m.T) / length_m, 1.0) + 1e-3


def _usage(paths: _Paths) -> Float[np.ndarray, " n"]:
    """Number of points in each point's cell (position and heading) and in those around it."""
    column, row = np.rint(paths.points_m / _CELL_M).astype(np.int64).T
    column, row = column - column.min() + 1, row - row.min() + 1
    sector = np.rint(paths.heading_rad / (2 * np.pi) * _SECTORS).astype(np.int64)
    rows = row.max() + 2

    def key(right: int, up: int, turn: int) -> np.ndarray:
        return ((column + right) * rows + row + up) * _SECTORS + (sector + turn) % _SECTORS

    cells, counts = np.unique(key(0, 0, 0), return_counts=True)
    total = np.zeros(len(column))
    for right in (-1, 0, 1):
        for up in (-1, 0, 1):
            for turn in (-1, 0, 1):
                wanted = key(right, up, turn)
                at = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
                total += np.where(cells[at] == wanted, counts[at], 0)
    return total


class _Sorted:
    """Points with headings, sorted by x, to find those beside one of them."""

    def __init__(self, points_m: Float[np.ndarray, "n 2"], heading_rad: Float[np.ndarray, " n"]):
        self._order = np.argsort(points_m[:, 0])
        self._points_m, self._heading_rad = points_m[self._order], heading_rad[self._order]

    def beside(
        self, point_m: Float[np.ndarray, " 2"], heading_rad: float, reach_m: float
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Points to the left or right of a point.

        Returns:
            Their rows; their offsets to the left; their headings less the one given.
        """
        away_m = np.hypot(reach_m, _SPACING_M)
        x = self._points_m[:, 0]
        first, last = np.searchsorted(x, (point_m[0] - away_m, point_m[0] + away_m))
        away_x, away_y = (self._points_m[first:last] - point_m).T
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        offset_m = away_y * cos - away_x * sin
        near = np.abs(away_x * cos + away_y * sin) <= 0.6 * _SPACING_M
        rows = np.flatnonzero(near & (np.abs(offset_m) <= reach_m))
        turn_rad = self._heading_rad[first + rows] - heading_rad
        return self._order[first + rows], offset_m[rows], turn_rad


def _followers(
    strip: _Strip, paths: _Sorted
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Path points within half a lane of a strip that point the same way.

    Returns:
        Their rows; the strip's point that each of them lies beside; their offsets to the left.
    """
    columns = []
    for k, (point_m, heading_rad) in enumerate(zip(strip.points_m, strip.heading_rad, strict=True)):
        rows, offset_m, turn_rad = paths.beside(point_m, heading_rad, _COVERED_M)
        same = np.cos(turn_rad) > np.cos(_SAME_WAY_RAD)
        columns.append((rows[same], np.full(same.sum(), k), offset_m[same]))
    rows, at, offset_m = (np.concatenate(column) for column in zip(*columns, strict=True))
    return rows, at, offset_m


def _centred(strip: _Strip, paths: _Sorted) -> _Strip:
    """The strip moved to the median of the paths that follow it."""
    _, at, offset_m = _followers(strip, paths)
    shift_m = np.nan_to_num(cell_medians(offset_m, at, len(strip.points_m)))
    shift_m = _blurred(shift_m, _MEDIAN_BLUR_M)
    normal = np.stack([-np.sin(strip.heading_rad), np.cos(strip.heading_rad)], axis=1)
    points = strip.points_m + shift_m[:, None] * normal
    return _Strip(points, _tangent_rad(points))


def _half_widths(
    strips: list[_Strip],
) -> list[tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]]:
    """To the left and right of each strip's points: midway to the strip beside, or half a lane."""
    all_strips = _Sorted(
        np.concatenate([strip.points_m for strip in strips]),
        np.concatenate([strip.heading_rad for strip in strips]),
    )
    widths = []
    for strip in strips:
        half_m = np.full((2, len(strip.points_m)), 0.5 * LANE_WIDTH_M)
        for k, (point_m, heading_rad) in enumerate(
            zip(strip.points_m, strip.heading_rad, strict=True)
        ):
            _, offset_m, turn_rad = all_strips.beside(point_m, heading_rad, _WIDEST_M)
            # Opposing lanes have a common line, too.
            offset_m = offset_m[np.abs(np.sin(turn_rad)) < np.sin(_SAME_WAY_RAD)]
            for side, away_m in enumerate((offset_m, -offset_m)):
                beside_m = away_m[away_m > _NARROWEST_M]
                if len(beside_m):
                    half_m[side, k] = 0.5 * beside_m.min()
        widths.append((_blurred(half_m[0], _WIDTH_BLUR_M), _blurred(half_m[1], _WIDTH_BLUR_M)))
    return widths


def _tangent_rad(points_m: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    tangent = np.gradient(points_m, axis=0)
    return np.arctan2(tangent[:, 1], tangent[:, 0])


def _blurred(values: Float[np.ndarray, " n"], width_m: float) -> Float[np.ndarray, " n"]:
    """Gaussian average along a path that keeps a straight line straight up to its ends."""
    reach = min(len(values) - 1, int(np.ceil(3 * width_m / _SPACING_M)))
    before = 2 * values[0] - values[reach:0:-1]
    after = 2 * values[-1] - values[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, values, after])
    return smooth(padded, width_m / _SPACING_M)[reach:-reach]
