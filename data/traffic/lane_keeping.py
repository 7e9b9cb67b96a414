"""Where a vehicle is in its lane: an offset of its own, and waves about it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ppuu.driving.calibration import calibration

_WAVES = 3
_MARGIN_M = 0.1
"""Between a vehicle that keeps its lane and the line."""


def draw_waves(
    random: np.random.Generator, wander_m: float, count: int
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Amplitudes (m), rates (rad/s) and phases of vehicles' waves.

    Args:
        random: source of randomness.
        wander_m: root mean square.
        count: number of vehicles.
    """
    keeping, shape = calibration().lane_keeping, (count, _WAVES)
    shortest, longest = np.log([keeping.shortest_period_s, keeping.longest_period_s])
    rate = 2 * np.pi / np.exp(random.uniform(shortest, longest, shape))
    amplitude = np.full(shape, wander_m * np.sqrt(2 / _WAVES))
    return amplitude, rate, random.uniform(0, 2 * np.pi, shape)


def draw_offsets(random: np.random.Generator, count: int) -> Float[np.ndarray, " n"]:
    """Mean distances (m) of vehicles from their lane's centre."""
    return random.normal(0.0, calibration().lane_keeping.offset_m, count)


def in_lane(
    drift_m: Float[np.ndarray, " n"], width_m: Float[np.ndarray, " n"], lane_width_m: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """A drift that never leaves the lane, and its derivative with respect to the drift.

    Nearly the drift itself near the centre, and never nearer to a line than a margin allows.
    """
    room = np.maximum(0.5 * (lane_width_m - width_m) - _MARGIN_M, 0.05)
    bounded = np.tanh(drift_m / room)
    return room * bounded, 1.0 - bounded**2
