"""Scenes with a given number of vehicles, made of one recording."""

from __future__ import annotations

import dataclasses

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

_APART_M = 200.0
"""Between two copies of a road, beside each other."""


def crowd(recording: Recording, vehicles: int) -> Recording:
    """As many vehicles in the mean frame.

    Vehicles are taken out at random; where there are too few, the road with all vehicles on it is
    copied beside itself.  Around an ego nothing gets denser than it was recorded.
    """
    present = recording.rows / recording.frames
    copies = max(1, int(np.ceil(vehicles / present)))
    whole = _side_by_side(recording, copies)
    random = np.random.default_rng(0)
    order = random.permutation(whole.vehicles)
    rows = np.diff(whole.vehicle_pointer)[order].cumsum()
    count = int(np.searchsorted(rows, vehicles * whole.frames)) + 1
    return _only(whole, np.sort(order[:count]))


def _side_by_side(recording: Recording, copies: int) -> Recording:
    shift = np.arange(copies) * _APART_M
    road, pointer = recording.road, recording.vehicle_pointer
    points, rows = road.lane_pointer[1:], pointer[1:]
    across = np.repeat(shift, len(road.left_m))[:, None] * np.array([0.0, 1.0])

    def repeated(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values] * copies)

    def pointers(ends: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], *(ends + k * ends[-1] for k in range(copies))])

    tracks = ("frame", "x_m", "heading_rad", "speed_mps", "length_m", "width_m")
    return dataclasses.replace(
        recording,
        **{name: repeated(getattr(recording, name)) for name in tracks},
        y_m=repeated(recording.y_m) + np.repeat(shift, recording.rows),
        vehicle_pointer=pointers(rows),
        vehicle_id=np.arange(copies * recording.vehicles),
        road=Road(
            pointers(points), repeated(road.left_m) + across, repeated(road.right_m) + across
        ),
    )


def _only(recording: Recording, chosen: np.ndarray) -> Recording:
    """The recording of some of its vehicles."""
    counts = np.diff(recording.vehicle_pointer)
    rows = np.isin(np.repeat(np.arange(recording.vehicles), counts), chosen)
    tracks = {name: getattr(recording, name)[rows] for name in _ROWS}
    sizes = {name: getattr(recording, name)[chosen] for name in _VEHICLES}
    pointer = np.concatenate([[0], counts[chosen].cumsum()])
    return dataclasses.replace(recording, **tracks, **sizes, vehicle_pointer=pointer)


_ROWS = ("frame", "x_m", "y_m", "heading_rad", "speed_mps")
_VEHICLES = ("vehicle_id", "length_m", "width_m")
