"""Derivatives of sampled drives: raw differences at 10 Hz are mostly noise."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from ppuu.units import seconds_to_frames

WINDOW_S = 1.5
"""Parabolas are fitted to so much of a drive."""

_DEGREE = 2


def window_frames(dt_s: float) -> int:
    """The odd number of frames nearest to ``WINDOW_S``, at least three."""
    return max(3, 2 * (seconds_to_frames(WINDOW_S, dt_s) // 2) + 1)


def derivative(
    values: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " episodes_1"],
    dt_s: float,
    order: int,
) -> Float[np.ndarray, " rows"]:
    """Derivative of a parabola fitted around each frame (Savitzky and Golay, 1964).

    The first and last frames take the derivative of the outermost window's parabola.

    Args:
        values: of all episodes, one after the other.
        pointer: where each episode starts, and the number of rows.
        dt_s: seconds between rows.
        order: 0 (smoothing), 1 or 2.

    Returns:
        In units per second to the ``order``; NaN in episodes that are shorter than the window.
    """
    window = window_frames(dt_s)
    half = window // 2
    offsets = np.arange(-half, half + 1.0)
    fit = np.linalg.pinv(np.vander(offsets, _DEGREE + 1, increasing=True))
    powers = np.arange(order, _DEGREE + 1)
    factors = np.array([math.perm(int(power), order) for power in powers])
    at = offsets[:, None] ** (powers - order) * factors
    weights = at @ fit[order:] / dt_s**order
    counts = np.diff(pointer)
    first = np.repeat(pointer[:-1], counts)
    last = np.repeat(pointer[1:], counts) - 1
    rows = np.arange(len(values))
    long_enough = np.repeat(counts >= window, counts)
    rows, first, last = rows[long_enough], first[long_enough], last[long_enough]
    centre = np.clip(rows, first + half, last - half)
    around = np.asarray(values, float)[centre[:, None] + np.arange(-half, half + 1)]
    result = np.full(len(values), np.nan)
    # Relative to the centre, so that large values cost no digits.
    base = around[:, half] if order == 0 else 0.0
    shifted = around - around[:, half : half + 1]
    result[rows] = (shifted * weights[rows - centre + half]).sum(1) + base
    return result
