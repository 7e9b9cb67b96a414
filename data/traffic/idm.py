"""The Intelligent Driver Model: how hard a driver accelerates behind a leader."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FREE_EXPONENT = 4.0
"""Exponent of the free-road term (Treiber, Hennecke and Helbing, 2000)."""

SMALLEST_GAP_M = 0.1
"""Gaps below this brake as hard as this one: the model divides by the gap."""


class IdmParameters(NamedTuple):
    """One driver's, or an array of drivers', car-following parameters; the order is the file's."""

    desired_speed_mps: np.ndarray
    time_headway_s: np.ndarray
    jam_gap_m: np.ndarray
    max_acceleration_mps2: np.ndarray
    comfortable_deceleration_mps2: np.ndarray


def idm_acceleration(
    parameters: IdmParameters,
    speed_mps: Float[np.ndarray, "*batch"],
    gap_m: Float[np.ndarray, "*batch"],
    leader_speed_mps: Float[np.ndarray, "*batch"],
) -> Float[np.ndarray, "*batch"]:
    """Acceleration in m/s² (Treiber, Hennecke and Helbing, 2000, equations 2 and 3).

    Too fast for a free road, a driver brakes no harder than he likes; the original formula would
    brake at any rate where the desired speed falls.

    Args:
        parameters: arrays that broadcast against the rest.
        speed_mps: own speed.
        gap_m: bumper to bumper, ``inf`` on a free road.
        leader_speed_mps: speed of the vehicle ahead; anything finite on a free road.
    """
    braking = 2.0 * np.sqrt(
        parameters.max_acceleration_mps2 * parameters.comfortable_deceleration_mps2
    )
    dynamic = speed_mps * (parameters.time_headway_s + (speed_mps - leader_speed_mps) / braking)
    wanted = parameters.jam_gap_m + np.maximum(dynamic, 0.0)
    interaction = wanted / np.maximum(gap_m, SMALLEST_GAP_M)
    strongest = parameters.max_acceleration_mps2
    free = strongest * (1.0 - (speed_mps / parameters.desired_speed_mps) ** FREE_EXPONENT)
    free = np.maximum(free, -parameters.comfortable_deceleration_mps2)
    return free - strongest * interaction**2
