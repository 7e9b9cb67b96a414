"""Heading and speed from positions, for sources that record neither well.

All tracks of a recording lie one after the other in flat arrays: track ``k`` owns the rows
``pointer[k]:pointer[k + 1]``, at consecutive frames.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

HALF_WINDOW_S = 0.5
SLOWEST_MPS = 1.0
"""Below this the noise of the position decides the direction; the heading is held instead."""

TOWED_HALF_WINDOW_S = 0.2
"""Short, as being towed already averages over half a vehicle length."""


def slope(
    values: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"], half_window: int
) -> Float[np.ndarray, " rows"]:
    """Change per frame: the slope of a straight line fitted to the surrounding frames.

    The ends of a track are continued by point reflection, which leaves a straight line straight; a
    track that is too short for that gets a shorter window.

    Args:
        values: of all tracks.
        pointer: where each track starts, and the number of rows.
        half_window: frames on either side.
    """
    starts, counts = pointer[:-1], np.diff(pointer)
    found = np.zeros(len(values))
    for reach in np.unique(np.minimum(half_window, counts - 1)):
        if reach < 1:
            continue
        own = np.minimum(half_window, counts - 1) == reach
        rows, padded = _padded(values, starts[own], counts[own], int(reach))
        weights = np.arange(reach, -reach - 1, -1.0)
        found[rows] = (
            np.convolve(padded, weights)[_places(counts[own], reach) + 2 * reach]
            / (weights**2).sum()
        )
    return found


def _places(counts: np.ndarray, reach: int) -> np.ndarray:
    """Where the window around each row starts, in tracks that are padded on both sides."""
    return np.arange(counts.sum()) + np.repeat(2 * reach * np.arange(len(counts)), counts)


def _padded(
    values: np.ndarray, starts: np.ndarray, counts: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the chosen tracks, and their values with ``reach`` reflected ones at each end."""
    rows = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    places = _places(counts, reach)
    padded = np.empty(len(rows) + 2 * reach * len(counts))
    padded[places + reach] = values[rows]
    first_place = (np.cumsum(counts) - counts) + 2 * reach * np.arange(len(counts)) + reach
    last_place, ends = first_place + counts - 1, starts + counts - 1
    for step in range(1, reach + 1):
        padded[first_place - step] = 2 * values[starts] - values[starts + step]
        padded[last_place + step] = 2 * values[ends] - values[ends - step]
    return rows, padded


def motion(
    x_m: Float[np.ndarray, " rows"],
    y_m: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Heading and speed of every track.

    Where the vehicle is slow, the heading stays what it was when last known (before the first
    time: what it will be); a vehicle that never moves points along x.

    Args:
        x_m, y_m: positions.
        pointer: where each track starts, and the number of rows.
        dt_s: seconds between frames.

    Returns:
        heading_rad and speed_mps.
    """
    half_window = max(1, round(HALF_WINDOW_S / dt_s))
    velocity_x, velocity_y = (slope(values, pointer, half_window) / dt_s for values in (x_m, y_m))
    speed_mps = np.hypot(velocity_x, velocity_y)
    heading_rad = held(np.arctan2(velocity_y, velocity_x), speed_mps >= SLOWEST_MPS, pointer)
    return heading_rad, speed_mps


def held(
    values: Float[np.ndarray, " rows"],
    known: np.ndarray,
    pointer: Int[np.ndarray, " tracks_1"],
) -> Float[np.ndarray, " rows"]:
    """Values where known, else the last known one of the track (before it: the first one; 0)."""
    rows = np.arange(len(values))
    starts = np.repeat(pointer[:-1], np.diff(pointer))
    ends = np.repeat(pointer[1:], np.diff(pointer))
    before = np.maximum.accumulate(np.where(known, rows, -1))
    after = np.minimum.accumulate(np.where(known, rows, len(rows))[::-1])[::-1]
    source = np.where(before >= starts, before, np.where(after < ends, after, -1))
    return np.where(source >= 0, values[source], 0.0)


def towed_heading(
    front_x_m: Float[np.ndarray, " rows"],
    front_y_m: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    reach_m: Float[np.ndarray, " tracks"],
    dt_s: float,
) -> Float[np.ndarray, " rows"]:
    """Heading of vehicles whose centre follows the middle of their front bumper.

    The front swings out when a vehicle turns, so the direction in which it moves is not the
    heading.  What holds is that the centre moves along the heading: it is towed by the front at a
    fixed distance (a tractrix), ``d heading / d time = front velocity across the heading / reach``.
    A first error decays over one reach, and at standstill nothing turns.

    Args:
        front_x_m, front_y_m: positions of the front.
        pointer: where each track starts, and the number of rows.
        reach_m: from the centre to the front, of each track.
        dt_s: seconds between frames.
    """
    half_window = max(1, round(TOWED_HALF_WINDOW_S / dt_s))
    step_x, step_y = (slope(values, pointer, half_window) for values in (front_x_m, front_y_m))
    # From one frame to the next: the mean of both.
    step_x, step_y = (0.5 * (step[1:] + step[:-1]) for step in (step_x, step_y))
    distance, direction = np.hypot(step_x, step_y), np.arctan2(step_y, step_x)
    heading = np.empty(len(front_x_m))
    heading[pointer[:-1]] = motion(front_x_m, front_y_m, pointer, dt_s)[0][pointer[:-1]]
    for rows, track in side_by_side(pointer):
        # The exact tractrix of a front that moves straight during the step.
        across = _remainder(heading[rows] - direction[rows])
        shrunk = np.tan(0.5 * across) * np.exp(-distance[rows] / reach_m[track])
        heading[rows + 1] = _remainder(direction[rows] + 2 * np.arctan(shrunk))
    return heading


def side_by_side(pointer: Int[np.ndarray, " tracks_1"]):
    """Steps all tracks at once: yields, frame after frame, the rows that have a next row.

    Yields:
        rows, and the track of each.
    """
    counts = np.diff(pointer)
    longest_first = np.argsort(-counts, kind="stable")
    starts, steps = pointer[:-1][longest_first], counts[longest_first] - 1
    for step in range(int(steps.max(initial=0))):
        going = np.searchsorted(-steps, -step, side="left")
        yield starts[:going] + step, longest_first[:going]


def _remainder(angle_rad: np.ndarray) -> np.ndarray:
    return angle_rad - math.tau * np.rint(angle_rad / math.tau)
