"""How far a drive got, beside the human's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .drives import Drives

_SHORTEST_M = 1.0
"""Beside a human who stood still there is no progress to measure."""


def progress(
    drives: Drives, whole_m: Float[np.ndarray, " episodes"]
) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Distances as shares of the human's.

    Args:
        drives: any.
        whole_m: what the human drove from the scenario's start to its end.

    Returns:
        ``progress``: of what the human had driven at the time when the episode ended (above 1:
        the ego was faster); NaN if that is less than 1 m.  ``completion``: of the human's whole
        path, at most 1.
    """
    by_then = np.where(drives.human_distance_m >= _SHORTEST_M, drives.human_distance_m, np.nan)
    whole = np.where(whole_m >= _SHORTEST_M, whole_m, np.nan)
    return {
        "progress": drives.distance_m / by_then,
        "completion": np.minimum(drives.distance_m / whole, 1.0),
    }
