"""Drivers and vehicles: car-following parameters fitted to I-80, and vehicle sizes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ppuu.driving.idm import IdmParameters

from .presets import TrafficPreset

DRIVERS_CSV = Path(__file__).parents[1] / "drivers_i80.csv"
"""Written by ``data.fit_drivers``."""

_WORST_GAP_RMSE_M = 5.0
"""A worse fit shows that the pair did not follow (a cut-in, a change of leader)."""

_LIMITS = IdmParameters((22.0, 36.0), (0.35, 2.2), (1.2, 3.5), (0.7, 2.2), (1.2, 3.0))
"""Limits of what is drawn: a queue determines little, so that many fits lie at their bounds."""

MEAN_DESIRED_SPEED_MPS, _DESIRED_SPEED_STD_MPS = 29.0, 2.5
"""On a free road; not taken from the fits, as it cannot be observed in a queue."""

_JITTER = 0.1
"""Standard deviation of the log noise on a drawn driver: 130 drivers are few for 600 vehicles."""


@cache
def fitted_drivers() -> Float[np.ndarray, "drivers 5"]:
    """Usable rows of the table, columns as in ``IdmParameters``."""
    table = np.genfromtxt(DRIVERS_CSV, delimiter=",", names=True, usecols=range(1, 9))
    usable = (table["gap_rmse_m"] < _WORST_GAP_RMSE_M) & (table["gap_min_m"] > 0.0)
    return np.stack([table[key][usable] for key in IdmParameters._fields], axis=1)


def draw_drivers(
    random: np.random.Generator, preset: TrafficPreset, is_truck: np.ndarray
) -> IdmParameters:
    """Draws whole rows of the table, so that correlations survive, with a little noise.

    Args:
        random: source of randomness.
        preset: scales the time headway and the desired speed.
        is_truck: ``(n,)``; trucks are slower and start more gently.
    """
    fitted = fitted_drivers()
    rows = fitted[random.integers(len(fitted), size=len(is_truck))]
    rows = rows * np.exp(_JITTER * random.standard_normal(rows.shape))
    rows[:, 0] = random.normal(MEAN_DESIRED_SPEED_MPS, _DESIRED_SPEED_STD_MPS, size=len(rows))
    rows[:, 1] *= preset.headway_scale
    rows = np.clip(rows, *np.array(_LIMITS).T)
    rows[:, 0] *= preset.desired_speed_scale
    rows[is_truck] *= (0.85, 1.15, 1.3, 0.6, 0.9)
    return IdmParameters(*rows.T)


def draw_sizes(
    random: np.random.Generator, is_truck: np.ndarray
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Lengths and widths in metres; cars as at I-80 (median 4.5 m by 1.9 m), trucks 8 to 16 m."""
    count = len(is_truck)
    length = np.clip(random.normal(4.6, 0.45, count), 3.6, 6.0)
    width = np.clip(random.normal(1.92, 0.14, count), 1.6, 2.25)
    length[is_truck] = random.uniform(8.0, 16.0, count)[is_truck]
    width[is_truck] = random.uniform(2.3, 2.55, count)[is_truck]
    return length, width
