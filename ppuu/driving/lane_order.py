"""The order of the vehicles in each lane: leaders and followers, in many environments at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

NO_VEHICLE = -1
"""Index of a leader or follower that does not exist."""

_LANE_KEY_M = 1e6
"""Longer than any road: ``lane * _LANE_KEY_M + station`` sorts by lane, then by station."""
_ENV_KEY_M = 1e9
_LAST_KEY_M = 1e8


@dataclass(frozen=True, eq=False)
class LaneOrder:
    """Occupants of all lanes, sorted; a vehicle in two lanes has an entry in both.

    Attributes:
        vehicle: ``(envs, entries)`` index of the vehicle.
        lane: ``(envs, entries)`` -1 for entries without meaning.
        key: ``(envs, entries)`` sorted, increasing from one environment to the next, too.
    """

    vehicle: Int[Tensor, "envs entries"]
    lane: Int[Tensor, "envs entries"]
    key: Float[Tensor, "envs entries"]
    _order: Int[Tensor, "envs entries"]

    @classmethod
    def of(
        cls, lanes: Int[Tensor, "envs vehicles 2"], station_m: Float[Tensor, "envs vehicles"]
    ) -> LaneOrder:
        """Sorts vehicles by the lanes that they are in (up to two, else -1) and their stations."""
        envs, count, _ = lanes.shape
        lane = lanes.transpose(1, 2).flatten(1)
        key = lane.double() * _LANE_KEY_M + station_m.double().repeat(1, 2)
        key, order = torch.where(lane < 0, _LAST_KEY_M, key).sort(dim=1, stable=True)
        key = key + _ENV_KEY_M * torch.arange(envs, dtype=key.dtype, device=lane.device)[:, None]
        return cls(order % count, lane.gather(1, order), key, order)

    def leaders(self) -> Int[Tensor, "envs vehicles 2"]:
        """The vehicle ahead of each one in each of its two lanes, or ``NO_VEHICLE``."""
        follows = (self.lane[:, 1:] == self.lane[:, :-1]) & (self.lane[:, :-1] >= 0)
        ahead = torch.where(follows, self.vehicle[:, 1:], NO_VEHICLE)
        ahead = torch.nn.functional.pad(ahead, (0, 1), value=NO_VEHICLE)
        leader = torch.empty_like(ahead).scatter_(1, self._order, ahead)
        return leader.unflatten(1, (2, -1)).transpose(1, 2)

    def around(
        self, env: Int[Tensor, " n"], lane: Int[Tensor, " n"], station_m: Float[Tensor, " n"]
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """The vehicles ahead of and behind places in lanes, or ``NO_VEHICLE``.

        A vehicle exactly at a place counts as behind it.
        """
        wanted = env.double() * _ENV_KEY_M + lane.double() * _LANE_KEY_M + station_m.double()
        entry = torch.searchsorted(self.key.flatten(), wanted, right=True)
        entries = torch.stack([entry, entry - 1])
        clipped = entries.clamp(0, self.key.numel() - 1)
        same = (clipped == entries) & (clipped // self.key.shape[1] == env)
        same &= (self.lane.flatten()[clipped] == lane) & (lane >= 0)
        ahead, behind = torch.where(same, self.vehicle.flatten()[clipped], NO_VEHICLE)
        return ahead, behind


def consecutive_rows(
    along_m: Float[np.ndarray, " rows"], *groups: Int[np.ndarray, " rows"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs of rows of a recording that follow each other along the road.

    Args:
        along_m: position along the road.
        *groups: both rows of a pair agree in all of these, such as lane and frame; the last one is
            the first to sort by.

    Returns:
        The rows behind and the rows ahead, sorted by group and position.
    """
    order = np.lexsort((along_m, *groups))
    same = np.all([np.diff(group[order]) == 0 for group in groups], axis=0)
    return order[:-1][same], order[1:][same]
