"""Leaders, followers and gaps in the generator's fleet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from ppuu.driving.gaps import bumper_gap_m
from ppuu.driving.lane_order import NO_VEHICLE

from .fleet import Fleet

_LANE_KEY_M = 1e6
"""Longer than the road: ``lane * _LANE_KEY_M + x`` sorts by lane, then by x."""


@dataclass(frozen=True, eq=False)
class FleetOrder:
    """The order of a fleet in its lanes; a vehicle that changes lanes occupies two.

    The same as ``ppuu.driving.lane_order.LaneOrder`` of one environment (a test compares them),
    in NumPy: with a few hundred vehicles PyTorch's calls take longer than the work.

    Attributes:
        vehicles: number of vehicles.
        vehicle, lane, key: of each place in a lane that a vehicle occupies, sorted by key.
        is_old: whether a place is in the lane being left.
    """

    vehicles: int
    vehicle: Int[np.ndarray, " places"]
    lane: Int[np.ndarray, " places"]
    key: Float[np.ndarray, " places"]
    is_old: Int[np.ndarray, " places"]

    @classmethod
    def of(cls, fleet: Fleet) -> FleetOrder:
        """Sorts the fleet."""
        count, changing = len(fleet), np.flatnonzero(fleet.on_two_lanes)
        vehicle = np.concatenate([np.arange(count), changing])
        lane = np.concatenate([fleet.lane, fleet.old_lane[changing]])
        key = lane * _LANE_KEY_M + fleet.x_m[vehicle]
        order = np.argsort(key, kind="stable")
        is_old = (order >= count).astype(np.int64)
        return cls(count, vehicle[order], lane[order], key[order], is_old)

    def leaders(self) -> Int[np.ndarray, "n 2"]:
        """The vehicle ahead of each one in its lane and in its old lane, or ``NO_VEHICLE``."""
        return self._leaders

    @cached_property
    def _leaders(self) -> Int[np.ndarray, "n 2"]:
        leader = np.full((self.vehicles, 2), NO_VEHICLE)
        follows = np.flatnonzero(self.lane[1:] == self.lane[:-1])
        leader[self.vehicle[follows], self.is_old[follows]] = self.vehicle[follows + 1]
        return leader

    def around(
        self, lane: Int[np.ndarray, " n"], x_m: Float[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The vehicles ahead of and behind places in lanes, or ``NO_VEHICLE``.

        A vehicle exactly at a place counts as behind it.
        """
        entry = np.searchsorted(self.key, lane * _LANE_KEY_M + x_m, side="right")
        ahead, behind = entry, entry - 1
        last = len(self.key) - 1
        return self._occupant(np.minimum(ahead, last), lane, ahead <= last), self._occupant(
            np.maximum(behind, 0), lane, behind >= 0
        )

    def _occupant(
        self, entry: Int[np.ndarray, " n"], lane: Int[np.ndarray, " n"], valid: np.ndarray
    ) -> Int[np.ndarray, " n"]:
        return np.where(valid & (self.lane[entry] == lane), self.vehicle[entry], NO_VEHICLE)


def gap_to(
    fleet: Fleet, follower: Int[np.ndarray, "..."], leader: Int[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Bumper to bumper in metres; ``inf`` where either is ``NO_VEHICLE``."""
    distance = fleet.x_m[leader] - fleet.x_m[follower]
    gap = bumper_gap_m(distance, fleet.length_m[follower], fleet.length_m[leader])
    return np.where((leader == NO_VEHICLE) | (follower == NO_VEHICLE), np.inf, gap)
