"""Lane changes: be one or two lanes further left or right."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ppuu.recordings.lanes import NO_LANE

from .situation import Situation


def change(situation: Situation, lanes: int) -> Int[np.ndarray, " n"]:
    """The lane so many lanes aside; ``NO_LANE`` where the road offers none for the whole drive.

    To the side that the human changed to, if it changed as many lanes; else to the left for even
    and to the right for odd vehicle numbers, or to the other side where there is no such lane.
    """
    left, right = (
        np.where(situation.goes_on(lane), lane, NO_LANE)
        for lane in (situation.beside(lanes), situation.beside(-lanes))
    )
    human = situation.human_lane
    odd = situation.recording.vehicle_id[situation.vehicle] % 2 == 1
    preferred, other = np.where(odd, right, left), np.where(odd, left, right)
    offered = np.where(preferred != NO_LANE, preferred, other)
    as_the_human = (human != NO_LANE) & ((human == left) | (human == right))
    return np.where(as_the_human, human, offered)


def change_one(situation: Situation) -> Int[np.ndarray, " n"]:
    """Be one lane further left or right."""
    return change(situation, 1)


def change_two(situation: Situation) -> Int[np.ndarray, " n"]:
    """Be two lanes further left or right."""
    return change(situation, 2)
