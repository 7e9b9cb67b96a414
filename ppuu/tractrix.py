"""How a vehicle turns that is towed by the middle of its front bumper."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float


def towed(
    heading_rad: Float[np.ndarray, " n"],
    distance_m: Float[np.ndarray, " n"],
    direction_rad: Float[np.ndarray, " n"],
    reach_m: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Headings after the fronts have moved straight; the centres follow (a tractrix).

    The centre moves along the heading, at a fixed distance behind the front: ``d heading / d
    distance = sin(direction - heading) / reach``, solved exactly.

    Args:
        heading_rad: before.
        distance_m: covered by the front.
        direction_rad: of the front's motion.
        reach_m: from the centre to the front.
    """
    across = _remainder(heading_rad - direction_rad)
    shrunk = np.tan(0.5 * across) * np.exp(-distance_m / reach_m)
    return _remainder(direction_rad + 2 * np.arctan(shrunk))


def _remainder(angle_rad: np.ndarray) -> np.ndarray:
    return angle_rad - math.tau * np.rint(angle_rad / math.tau)
