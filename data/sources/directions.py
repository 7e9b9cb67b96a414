"""Splits recordings of a road by direction of travel."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from jaxtyping import Bool, Complex

from ppuu.recordings.road import Road

from ..raw_tracks import RawTracks
from ..roads.extent import refuse_stray
from ..roads.frame import LocalFrame

ONE_ROAD = 0.9
"""Mean resultant length of the directions, opposite ones identified, above which all vehicles
travel along one road; 0.9 allows one twentieth of the distance across it."""

_DIRECTIONS = ("east", "north", "west", "south")


def by_direction(tracks: RawTracks) -> list[RawTracks]:
    """Splits two-way traffic, and rotates each direction so that x runs along it.

    Traffic without a common axis (intersections) is unchanged.

    Args:
        tracks: in the axes of the file, y to the left of x.

    Returns:
        One or two recordings.  Two recordings are named by their direction, with x as east; rows
        omitted by the reader are counted in the first.  ``local_frame`` leads to the file's axes.
    """
    if not len(tracks.frame):
        return [tracks]
    refuse_stray(tracks.x_m, tracks.y_m, tracks.place)
    moved = _displacements(tracks)
    length = np.abs(moved)
    axis = np.sum(moved**2 / np.maximum(length, 1e-9)) / max(length.sum(), 1e-9)
    if abs(axis) < ONE_ROAD:
        return [tracks]
    angle_rad = 0.5 * float(np.angle(axis))
    along = (moved * np.exp(-1j * angle_rad)).real >= 0
    sides = [(angle_rad + turn, own) for turn, own in ((0.0, along), (np.pi, ~along)) if own.any()]
    index = np.unique(tracks.vehicle, return_inverse=True)[1]
    found = []
    for angle_rad, own in sides:
        one_way = _turned(some_rows(tracks, own[index]), angle_rad)
        if len(sides) > 1:
            direction = _DIRECTIONS[round(angle_rad / (0.5 * np.pi)) % 4]
            one_way = replace(one_way, name=f"{tracks.name}-{direction}")
        found.append(replace(one_way, left_out=tracks.left_out if not found else {}))
    return found


def _displacements(tracks: RawTracks) -> Complex[np.ndarray, " vehicles"]:
    """From the first to the last row of each vehicle, as x + iy.

    A metre along the heading is added if headings are known, which decides for standing vehicles.
    """
    order = np.lexsort((tracks.frame, tracks.vehicle))
    starts = np.unique(tracks.vehicle[order], return_index=True)[1]
    position = (tracks.x_m + 1j * tracks.y_m)[order]
    moved = position[np.append(starts[1:], len(order)) - 1] - position[starts]
    if tracks.heading_rad is not None:
        moved = moved + np.exp(1j * tracks.heading_rad[order][starts])
    return moved


def some_rows(tracks: RawTracks, own: Bool[np.ndarray, " n"]) -> RawTracks:
    """The selected rows."""
    values = {field.name: getattr(tracks, field.name) for field in fields(tracks)}
    return replace(
        tracks,
        **{key: value[own] for key, value in values.items() if isinstance(value, np.ndarray)},
    )


def _turned(tracks: RawTracks, angle_rad: float) -> RawTracks:
    """x along ``angle_rad``, from 0 at the first row; y = 0 in the middle of the rows."""
    turned = LocalFrame(0.0, 0.0, angle_rad)
    points = turned.to_local(np.stack([tracks.x_m, tracks.y_m], 1))
    corner = points[:, 0].min() + 1j * points[:, 1].mean()
    corner = corner * np.exp(1j * angle_rad)
    frame = LocalFrame(float(corner.real), float(corner.imag), angle_rad)
    x_m, y_m = frame.to_local(np.stack([tracks.x_m, tracks.y_m], 1)).T
    heading_rad = tracks.heading_rad
    return replace(
        tracks,
        x_m=x_m,
        y_m=y_m,
        heading_rad=None if heading_rad is None else heading_rad - angle_rad,
        road=None if tracks.road is None else _lanes_along(tracks.road, frame),
        local_frame=frame,
    )


def _lanes_along(road: Road, frame: LocalFrame) -> Road:
    """The lanes that run along x, in the recording's axes."""
    lanes = [
        (frame.to_local(left), frame.to_local(right))
        for left, right in (road.lane(k) for k in range(road.lanes))
    ]
    return Road.from_lanes(
        [(left, right) for left, right in lanes if (left + right)[-1, 0] > (left + right)[0, 0]]
    )
