"""Heading and speed from positions, for sources that record neither well."""

from __future__ import annotations

import math

import numpy as np

HALF_WINDOW_S = 0.5
SLOWEST_MPS = 1.0
"""Below this the noise of the position decides the direction; the heading is held instead."""

TOWED_HALF_WINDOW_S = 0.2
"""Short, as being towed already averages over half a vehicle length."""


def slope(values: np.ndarray, half_window: int) -> np.ndarray:
    """Change per frame: the slope of a straight line fitted to the surrounding frames.

    The ends are continued by point reflection, which leaves a straight line straight.

    Args:
        values: ``(frames,)``.
        half_window: frames on either side.

    Returns:
        ``(frames,)``.
    """
    half_window = min(half_window, len(values) - 1)
    if half_window < 1:
        return np.zeros(len(values))
    before = 2 * values[0] - values[half_window:0:-1]
    after = 2 * values[-1] - values[-2 : -half_window - 2 : -1]
    weights = np.arange(half_window, -half_window - 1, -1.0)
    padded = np.concatenate([before, values, after])
    return np.convolve(padded, weights, mode="valid") / (weights**2).sum()


def motion(x_m: np.ndarray, y_m: np.ndarray, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Heading and speed of one track.

    Where the vehicle is slow, the heading stays what it was when last known (before the first
    time: what it will be); a vehicle that never moves points along x.

    Args:
        x_m, y_m: ``(frames,)`` positions at consecutive frames.
        dt_s: seconds between them.

    Returns:
        heading_rad and speed_mps, each ``(frames,)``.
    """
    half_window = max(1, round(HALF_WINDOW_S / dt_s))
    velocity_x, velocity_y = (slope(values, half_window) / dt_s for values in (x_m, y_m))
    speed_mps = np.hypot(velocity_x, velocity_y)
    known = np.flatnonzero(speed_mps >= SLOWEST_MPS)
    if not len(known):
        return np.zeros(len(x_m)), speed_mps
    latest = np.searchsorted(known, np.arange(len(x_m)), side="right") - 1
    heading_rad = np.arctan2(velocity_y, velocity_x)[known[np.maximum(latest, 0)]]
    return heading_rad, speed_mps


def towed_heading(
    front_x_m: np.ndarray, front_y_m: np.ndarray, reach_m: float, dt_s: float
) -> np.ndarray:
    """Heading of a vehicle whose centre follows the middle of its front bumper.

    The front swings out when the vehicle turns, so the direction in which it moves is not the
    heading.  What holds is that the centre moves along the heading: it is towed by the front at a
    fixed distance (a tractrix), ``d heading / d time = front velocity across the heading / reach``.
    A first error decays over one reach, and at standstill nothing turns.

    Args:
        front_x_m, front_y_m: ``(frames,)``.
        reach_m: from the centre to the front.
        dt_s: seconds between frames.

    Returns:
        ``(frames,)``.
    """
    half_window = max(1, round(TOWED_HALF_WINDOW_S / dt_s))
    step_x, step_y = (slope(values, half_window) for values in (front_x_m, front_y_m))
    # From one frame to the next: the mean of both.
    step_x, step_y = (0.5 * (step[1:] + step[:-1]) for step in (step_x, step_y))
    heading = float(motion(front_x_m, front_y_m, dt_s)[0][0])
    headings = [heading]
    distances, directions = np.hypot(step_x, step_y), np.arctan2(step_y, step_x)
    for distance, direction in zip(distances.tolist(), directions.tolist(), strict=True):
        # The exact tractrix of a front that moves straight during the step.
        across = math.remainder(heading - direction, math.tau)
        across = 2 * math.atan(math.tan(0.5 * across) * math.exp(-distance / reach_m))
        heading = math.remainder(direction + across, math.tau)
        headings.append(heading)
    return np.array(headings)
