"""Who drives ahead of whom, lane by lane, in many environments at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.lanes import NO_LANE, LaneField, LanePlace

NOBODY = -1

_LANE_KEY_M = 1e6
"""Longer than any road: ``lane * _LANE_KEY_M + station`` sorts by lane, then by station."""
_ENV_KEY_M = 1e9
_LAST_KEY_M = 1e8
_OVERHANG_M = 0.2
"""A flank that hangs over a line by less does not count as being in that lane."""


@dataclass(frozen=True, eq=False)
class LaneOrder:
    """Occupants of all lanes, sorted; a vehicle astride a line is entered in both lanes.

    Attributes:
        vehicle: ``(envs, entries)`` which of the vehicles.
        lane: ``(envs, entries)`` -1 for entries that mean nothing.
        key: ``(envs, entries)`` sorted, rising from one environment to the next, too.
    """

    vehicle: Int[Tensor, "envs entries"]
    lane: Int[Tensor, "envs entries"]
    key: Float[Tensor, "envs entries"]
    _order: Int[Tensor, "envs entries"]

    @classmethod
    def of(
        cls, lanes: Int[Tensor, "envs vehicles 2"], station_m: Float[Tensor, "envs vehicles"]
    ) -> LaneOrder:
        """Sorts vehicles by the (up to two) lanes that they are in."""
        envs, count, _ = lanes.shape
        lane = lanes.transpose(1, 2).flatten(1)
        key = lane * _LANE_KEY_M + station_m.double().repeat(1, 2)
        key, order = torch.where(lane < 0, _LAST_KEY_M, key).sort(dim=1, stable=True)
        key = key + _ENV_KEY_M * torch.arange(envs, device=lane.device)[:, None]
        return cls(order % count, lane.gather(1, order), key, order)

    def leaders(self) -> Int[Tensor, "envs vehicles 2"]:
        """The vehicle ahead of each one in each of its two lanes, or ``NOBODY``."""
        follows = (self.lane[:, 1:] == self.lane[:, :-1]) & (self.lane[:, :-1] >= 0)
        ahead = torch.where(follows, self.vehicle[:, 1:], NOBODY)
        ahead = torch.nn.functional.pad(ahead, (0, 1), value=NOBODY)
        found = torch.empty_like(ahead).scatter_(1, self._order, ahead)
        return found.unflatten(1, (2, -1)).transpose(1, 2)

    def around(
        self, env: Int[Tensor, " n"], lane: Int[Tensor, " n"], station_m: Float[Tensor, " n"]
    ) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """The vehicles ahead of and behind places on lanes, or ``NOBODY``."""
        wanted = env * _ENV_KEY_M + lane * _LANE_KEY_M + station_m.double()
        place = torch.searchsorted(self.key.flatten(), wanted, right=True)
        return self._occupant(place, env, lane), self._occupant(place - 1, env, lane)

    def _occupant(self, place: Tensor, env: Tensor, lane: Tensor) -> Int[Tensor, " n"]:
        entries = self.key.shape[1]
        there = place.clamp(0, self.key.numel() - 1)
        same = (there == place) & (there // entries == env)
        same = same & (self.lane.flatten()[there] == lane) & (lane >= 0)
        return torch.where(same, self.vehicle.flatten()[there], NOBODY)


def flank_lane(
    field: LaneField,
    boxes: Float[Tensor, "envs vehicles 5"],
    place: LanePlace,
    road: Int[Tensor, " envs"],
) -> Int[Tensor, "envs vehicles"]:
    """Lane under the flank that is nearer to a line; -1 where it is off the road."""
    reach = place.offset_m.sign() * (0.5 * boxes[..., 4] - _OVERHANG_M)
    x = boxes[..., 0] - reach * place.direction_rad.sin()
    y = boxes[..., 1] + reach * place.direction_rad.cos()
    return field.look_up(x, y, road).lane


def two_lanes(
    first: Int[Tensor, "envs vehicles"],
    *others: Int[Tensor, "envs vehicles"],
) -> Int[Tensor, "envs vehicles 2"]:
    """``first`` and whichever of the others is the first to differ from it."""
    second = torch.full_like(first, NO_LANE)
    for other in reversed(others):
        second = torch.where((other != first) & (other >= 0), other, second)
    return torch.stack([first, second], dim=-1)


def gap_to(
    boxes: Float[Tensor, "envs vehicles 5"],
    direction_rad: Float[Tensor, "envs vehicles"],
    leader: Int[Tensor, "envs followers lanes"],
) -> Float[Tensor, "envs followers lanes"]:
    """Bumper to bumper along the follower's lane in metres; inf where the leader is nobody.

    The followers are the first of the vehicles.
    """
    followers = leader.shape[1]
    envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    ahead = boxes[envs, leader.clamp(min=0)]
    gap = gap_between(boxes[:, :followers, None], direction_rad[:, :followers, None], ahead)
    return torch.where(leader == NOBODY, torch.inf, gap)


def gap_between(
    follower: Float[Tensor, "*#batch 5"],
    direction_rad: Float[Tensor, "*#batch"],
    leader: Float[Tensor, "*#batch 5"],
) -> Float[Tensor, "*batch"]:
    """Bumper to bumper along a lane that runs in ``direction_rad``."""
    way = leader[..., :2] - follower[..., :2]
    along = way[..., 0] * direction_rad.cos() + way[..., 1] * direction_rad.sin()
    return along - 0.5 * (follower[..., 3] + leader[..., 3])
