"""Merging: leave a lane that ends."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ppuu.recordings.lanes import NO_LANE

from .situation import Situation


def merge(situation: Situation) -> Int[np.ndarray, " n"]:
    """The lane beside one that ends; ``NO_LANE`` where the ego's own lane goes on.

    Lanes that end where the recorded road does, as all of them do, are no reason to leave them:
    only one beside which another goes on counts.
    """
    own = situation.start_lane
    ends = (own != NO_LANE) & ~situation.goes_on(own)
    target = np.full(len(own), NO_LANE)
    for side in (-1, 1):
        beside = situation.beside(side)
        target = np.where(ends & situation.goes_on(beside), beside, target)
    return target
