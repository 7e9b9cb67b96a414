"""Speed from the two components of the velocity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def speed(
    velocity_x: Float[np.ndarray, " n"], velocity_y: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Length of the vectors; infinite, so that the checks refuse it, where that overflows."""
    with np.errstate(over="ignore"):
        return np.hypot(velocity_x, velocity_y)
