"""The Intelligent Driver Model: acceleration of a vehicle behind its leader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)

FREE_EXPONENT = 4.0
"""Exponent of the free-road term (Treiber, Hennecke and Helbing, 2000)."""

SMALLEST_GAP_M = 0.1
"""Gaps below this cause the same braking as this one: the model divides by the gap."""


class IdmParameters(NamedTuple):
    """Car-following parameters of one driver or, as arrays, of several.

    The order is that of the columns of ``data/drivers_i80.csv``.

    Attributes:
        desired_speed_mps: on a free road.
        time_headway_s: time gap in steady following.
        jam_gap_m: gap at standstill.
        max_acceleration_mps2: from standstill on a free road.
        comfortable_deceleration_mps2: positive.
    """

    desired_speed_mps: Any
    time_headway_s: Any
    jam_gap_m: Any
    max_acceleration_mps2: Any
    comfortable_deceleration_mps2: Any


def idm_acceleration(
    parameters: IdmParameters,
    speed_mps: Float[Array, "..."],
    gap_m: Float[Array, "..."],
    leader_speed_mps: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Acceleration in m/s², with the braking on a free road limited.

    Treiber, Hennecke and Helbing (2000), equations 2 and 3, with one difference: above the desired
    speed a driver without a leader brakes no harder than is comfortable.  The published formula
    brakes at any rate where the desired speed falls, for instance before a speed limit.

    Args:
        parameters: floats, or arrays that broadcast against the rest.
        speed_mps: own speed.
        gap_m: bumper to bumper, ``inf`` on a free road.
        leader_speed_mps: speed of the vehicle ahead; any finite value on a free road.
    """
    desired_mps, headway_s, jam_gap_m, largest, comfortable = parameters
    free = largest * (1.0 - (speed_mps / desired_mps) ** FREE_EXPONENT)
    interaction = _interaction(parameters, speed_mps, gap_m, leader_speed_mps)
    return free.clip(-comfortable) - largest * interaction**2


def _interaction(
    parameters: IdmParameters,
    speed_mps: Float[Array, "..."],
    gap_m: Float[Array, "..."],
    leader_speed_mps: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Desired over actual gap."""
    _, headway_s, jam_gap_m, largest, comfortable = parameters
    scale = 2.0 * (largest * comfortable) ** 0.5
    dynamic_m = (speed_mps * (headway_s + (speed_mps - leader_speed_mps) / scale)).clip(0.0)
    return (jam_gap_m + dynamic_m) / gap_m.clip(SMALLEST_GAP_M)


def anticipating_idm_acceleration(
    parameters: IdmParameters,
    speed_mps: Float[np.ndarray, "..."],
    gaps_m: Sequence[Float[np.ndarray, "..."]],
    leader_speeds_mps: Sequence[Float[np.ndarray, "..."]],
) -> Float[np.ndarray, "..."]:
    """Acceleration in m/s² of a driver that looks at several vehicles ahead.

    The Human Driver Model (Treiber, Kesting and Helbing, 2006, "Delays, inaccuracies and
    anticipation in microscopic traffic models", section 3.3): the interactions with all of them add
    up, and headway and jam gap shrink so that following in a uniform column stays the same.

    Args:
        parameters: as for ``idm_acceleration``.
        speed_mps: own speed.
        gaps_m: to the vehicle ahead, to the one ahead of that, and so on, without the lengths of
            the vehicles between; ``inf`` where there is none.
        leader_speeds_mps: their speeds.
    """
    shrunk = sum(1.0 / place**2 for place in range(1, len(gaps_m) + 1)) ** -0.5
    parameters = parameters._replace(
        time_headway_s=shrunk * parameters.time_headway_s, jam_gap_m=shrunk * parameters.jam_gap_m
    )
    acceleration = idm_acceleration(parameters, speed_mps, gaps_m[0], leader_speeds_mps[0])
    for gap_m, leader_speed_mps in zip(gaps_m[1:], leader_speeds_mps[1:], strict=True):
        interaction = _interaction(parameters, speed_mps, gap_m, leader_speed_mps)
        acceleration = acceleration - parameters.max_acceleration_mps2 * interaction**2
    return acceleration


def unlimited_idm_acceleration(
    parameters: IdmParameters,
    speed_mps: Float[Array, "..."],
    gap_m: Float[Array, "..."],
    leader_speed_mps: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Acceleration in m/s², exactly as published: braking on a free road has no limit.

    Treiber, Hennecke and Helbing (2000), equations 2 and 3.  It is the model of the policy ``idm``
    and of the predictor ``idm``.  Terms are added in the published order, which rounds differently
    from ``idm_acceleration``; results in tables and generated recordings rest on both.

    Args:
        parameters: as for ``idm_acceleration``.
        speed_mps: own speed.
        gap_m: bumper to bumper, ``inf`` on a free road.
        leader_speed_mps: speed of the vehicle ahead; any finite value on a free road.
    """
    desired_mps, headway_s, jam_gap_m, largest, comfortable = parameters
    scale = 2.0 * (largest * comfortable) ** 0.5
    closing_mps = speed_mps - leader_speed_mps
    dynamic_m = (speed_mps * headway_s + speed_mps * closing_mps / scale).clip(0.0)
    interaction = (jam_gap_m + dynamic_m) / gap_m.clip(SMALLEST_GAP_M)
    free = (speed_mps / desired_mps) ** FREE_EXPONENT
    return largest * (1.0 - free - interaction**2)
