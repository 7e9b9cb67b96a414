"""Lanes derived from where vehicles drive, for recordings that come without a map."""

from __future__ import annotations

from functools import partial

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from ppuu.units import LANE_WIDTH_M

from .cells import cell_medians, interpolated, smooth
from .extent import refuse_stray
from .reference import SPACING_M, ReferenceLine, follow
from .strips import swept_lanes

_MOVING_MPS = 1.0
_ALIGNED_RAD = np.radians(60.0)
"""``follow`` needs headings this close to x."""
_NEARLY_ALL = 0.999
_CELL_M = 0.1
_BLUR_M = 0.3
_NARROWEST_M = 2.5
"""Lanes lie at least this far apart."""
_THROUGHOUT = 0.9
"""Fraction of the stations at which a through lane must be used."""
_WANDER_M = 100.0
"""Length over which the centre of a lane is averaged: vehicles drift, lanes do not."""
_MARGIN_M = 10.0
"""Road beyond the outermost rows: positions may be those of the front bumper."""
_RAMP_VEHICLES = 3
"""Number of vehicles that have to use a strip beside the through lanes for it to be road."""
_RAMP_WANDER_M = 20.0


def derive(recording: Recording) -> Road:
    """The road of a recording without a map.

    Where all traffic runs along x, in one or both directions, each direction has its through lanes
    and ramps (``curved_lanes``); elsewhere, or where no lane is used throughout, strips are swept
    along the tracks (``strips.swept_lanes``).

    Raises:
        InputError: a position more than 100 km from the others.
    """
    refuse_stray(recording.x_m, recording.y_m, partial(_place, recording))
    along = np.cos(recording.heading_rad)
    moving = recording.speed_mps > _MOVING_MPS
    aligned = np.abs(along[moving]) > np.cos(_ALIGNED_RAD)
    if not moving.any() or aligned.mean() < _NEARLY_ALL:
        return swept_lanes(recording)
    points = np.stack([recording.x_m, recording.y_m], axis=1)
    lanes = []
    try:
        for sign in (1.0, -1.0):
            own = sign * along > np.cos(_ALIGNED_RAD)
            if own.sum() > (1 - _NEARLY_ALL) * len(own):
                # Half a turn about the origin: the other direction runs along x, too.
                heading = np.arcsin(sign * np.sin(recording.heading_rad[own]))
                reference = follow(sign * points[own], heading)
                place = reference.project(sign * points[own])
                road = curved_lanes(reference, *place, recording.row_vehicle[own])
                lanes += [tuple(sign * side for side in road.lane(k)) for k in range(road.lanes)]
    except InputError:
        return swept_lanes(recording)
    return Road.from_lanes(lanes)


def _place(recording: Recording, row: int, axis: str) -> str:
    vehicle = recording.vehicle_id[recording.row_vehicle[row]]
    return f"recording '{recording.name}': vehicle {vehicle}, frame {recording.frame[row]}"


def curved_lanes(
    reference: ReferenceLine, station_m: np.ndarray, offset_m: np.ndarray, vehicle: np.ndarray
) -> Road:
    """Through lanes where the offsets cluster, and ramps where vehicles drive beside them.

    Boundaries lie midway between two centres; the outermost lie half a lane width outside, where
    the lane width is the distance between centres.  The hard shoulder is road only where vehicles
    use it.

    Args:
        reference: line parallel to the lanes.
        station_m, offset_m: ``(n,)`` positions about it.
        vehicle: ``(n,)`` the vehicle of each position.

    Returns:
        Lanes from left to right, then the ramps.
    """
    at_m = reference.stations_m
    cell = np.clip(np.rint(np.interp(station_m, at_m, np.arange(len(at_m)))), 0, len(at_m) - 1)
    cell = cell.astype(int)
    centres = _through_lanes(offset_m, cell, len(at_m))
    width_m = float(np.median(-np.diff(centres))) if len(centres) > 1 else LANE_WIDTH_M
    tracked = []
    for centre in centres:
        near = np.abs(offset_m - centre) < 0.3 * width_m
        medians = cell_medians(offset_m[near], cell[near], len(at_m))
        tracked.append(smooth(interpolated(medians), _WANDER_M / SPACING_M))
    tracked = np.array(tracked)
    edges = np.concatenate(
        [
            tracked[:1] + 0.5 * width_m,
            0.5 * (tracked[1:] + tracked[:-1]),
            tracked[-1:] - 0.5 * width_m,
        ]
    )
    strips = [(at_m, left, right) for left, right in zip(edges[:-1], edges[1:], strict=True)]
    for side, edge in ((1.0, edges[0]), (-1.0, edges[-1])):
        beyond_m = side * (offset_m - np.interp(station_m, at_m, edge))
        out = beyond_m > 0
        for cells, middle_m in _ramps(beyond_m[out], cell[out], vehicle[out], len(at_m)):
            # A ramp that runs along the road shares its boundary with the outermost lane.
            inner_m = np.where(middle_m < width_m, 0.0, middle_m - 0.5 * width_m)
            outer_m = middle_m + 0.5 * width_m
            pair = [edge[cells] + side * inner_m, edge[cells] + side * outer_m]
            strips.append((at_m[cells], *(pair if side < 0 else pair[::-1])))
    return Road.from_lanes(
        [(reference.points(at, left), reference.points(at, right)) for at, left, right in strips]
    )


def straight_lanes(
    x_m: np.ndarray, y_m: np.ndarray, lane: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Straight lanes along x from the lane number that the source gives each row.

    A lane's centre is the median of its rows; its ends lie 10 m beyond its first and last row
    (but for one row in a thousand); boundaries lie midway to the next lane beside it.

    Args:
        x_m, y_m: ``(n,)``.
        lane: ``(n,)`` lane numbers; rows below 1 belong to no lane.

    Returns:
        Left and right boundary of each lane, from left to right.
    """
    centred = []
    for number in np.unique(lane[lane >= 1]):
        own = lane == number
        first, last = np.quantile(x_m[own], [0.001, 0.999])
        if last - first > SPACING_M:
            centre = float(np.median(y_m[own]))
            centred.append((centre, float(first) - _MARGIN_M, float(last) + _MARGIN_M))
    if not centred:
        raise InputError(
            "no lane can be derived: no lane number above 0 has rows along 20 m of road; leave out "
            "the lane column"
        )
    centred.sort(reverse=True)
    # Lanes that run to (nearly) the ends of the road end with it.
    ends = min(lane[1] for lane in centred), max(lane[2] for lane in centred)
    lanes = []
    for centre, first, last in centred:
        beside = [
            other - centre
            for other, start, stop in centred
            if abs(other - centre) > _NARROWEST_M and min(last, stop) > max(first, start)
        ]
        above = min((gap for gap in beside if gap > 0), default=None)
        below = min((-gap for gap in beside if gap < 0), default=None)
        usual = [gap for gap in (above, below) if gap is not None and gap < 2 * LANE_WIDTH_M]
        width = min(usual, default=LANE_WIDTH_M)
        left, right = (
            centre + sign * 0.5 * (width if gap is None or gap not in usual else gap)
            for sign, gap in ((1, above), (-1, below))
        )
        first = ends[0] if first - ends[0] < 2 * SPACING_M else first
        last = ends[1] if ends[1] - last < 2 * SPACING_M else last
        lanes.append(tuple(np.array([[first, y], [last, y]]) for y in (left, right)))
    return lanes


def _through_lanes(offset_m: np.ndarray, cell: np.ndarray, cells: int) -> np.ndarray:
    """Centres of the lanes that are used throughout, from left to right."""
    low = offset_m.min() - 1.0
    counts = np.bincount(((offset_m - low) / _CELL_M).astype(int))
    density = smooth(np.pad(counts, 10), _BLUR_M / _CELL_M)
    peaks = 1 + np.flatnonzero((density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:]))
    centres: list[float] = []
    for peak in peaks[np.argsort(-density[peaks])]:
        centre = low + (peak - 10 + 0.5) * _CELL_M
        near = np.abs(offset_m - centre) < 0.5 * _NARROWEST_M
        throughout = len(np.unique(cell[near])) >= _THROUGHOUT * cells
        if throughout and all(abs(centre - other) > _NARROWEST_M for other in centres):
            centres.append(centre)
    if not centres:
        raise InputError("no lane can be derived: vehicles use no lane throughout")
    return np.array(sorted(centres, reverse=True))


def _ramps(
    beyond_m: np.ndarray, cell: np.ndarray, vehicle: np.ndarray, cells: int
) -> list[tuple[slice, np.ndarray]]:
    """Stretches that vehicles use beside the road: cells and the middle's distance from it."""
    used = np.bincount(cell, minlength=cells) > 0
    changes = np.flatnonzero(np.diff(np.concatenate([[0], used.astype(int), [0]])))
    ramps = []
    for first, last in changes.reshape(-1, 2):
        inside = (cell >= first) & (cell < last)
        if len(np.unique(vehicle[inside])) < _RAMP_VEHICLES or last - first < 2:
            continue
        medians = cell_medians(beyond_m[inside], cell[inside] - first, last - first)
        # One station more at either end: a cell reaches half a spacing beyond its station.
        start, stop = max(first - 1, 0), min(last + 1, cells)
        medians = np.pad(medians, (first - start, stop - last), "edge")
        ramps.append((slice(start, stop), smooth(medians, _RAMP_WANDER_M / SPACING_M)))
    return ramps
