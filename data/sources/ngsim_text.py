"""Writes recordings as NGSIM's tables, so that tools for NGSIM can read them.

Format: text of 18 or 24 columns separated by blanks, no header, feet, as in the US-DOT's files of
the highways and the streets; or the open-data portal's CSV (``data.sources.ngsim_layouts``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ppuu.driving.lane_order import consecutive_rows
from ppuu.driving.lorries import LORRY_LENGTH_M
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write
from ppuu.units import metres_to_feet

from ..roads.frame import LocalFrame
from .ngsim_layouts import AXES, EAST, HIGHWAY, NORTH, PORTAL, SOUTH, STREET, STREET_ONLY, WEST
from .ngsim_sites import SITES, site_and_slot

_MOTORCYCLE, _CAR, _TRUCK = 1, 2, 3
_MOTORCYCLE_WIDTH_M = 1.2
_NO_VEHICLE = _NOWHERE = 0
_THROUGH = 1
_QUARTERS = np.array([NORTH, WEST, SOUTH, EAST])
"""Counter-clockwise from x."""
_LONGEST_HEADWAY_S = 9999.99
"""What NGSIM writes for the headway of a vehicle at rest."""
_FEET = "%.3f"
_WHOLE_NUMBERS = (
    *("Vehicle_ID", "Frame_ID", "Total_Frames", "Global_Time", "v_Class", "Lane_ID"),
    *("Preceding", "Following", *STREET_ONLY),
)


def write(recording: Recording, path: str | Path, street: bool = False) -> None:
    """Writes the 18 columns of a highway or the 24 of a street, in NGSIM's conventions, atomically.

    Local X grows to the right from the road's leftmost edge, Local Y is the middle of the front
    bumper, and vehicle and frame numbers start at 1.  A recording whose axes are NGSIM's already
    (as its provenance tells) keeps them.  Global X and Y are those of the file that the recording
    was read from; they repeat Local X and Y where it lies nowhere on earth.  Global Time starts at
    0 ms, or at the period's nominal start if the recording's name is that of a site and period,
    such as ``us101-0750``.  The front bumper stands half a length ahead of the centre along the
    heading.

    Args:
        recording: its road's lane 0 is the leftmost, as NGSIM's lane 1; off the road lane is 0.
            Lanes of each direction are numbered on their own.
        path: of the text file.
        street: write also origin, destination, intersection and section (0: none), direction and
            movement (1: through).
    """
    names = STREET if street else HIGHWAY
    columns = _columns(recording)
    with atomic_write(path) as temporary:
        np.savetxt(
            temporary, np.stack([columns[name] for name in names], 1), fmt=_format(names, " ")
        )


def write_portal(recordings: Sequence[Recording], path: str | Path) -> None:
    """Writes several recordings as one CSV like the open-data portal's, atomically.

    Args:
        recordings: each named after its site and period, e.g. ``us101-0750``; a street's own
            columns stay empty at the highways.
        path: of the CSV.

    Raises:
        InputError: a recording has another name.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(",".join(PORTAL) + "\n")
        for recording in recordings:
            found = site_and_slot(recording.name)
            if found is None:
                raise InputError(
                    f"recording '{recording.name}': the portal's CSV identifies recordings by "
                    f"site and local time; rename it like us101-0750; sites: {', '.join(SITES)}"
                )
            site, _ = found
            names = STREET if site.street else HIGHWAY
            columns = _columns(recording)
            line = _format(names, ",")
            if not site.street:
                after = HIGHWAY[HIGHWAY.index("Lane_ID") + 1]
                at = _format(HIGHWAY[: HIGHWAY.index(after)], ",")
                line = at + "," * len(STREET_ONLY) + line.removeprefix(at)
            rows = np.stack([columns[name] for name in names], 1)
            np.savetxt(file, rows, fmt=f"{line},{site.location}")


def _format(names: Sequence[str], delimiter: str) -> str:
    return delimiter.join("%d" if name in _WHOLE_NUMBERS else _FEET for name in names)


def _columns(recording: Recording) -> dict[str, Float[np.ndarray, " rows"]]:
    """All of ``STREET``'s columns by name."""
    rows = recording.row_vehicle
    half_length = 0.5 * recording.length_m[rows]
    start_m, left_edge_m = _zero_m(recording)
    local_x = left_edge_m - recording.y_m - half_length * np.sin(recording.heading_rad)
    local_y = recording.x_m + half_length * np.cos(recording.heading_rad) - start_m
    global_m, frame = np.stack([local_x, local_y], axis=1), _frame(recording)
    if frame is not None and recording.provenance.get("axes") != AXES:
        global_m = frame.to_source(np.stack([local_y, left_edge_m - local_x], axis=1))
    direction = _directions(recording)
    lane = _lane_numbers(recording)
    course = [direction == way for way in (NORTH, SOUTH, EAST, WEST)]
    along_m = np.select(course, [local_y, -local_y, local_x, -local_x])
    preceding, following, spacing = _neighbours(recording.frame, lane, direction, along_m)
    numbers = _numbers(recording)[rows]
    spacing_m = np.where(preceding >= 0, spacing, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        headway = np.where(
            recording.speed_mps > 0, spacing_m / recording.speed_mps, _LONGEST_HEADWAY_S
        )
    headway = np.where(preceding >= 0, np.minimum(headway, _LONGEST_HEADWAY_S), 0.0)
    nowhere = np.full(recording.rows, _NOWHERE)
    return {
        "Vehicle_ID": numbers,
        "Frame_ID": recording.frame + 1,
        "Total_Frames": np.diff(recording.vehicle_pointer)[rows],
        "Global_Time": _start_ms(recording) + np.round(recording.frame * recording.dt_s * 1000),
        "Local_X": metres_to_feet(local_x),
        "Local_Y": metres_to_feet(local_y),
        "Global_X": metres_to_feet(global_m[:, 0]),
        "Global_Y": metres_to_feet(global_m[:, 1]),
        "v_length": metres_to_feet(recording.length_m[rows]),
        "v_Width": metres_to_feet(recording.width_m[rows]),
        "v_Class": _vehicle_class(recording)[rows],
        "v_Vel": metres_to_feet(recording.speed_mps),
        "v_Acc": metres_to_feet(_accelerations(recording)),
        "Lane_ID": lane,
        "O_Zone": nowhere,
        "D_Zone": nowhere,
        "Int_ID": nowhere,
        "Section_ID": nowhere,
        "Direction": direction,
        "Movement": np.full(recording.rows, _THROUGH),
        "Preceding": np.where(preceding >= 0, numbers[preceding], _NO_VEHICLE),
        "Following": np.where(following >= 0, numbers[following], _NO_VEHICLE),
        "Space_Headway": metres_to_feet(spacing_m),
        "Time_Headway": headway,
    }


def _start_ms(recording: Recording) -> int:
    """Global Time of frame 0."""
    found = site_and_slot(recording.name)
    return 0 if found is None else found[0].start_ms(found[1])


def _zero_m(recording: Recording) -> tuple[float, float]:
    """x of Local Y = 0, and y of Local X = 0."""
    if recording.provenance.get("axes") == AXES:
        frame = _frame(recording)
        return (0.0, 0.0) if frame is None else (-frame.origin_x_m, -frame.origin_y_m)
    return 0.0, float(recording.road.left_m[:, 1].max()) if recording.road.lanes else 0.0


def _frame(recording: Recording) -> LocalFrame | None:
    """The axes relative to those of the file that the recording was read from, if it was."""
    found = recording.provenance.get("frame")
    return None if found is None else LocalFrame(**found)


def _quarter(heading_rad: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Direction of travel to the nearest right angle."""
    return _QUARTERS[np.rint(heading_rad / (0.5 * np.pi)).astype(int) % 4]


def _directions(recording: Recording) -> Int[np.ndarray, " rows"]:
    """Of each vehicle, where it goes on the whole."""
    first, last = recording.vehicle_pointer[:-1], recording.vehicle_pointer[1:] - 1
    moved_x, moved_y = (values[last] - values[first] for values in (recording.x_m, recording.y_m))
    still = np.hypot(moved_x, moved_y) < recording.length_m
    course = np.where(still, recording.heading_rad[first], np.arctan2(moved_y, moved_x))
    return _quarter(course)[recording.row_vehicle]


def _lane_numbers(recording: Recording) -> Int[np.ndarray, " rows"]:
    """Under each row, counted from 1 among the lanes of one direction; 0 off the road."""
    road = recording.road
    ends = np.array([road.left_m[road.lane_pointer[k + 1] - 1] for k in range(road.lanes)])
    starts = np.array([road.left_m[road.lane_pointer[k]] for k in range(road.lanes)])
    course = _quarter(np.arctan2(*(ends - starts).reshape(-1, 2).T[::-1]))
    number = [int((course[: k + 1] == course[k]).sum()) for k in range(road.lanes)]
    lane = road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
    return np.array([*number, 0])[lane]


def _numbers(recording: Recording) -> Int[np.ndarray, " vehicles"]:
    """The source's own numbers, where NGSIM allows them: positive; else counted from 1."""
    positive = recording.vehicle_id.min() > _NO_VEHICLE
    return recording.vehicle_id if positive else np.arange(recording.vehicles) + 1


def _vehicle_class(recording: Recording) -> Int[np.ndarray, " vehicles"]:
    """Class by size: a recording does not hold it."""
    heavy = np.where(recording.length_m > LORRY_LENGTH_M, _TRUCK, _CAR)
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
    direction: Int[np.ndarray, " rows"],
    along_m: Float[np.ndarray, " rows"],
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Row ahead, row behind (-1: none) and the distance from front to front, lane by lane."""
    preceding, following = np.full(len(frame), -1), np.full(len(frame), -1)
    behind, ahead = consecutive_rows(along_m, lane, direction, frame)
    preceding[behind], following[ahead] = ahead, behind
    return preceding, following, along_m[preceding] - along_m
