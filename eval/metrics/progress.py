"""Progress relative to the recorded human."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .drives import Drives

_SHORTEST_M = 1.0
"""Where the human drives less, progress is not defined."""


def progress(
    drives: Drives, whole_m: Float[np.ndarray, " episodes"]
) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Driven distances as fractions of the human's.

    Args:
        drives: the episodes.
        whole_m: path of the human from the scenario's start to its end.

    Returns:
        ``progress``: fraction of the human's path up to the time when the episode ended (above 1
        if the ego was faster); NaN if that path is shorter than 1 m.  ``completion``: fraction of
        the human's whole path, at most 1.
    """
    same_time_m = np.where(drives.human_distance_m >= _SHORTEST_M, drives.human_distance_m, np.nan)
    whole = np.where(whole_m >= _SHORTEST_M, whole_m, np.nan)
    return {
        "progress": drives.distance_m / same_time_m,
        "completion": np.minimum(drives.distance_m / whole, 1.0),
    }
