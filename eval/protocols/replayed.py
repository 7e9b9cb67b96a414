"""Recordings as PPUU's simulator replays them: by clipped actions, so vehicles drift.

Every recorded vehicle, the ego included, follows the accelerations and curvatures of its track,
clipped to physical limits and integrated by Euler's method without correction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ppuu.recordings.recording import Recording
from ppuu.units import feet_to_metres

from .screen import PX_PER_M

_ACCELERATION_MPS2 = 40.0 / PX_PER_M
_CURVATURE_RADPM = 0.01 * PX_PER_M
_LONG_M = 25.0 / PX_PER_M
"""Longer vehicles turn less, by the square of their length."""
_ROLLING_MPS = feet_to_metres(5.0)
_STILL_M = 1e-6 / PX_PER_M


def curvature_limit_radpm(length_m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Largest curvature of vehicles by their length (freeways: 0.065 1/m up to 3.9 m)."""
    return _CURVATURE_RADPM * np.minimum((_LONG_M / length_m) ** 2, 1.0)


def as_replayed(recording: Recording) -> Recording:
    """The recording in which all vehicles integrate their clipped actions.

    A vehicle starts at its first row, in its direction of motion at the first frame with at least
    5 ft/s (along x if there is none).
    """
    counts = np.diff(recording.vehicle_pointer)
    # Longest tracks first: the vehicles that still drive at a step are a prefix.
    order = np.argsort(-counts, kind="stable")
    first, last = recording.vehicle_pointer[order], counts[order] - 1
    length = recording.length_m[order].astype(float)
    turn_limit = curvature_limit_radpm(length)
    track_speed, track_direction = _motion(recording)
    position = _rear(recording)[first]
    speed = track_speed[first]
    direction = _first_direction(recording, track_speed, track_direction)[order]
    rear = np.empty((recording.rows, 2))
    heading, speed_mps = np.empty(recording.rows), np.empty(recording.rows)
    for k in range(int(counts.max())):
        driving = int(np.searchsorted(-last, -k, side="right"))
        row = first[:driving] + k
        position, speed, direction = position[:driving], speed[:driving], direction[:driving]
        rear[row], speed_mps[row] = position, speed
        heading[row] = np.arctan2(direction[:, 1], direction[:, 0])
        following = np.minimum(row + 1, first[:driving] + last[:driving])
        position, speed, direction = _advance(
            position, speed, direction,
            track_speed[following], track_direction[following],
            turn_limit[:driving], recording.dt_s,
        )  # fmt: skip
    half = 0.5 * recording.length_m[recording.row_vehicle]
    return replace(
        recording,
        x_m=rear[:, 0] + half * np.cos(heading),
        y_m=rear[:, 1] + half * np.sin(heading),
        heading_rad=heading,
        speed_mps=speed_mps,
    )


def _advance(
    position: Float[np.ndarray, "n 2"],
    speed: Float[np.ndarray, " n"],
    direction: Float[np.ndarray, "n 2"],
    next_speed: Float[np.ndarray, " n"],
    next_direction: Float[np.ndarray, "n 2"],
    turn_limit: Float[np.ndarray, " n"],
    dt_s: float,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " n"], Float[np.ndarray, "n 2"]]:
    """One step of the action towards the recorded speed and direction at the next frame."""
    left = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    acceleration = ((next_speed - speed) / dt_s).clip(-_ACCELERATION_MPS2, _ACCELERATION_MPS2)
    distance = speed * dt_s
    turn = ((next_direction - direction) * left).sum(1) / (distance + _STILL_M)
    turn = turn.clip(-turn_limit, turn_limit)
    turned = direction + left * (turn * distance)[:, None]
    turned /= np.linalg.norm(turned, axis=1, keepdims=True).clip(1e-3)
    return position + distance[:, None] * direction, speed + acceleration * dt_s, turned


def _rear(recording: Recording) -> Float[np.ndarray, "rows 2"]:
    """Middle of the rear bumper, measured along the road and not along the heading, as in PPUU.

    The noise of recorded headings would move it sideways.
    """
    half = 0.5 * recording.length_m[recording.row_vehicle].astype(float)
    return np.stack([recording.x_m - half, recording.y_m], axis=1)


def _motion(
    recording: Recording,
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, "rows 2"]]:
    """Speed and direction from each row to the next; the last row repeats the one before."""
    moved = np.diff(_rear(recording), axis=0, append=np.zeros((1, 2)))
    distance = np.linalg.norm(moved, axis=1)
    row = np.arange(recording.rows)
    start = recording.vehicle_pointer[:-1][recording.row_vehicle]
    end = recording.vehicle_pointer[1:][recording.row_vehicle] - 1
    alone = start == end
    source = np.where(row == end, np.maximum(end - 1, start), row)
    speed = np.where(alone, recording.speed_mps, distance[source] / recording.dt_s)
    # A vehicle at rest keeps its last direction; at first that of its heading.
    valid = (distance[source] >= _STILL_M) & ~alone
    latest = np.maximum.accumulate(np.where(valid | (row == start), row, 0))
    heading = recording.heading_rad[latest].astype(float)
    given = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    unit = moved[source[latest]] / distance[source[latest]].clip(1e-12)[:, None]
    return speed, np.where(valid[latest][:, None], unit, given)


def _first_direction(
    recording: Recording,
    speed: Float[np.ndarray, " rows"],
    direction: Float[np.ndarray, "rows 2"],
) -> Float[np.ndarray, "vehicles 2"]:
    first, last = recording.vehicle_pointer[:-1], recording.vehicle_pointer[1:] - 1
    rolling = np.append(np.flatnonzero(speed >= _ROLLING_MPS), recording.rows)
    row = rolling[np.searchsorted(rolling, first)]
    taken = direction[np.minimum(row, last)]
    return np.where((row <= last)[:, None], taken, [1.0, 0.0])
