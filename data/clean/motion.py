"""Heading and speed from positions.

All tracks of a recording are concatenated in flat arrays: track ``k`` owns the rows
``pointer[k]:pointer[k + 1]``, at consecutive frames.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from ppuu.tractrix import towed

HALF_WINDOW_S = 0.5
SLOWEST_MPS = 1.0
"""Below this speed the direction is dominated by noise, and the heading is held."""

TOWED_HALF_WINDOW_S = 0.2
"""Short, since the tractrix already averages over half a vehicle length."""


def slope(
    values: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"], half_window: int
) -> Float[np.ndarray, " rows"]:
    """Change per frame: the slope of a linear fit to the surrounding frames.

    Tracks are extended at both ends by point reflection, which preserves straight lines; short
    tracks use a shorter window.

    Args:
        values: of all tracks.
        pointer: first row of each track, and the number of rows.
        half_window: frames on either side.
    """
    starts, counts = pointer[:-1], np.diff(pointer)
    slopes = np.zeros(len(values))
    for reach in np.unique(np.minimum(half_window, counts - 1)):
        if reach < 1:
            continue
        own = np.minimum(half_window, counts - 1) == reach
        rows, padded = _padded(values, starts[own], counts[own], int(reach))
        weights = np.arange(reach, -reach - 1, -1.0)
        slopes[rows] = (
            np.convolve(padded, weights)[_window_starts(counts[own], reach) + 2 * reach]
            / (weights**2).sum()
        )
    return slopes


def _window_starts(counts: np.ndarray, reach: int) -> np.ndarray:
    """First index of the window around each row, in tracks padded on both sides."""
    return np.arange(counts.sum()) + np.repeat(2 * reach * np.arange(len(counts)), counts)


def _padded(
    values: np.ndarray, starts: np.ndarray, counts: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the selected tracks, and their values with ``reach`` reflected values at each end."""
    rows = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    positions = _window_starts(counts, reach)
    padded = np.empty(len(rows) + 2 * reach * len(counts))
    padded[positions + reach] = values[rows]
    first_position = (np.cumsum(counts) - counts) + 2 * reach * np.arange(len(counts)) + reach
    last_position, ends = first_position + counts - 1, starts + counts - 1
    for step in range(1, reach + 1):
        padded[first_position - step] = 2 * values[starts] - values[starts + step]
        padded[last_position + step] = 2 * values[ends] - values[ends - step]
    return rows, padded


def motion(
    x_m: Float[np.ndarray, " rows"],
    y_m: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Heading and speed of every track.

    At low speed the last known heading is held (before the first one: the next one); a vehicle that
    never moves has heading 0.

    Args:
        x_m, y_m: positions.
        pointer: first row of each track, and the number of rows.
        dt_s: seconds between frames.

    Returns:
        heading_rad and speed_mps.
    """
    half_window = max(1, round(HALF_WINDOW_S / dt_s))
    velocity_x, velocity_y = (slope(values, pointer, half_window) / dt_s for values in (x_m, y_m))
    speed_mps = np.hypot(velocity_x, velocity_y)
    heading_rad = hold_last(np.arctan2(velocity_y, velocity_x), speed_mps >= SLOWEST_MPS, pointer)
    return heading_rad, speed_mps


def speed_of(
    x_m: Float[np.ndarray, " rows"],
    y_m: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
) -> Float[np.ndarray, " rows"]:
    """Speed of smooth positions: central differences.

    Args:
        x_m, y_m: positions.
        pointer: first row of each track, and the number of rows.
        dt_s: seconds between frames.
    """
    return np.hypot(*(slope(values, pointer, 1) / dt_s for values in (x_m, y_m)))


def hold_last(
    values: Float[np.ndarray, " rows"],
    known: np.ndarray,
    pointer: Int[np.ndarray, " tracks_1"],
) -> Float[np.ndarray, " rows"]:
    """Replaces unknown values by the last known one of the track, or else the next, or 0."""
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
    direction_rad: Float[np.ndarray, " rows"] | None = None,
) -> Float[np.ndarray, " rows"]:
    """Heading of vehicles whose centre follows the middle of their front bumper.

    The direction of motion of the front differs from the heading in curves.  The centre follows
    it as ``ppuu.tractrix`` has it.  An initial error decays over one ``reach``.

    Args:
        front_x_m, front_y_m: positions of the front.
        pointer: first row of each track, and the number of rows.
        reach_m: from the centre to the front, of each track.
        dt_s: seconds between frames.
        direction_rad: of the front's motion, which begins along the heading; by default as
            ``motion`` finds it.
    """
    half_window = max(1, round(TOWED_HALF_WINDOW_S / dt_s))
    step_x, step_y = (slope(values, pointer, half_window) for values in (front_x_m, front_y_m))
    # From one frame to the next: the mean of both.
    step_x, step_y = (0.5 * (step[1:] + step[:-1]) for step in (step_x, step_y))
    distance, direction = np.hypot(step_x, step_y), np.arctan2(step_y, step_x)
    heading = np.empty(len(front_x_m))
    if direction_rad is None:
        direction_rad, _ = motion(front_x_m, front_y_m, pointer, dt_s)
    heading[pointer[:-1]] = direction_rad[pointer[:-1]]
    for rows, track in steps_of_all_tracks(pointer):
        heading[rows + 1] = towed(heading[rows], distance[rows], direction[rows], reach_m[track])
    return heading


def steps_of_all_tracks(pointer: Int[np.ndarray, " tracks_1"]):
    """Iterates over the frames of all tracks in parallel.

    Yields:
        The rows that have a next row, and the track of each.
    """
    counts = np.diff(pointer)
    longest_first = np.argsort(-counts, kind="stable")
    starts, steps = pointer[:-1][longest_first], counts[longest_first] - 1
    for step in range(int(steps.max(initial=0))):
        active = np.searchsorted(-steps, -step, side="left")
        yield starts[:active] + step, longest_first[:active]
