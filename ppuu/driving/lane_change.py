"""The lateral motion of a lane change: a quintic polynomial of the progress, from 0 to 1.

Speed and acceleration across the lane are zero at both ends (the minimum-jerk profile).
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
    """Fraction of the lateral displacement."""
    return progress**3 * (10.0 - 15.0 * progress + 6.0 * progress**2)


def quintic_slope(progress: Float[Array, "..."]) -> Float[Array, "..."]:
    """First derivative."""
    return 30.0 * progress**2 * (1.0 - progress) ** 2


def quintic_curvature(progress: Float[Array, "..."]) -> Float[Array, "..."]:
    """Second derivative."""
    return 60.0 * progress * (1.0 - progress) * (1.0 - 2.0 * progress)
