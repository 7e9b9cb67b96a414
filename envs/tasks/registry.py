"""Tasks by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from .change import change_one, change_two
from .exit import exit_road
from .merge import merge
from .situation import Situation

KEEP = "keep"
"""Drive on, in any lane."""

TARGET_LANES: dict[str, Callable[[Situation], Int[np.ndarray, " n"]]] = {
    "change-1": change_one,
    "change-2": change_two,
    "exit": exit_road,
    "merge": merge,
}
"""Rules that choose the lane to be in at the end of the drive, or ``NO_LANE``: not listed."""

TASKS = (KEEP, *TARGET_LANES)
