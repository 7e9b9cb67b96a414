"""Post-encroachment time: the time between two vehicles' occupying the same area."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor

from envs.traffic.base import Neighbours
from ppuu.backends.contact_cpu import overlap
from ppuu.units import seconds_to_frames

LONGEST_S = 5.0
"""Longer times are not measured."""


class Encroachment:
    """The smallest post-encroachment time of each running episode (Allen et al., 1978).

    The time between one vehicle's leaving an area and another's entering it, smallest over all
    areas, is the smallest ``|s - t|`` such that the ego's box at time ``s`` and the other's at
    time ``t`` overlap.  It is searched frame by frame from the episode's start on.  Leaders and
    followers in the ego's lane count, as do vehicles that cross its path.

    Args:
        envs: slots of the simulator.
        dt_s: seconds between frames.
    """

    def __init__(self, envs: int, dt_s: float):
        self._dt_s = dt_s
        self._ring = 2 + seconds_to_frames(LONGEST_S, dt_s)
        self._ego = np.zeros((self._ring, envs, 5), np.float32)
        self._others = np.empty((0, envs, 0, 5), np.float32)
        self._frames = 0
        self._age = np.zeros(envs, np.int64)
        self._smallest = np.full(envs, self._ring)

    def begin(
        self, envs: Int[Tensor, " n"], ego_box: Float[Tensor, "envs 5"], others: Neighbours
    ) -> None:
        """Starts episodes in some slots; the boxes are those of all slots."""
        place, chosen = self._frames % self._ring, envs.numpy()
        if not len(self._others):
            shape = (self._ring, *others.boxes.shape)
            self._others = np.full(shape, np.inf, np.float32)
        self._ego[place, chosen] = ego_box.numpy()[chosen]
        self._others[place, chosen] = _boxes(others)[chosen]
        self._age[chosen] = 0
        self._smallest[chosen] = self._ring

    def add(self, ego_box: Float[Tensor, "envs 5"], others: Neighbours) -> None:
        """Adds the next frame of all slots, in each of which an episode has begun."""
        self._frames += 1
        self._age += 1
        place = self._frames % self._ring
        self._ego[place], self._others[place] = ego_box.numpy(), _boxes(others)
        _search(self._ego, self._others, place, self._age, self._smallest)

    @property
    def smallest_s(self) -> Float[np.ndarray, " envs"]:
        """Smallest time since the start of each slot's episode; inf if above ``LONGEST_S``.

        Exact to one frame: the first vehicle leaves up to a frame after its last overlap, the
        second enters up to a frame before its first.
        """
        between = np.maximum(self._smallest - 1, 0) * self._dt_s
        return np.where(self._smallest < self._ring, between, np.inf)


def _boxes(others: Neighbours) -> Float[np.ndarray, "envs slots 5"]:
    """Boxes, infinitely far away where a slot is empty."""
    return torch.where(others.valid[..., None], others.boxes, torch.inf).numpy()


@njit(nogil=True, error_model="numpy", cache=True)
def _search(ego, others, place, age, smallest):
    """Lowers ``smallest`` where a present box overlaps one of fewer frames ago.

    Args:
        ego, others: ``(ring, envs, 5)`` and ``(ring, envs, slots, 5)``.
        place: index of the present frame in the ring.
        age: ``(envs,)`` frames since the episode's start.
        smallest: ``(envs,)`` frames.
    """
    for e in range(len(age)):
        for lag in range(min(age[e] + 1, smallest[e])):
            then = (place - lag) % len(ego)
            if _any_overlap(ego[then, e], others[place, e]) or (
                lag > 0 and _any_overlap(ego[place, e], others[then, e])
            ):
                smallest[e] = lag
                break


@njit(nogil=True, error_model="numpy", cache=True)
def _any_overlap(own, others):
    for k in range(len(others)):
        other = others[k]
        x, y = abs(other[0] - own[0]), abs(other[1] - own[1])
        reach = 0.5 * (own[3] + own[4] + other[3] + other[4])
        if x < reach and y < reach and overlap(own, other):
            return True
    return False
