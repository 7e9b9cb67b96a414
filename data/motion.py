"""Heading and speed from positions, for sources that record neither well."""

from __future__ import annotations

import numpy as np

HALF_WINDOW_S = 0.5
SLOWEST_MPS = 1.0
"""Below this the noise of the position decides the direction; the heading is held instead."""


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
