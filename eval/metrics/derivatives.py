"""Derivatives of sampled drives: raw differences at 10 Hz are mostly noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from data.clean.smoothing import savitzky_golay
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
    result = savitzky_golay(values, pointer, window, _DEGREE, order, dt_s)
    counts = np.diff(pointer)
    result[np.repeat(counts < window, counts)] = np.nan
    return result
