"""Who drives ahead of whom, lane by lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from .fleet import Fleet

NOBODY = -1
_LANE_KEY_M = 1e5
"""Longer than any stretch: one sorted array of ``lane * _LANE_KEY_M + x`` holds all lanes."""


@dataclass(frozen=True, eq=False)
class LaneOrder:
    """Occupants of all lanes, sorted by lane and x; a vehicle changing lanes occupies two.

    Attributes:
        vehicle: ``(entries,)`` row in the fleet.
        lane: ``(entries,)``.
        key: ``(entries,)`` sorted.
    """

    vehicle: Int[np.ndarray, " entries"]
    lane: Int[np.ndarray, " entries"]
    key: Float[np.ndarray, " entries"]

    @classmethod
    def of(cls, fleet: Fleet) -> LaneOrder:
        """Sorts the fleet."""
        changing = np.flatnonzero(fleet.on_two_lanes)
        vehicle = np.concatenate([np.arange(len(fleet)), changing])
        lane = np.concatenate([fleet.lane, fleet.old_lane[changing]])
        key = lane * _LANE_KEY_M + fleet.x_m[vehicle]
        order = np.argsort(key, kind="stable")
        return cls(vehicle[order], lane[order], key[order])

    def leaders(self) -> Int[np.ndarray, " entries"]:
        """The vehicle ahead of each entry in its lane, or ``NOBODY``."""
        same = self.lane[1:] == self.lane[:-1]
        return np.append(np.where(same, self.vehicle[1:], NOBODY), NOBODY)

    def around(
        self, lane: Int[np.ndarray, " n"], x_m: Float[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The vehicles ahead of and behind places on lanes, or ``NOBODY``."""
        place = np.searchsorted(self.key, lane * _LANE_KEY_M + x_m)
        return self._occupant(place, lane), self._occupant(place - 1, lane)

    def _occupant(self, place: np.ndarray, lane: np.ndarray) -> np.ndarray:
        inside = (place >= 0) & (place < len(self.key))
        place = np.clip(place, 0, len(self.key) - 1)
        return np.where(inside & (self.lane[place] == lane), self.vehicle[place], NOBODY)


def gap_to(
    fleet: Fleet, follower: Int[np.ndarray, " n"], leader: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Bumper to bumper in metres; ``inf`` where either is ``NOBODY``."""
    half = 0.5 * (fleet.length_m[follower] + fleet.length_m[leader])
    gap = fleet.x_m[leader] - fleet.x_m[follower] - half
    return np.where((leader == NOBODY) | (follower == NOBODY), np.inf, gap)
