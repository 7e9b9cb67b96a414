"""The lateral path of a lane change: a quintic polynomial of the fraction of its duration.

Speed and acceleration across the lane are zero at both ends (the minimum-jerk profile).  In the
traffic generator ``data.traffic.fleet`` advances that fraction, in the simulator
``envs.traffic.fleet``.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)

STEEPEST_SLOPE = 1.875
"""Largest value of ``quintic_slope``, in the middle."""


def quintic(progress: Float[Array, "..."]) -> Float[Array, "..."]:
    """Fraction of the lateral displacement, given the fraction of the duration."""
    return progress**3 * (10.0 - 15.0 * progress + 6.0 * progress**2)


def quintic_slope(progress: Float[Array, "..."]) -> Float[Array, "..."]:
    """First derivative of ``quintic`` with respect to the progress."""
    return 30.0 * progress**2 * (1.0 - progress) ** 2


def quintic_second_derivative(progress: Float[Array, "..."]) -> Float[Array, "..."]:
    """Second derivative of ``quintic`` with respect to the progress."""
    return 60.0 * progress * (1.0 - progress) * (1.0 - 2.0 * progress)
