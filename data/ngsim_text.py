"""Writes a recording as an NGSIM trajectory file, so that tools for NGSIM can read it.

Format: 18 columns separated by blanks, no header, feet; as in the US-DOT's I-80 and US-101 files
and their data dictionary (FHWA-HRT-06-137).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ppuu.files import written_whole
from ppuu.recording import Recording
from ppuu.units import metres_to_feet

_MOTORCYCLE, _CAR, _TRUCK = 1, 2, 3
_MOTORCYCLE_WIDTH_M, _TRUCK_LENGTH_M = 1.2, 7.0
_NOBODY = 0
_LONGEST_HEADWAY_S = 9999.99
"""What NGSIM writes for the headway of a vehicle at rest."""

_FEET = "%.3f"
_FORMAT = " ".join(["%d"] * 4 + [_FEET] * 6 + ["%d", _FEET, _FEET] + ["%d"] * 3 + [_FEET] * 2)


def write(recording: Recording, path: str | Path) -> None:
    """Writes the 18 columns, in NGSIM's conventions, atomically.

    Local X grows to the right from the road's leftmost edge, Local Y is the middle of the front
    bumper, and vehicle and frame numbers start at 1.  Global X and Y repeat Local X and Y, as the
    recording lies nowhere on earth; Global Time starts at 0 ms.  The front bumper stands half a
    length ahead of the centre along the heading.

    Args:
        recording: its road's lane 0 is the leftmost, as NGSIM's lane 1; off the road lane is 0.
        path: of the text file.
    """
    rows = recording.row_vehicle
    half_length = 0.5 * recording.length_m[rows]
    left_edge = recording.road.left_m[:, 1].max() if recording.road.lanes else 0.0
    local_x = left_edge - recording.y_m - half_length * np.sin(recording.heading_rad)
    local_y = recording.x_m + half_length * np.cos(recording.heading_rad)
    lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1)) + 1
    preceding, following, spacing = _neighbours(recording.frame, lane, local_y)
    numbers = _numbers(recording)[rows]
    spacing_m = np.where(preceding >= 0, spacing, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        headway = np.where(
            recording.speed_mps > 0, spacing_m / recording.speed_mps, _LONGEST_HEADWAY_S
        )
    headway = np.where(preceding >= 0, np.minimum(headway, _LONGEST_HEADWAY_S), 0.0)
    columns = [
        numbers,
        recording.frame + 1,
        np.diff(recording.vehicle_pointer)[rows],
        np.round(recording.frame * recording.dt_s * 1000),
        metres_to_feet(local_x),
        metres_to_feet(local_y),
        metres_to_feet(local_x),
        metres_to_feet(local_y),
        metres_to_feet(recording.length_m[rows]),
        metres_to_feet(recording.width_m[rows]),
        _vehicle_class(recording)[rows],
        metres_to_feet(recording.speed_mps),
        metres_to_feet(_accelerations(recording)),
        lane,
        np.where(preceding >= 0, numbers[preceding], _NOBODY),
        np.where(following >= 0, numbers[following], _NOBODY),
        metres_to_feet(spacing_m),
        headway,
    ]
    with written_whole(path) as temporary:
        np.savetxt(temporary, np.stack(columns, axis=1), fmt=_FORMAT)


def _numbers(recording: Recording) -> Int[np.ndarray, " vehicles"]:
    """The source's own numbers, where NGSIM allows them: positive; else counted from 1."""
    positive = recording.vehicle_id.min() > _NOBODY
    return recording.vehicle_id if positive else np.arange(recording.vehicles) + 1


def _vehicle_class(recording: Recording) -> Int[np.ndarray, " vehicles"]:
    """Class by size: a recording does not hold it."""
    heavy = np.where(recording.length_m > _TRUCK_LENGTH_M, _TRUCK, _CAR)
    return np.where(recording.width_m < _MOTORCYCLE_WIDTH_M, _MOTORCYCLE, heavy)


def _accelerations(recording: Recording) -> Float[np.ndarray, " rows"]:
    """Change of speed to the next frame; a track's last row repeats the one before it."""
    change = np.diff(recording.speed_mps.astype(float), append=0.0) / recording.dt_s
    last = recording.vehicle_pointer[1:] - 1
    alone = np.diff(recording.vehicle_pointer) == 1
    change[last] = np.where(alone, 0.0, change[np.maximum(last - 1, 0)])
    return change


def _neighbours(
    frame: Int[np.ndarray, " rows"],
    lane: Int[np.ndarray, " rows"],
    front_m: Float[np.ndarray, " rows"],
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Row ahead, row behind (-1: nobody) and the distance from front to front, lane by lane."""
    order = np.lexsort((front_m, lane, frame))
    same = (np.diff(frame[order]) == 0) & (np.diff(lane[order]) == 0)
    preceding, following = np.full(len(frame), -1), np.full(len(frame), -1)
    behind, ahead = order[:-1][same], order[1:][same]
    preceding[behind], following[ahead] = ahead, behind
    return preceding, following, front_m[preceding] - front_m
