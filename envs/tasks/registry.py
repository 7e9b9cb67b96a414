"""Tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int

from .change import change_one, change_two
from .exit import exit_road
from .merge import merge
from .situation import Situation

LaneTask = Literal["change-1", "change-2", "exit", "merge"]
"""Be in a certain lane at the end of the drive."""
Task = Literal["keep", LaneTask]
"""``keep`` is to drive on, in any lane."""

KEEP: Task = "keep"

TARGET_LANES: dict[LaneTask, Callable[[Situation], Int[np.ndarray, " n"]]] = {
    "change-1": change_one,
    "change-2": change_two,
    "exit": exit_road,
    "merge": merge,
}
"""Rules that choose the lane to be in at the end of the drive, or ``NO_LANE``: not listed."""

TASKS: tuple[str, ...] = get_args(Task)
