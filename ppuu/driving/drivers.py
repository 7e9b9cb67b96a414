"""Drivers with parameters of their own, drawn from those fitted to recorded followers."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .calibration import DRIVERS_CSV
from .idm import IdmParameters

COMFORTABLE_DECELERATION_MPS2 = 1.5
"""Of every driver: on held-out stretches, fits in which it is free predict no better."""

FREE_SPEED_MPS = 29.0
"""Mean desired speed on a free road; it cannot be observed in a queue."""
_FREE_SPEED_STD_MPS = 2.5
_LORRY_FREE_SPEED = 0.85
"""Desired speed of a lorry relative to that of a car."""

_JITTER = (0.1, 0.1, 0.15)
"""Standard deviation of the log noise on a drawn driver: few hundred were fitted, and fits are
pulled towards the mean driver, most of all the acceleration, which pairs determine least."""

_LIMITS = ((0.35, 3.0), (1.0, 5.0), (0.4, 3.5))
"""Limits of time headway, jam gap and acceleration: beyond them a fit explains a cut-in."""


class FittedDrivers(NamedTuple):
    """Time headway (s), jam gap (m) and largest acceleration (m/s²) of each fitted driver."""

    cars: Float[np.ndarray, "cars 3"]
    lorries: Float[np.ndarray, "lorries 3"]


@cache
def fitted_drivers() -> FittedDrivers:
    """The table of fitted drivers."""
    columns = ("time_headway_s", "jam_gap_m", "max_acceleration_mps2")
    table = np.genfromtxt(DRIVERS_CSV, delimiter=",", names=True, dtype=None, encoding="utf-8")
    values = np.stack([table[name] for name in columns], axis=1).astype(float)
    is_lorry = table["vehicle"] == "lorry"
    return FittedDrivers(values[~is_lorry], values[is_lorry])


def draw_drivers(
    random: np.random.Generator,
    is_lorry: Bool[np.ndarray, " n"],
    headway_scale: float = 1.0,
    jam_gap_scale: float = 1.0,
    acceleration_scale: float = 1.0,
    free_speed_scale: float = 1.0,
) -> IdmParameters:
    """Draws whole drivers of the table, so that correlations survive, with a little noise.

    Args:
        random: source of randomness.
        is_lorry: lorries are drawn from fitted lorries.
        headway_scale: factor on time headways.
        jam_gap_scale: factor on jam gaps.
        acceleration_scale: factor on largest accelerations.
        free_speed_scale: factor on desired speeds.

    Returns:
        Arrays ``(n,)``.
    """
    fitted, count = fitted_drivers(), len(is_lorry)
    place, noise = random.random(count), random.standard_normal((count, 3))
    rows = np.where(
        is_lorry[:, None], *(some[(place * len(some)).astype(int)] for some in fitted[::-1])
    )
    rows = rows * np.exp(_JITTER * noise)
    rows *= headway_scale, jam_gap_scale, acceleration_scale
    headway, jam_gap, acceleration = np.clip(rows, *np.array(_LIMITS).T).T
    free = random.normal(FREE_SPEED_MPS, _FREE_SPEED_STD_MPS, count) * free_speed_scale
    return IdmParameters(
        desired_speed_mps=free * np.where(is_lorry, _LORRY_FREE_SPEED, 1.0),
        time_headway_s=headway,
        jam_gap_m=jam_gap,
        max_acceleration_mps2=acceleration,
        comfortable_deceleration_mps2=np.full(count, COMFORTABLE_DECELERATION_MPS2),
    )
