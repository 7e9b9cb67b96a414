"""Leaders, followers and gaps in the generator's fleet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from ppuu.driving.gaps import bumper_gap_m
from ppuu.driving.lane_order import NO_VEHICLE, LaneOrder

from .fleet import NO_LANE, Fleet


@dataclass(frozen=True, eq=False)
class FleetOrder:
    """The order of a fleet in its lanes; a vehicle that changes lanes occupies two.

    Attributes:
        order: of one environment, with rows of the fleet as vehicles and x as station.
    """

    order: LaneOrder

    @classmethod
    def of(cls, fleet: Fleet) -> FleetOrder:
        """Sorts the fleet."""
        old_lane = np.where(fleet.on_two_lanes, fleet.old_lane, NO_LANE)
        lanes = torch.from_numpy(np.stack([fleet.lane, old_lane], axis=1))
        return cls(LaneOrder.of(lanes[None], torch.from_numpy(fleet.x_m)[None]))

    def leaders(self) -> Int[np.ndarray, "n 2"]:
        """The vehicle ahead of each one in its lane and in its old lane, or ``NO_VEHICLE``."""
        return self.order.leaders()[0].numpy()

    def around(
        self, lane: Int[np.ndarray, " n"], x_m: Float[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The vehicles ahead of and behind places in lanes, or ``NO_VEHICLE``."""
        place = torch.from_numpy(lane), torch.from_numpy(x_m)
        ahead, behind = self.order.around(torch.zeros_like(place[0]), *place)
        return ahead.numpy(), behind.numpy()


def gap_to(
    fleet: Fleet, follower: Int[np.ndarray, "..."], leader: Int[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Bumper to bumper in metres; ``inf`` where either is ``NO_VEHICLE``."""
    distance = fleet.x_m[leader] - fleet.x_m[follower]
    gap = bumper_gap_m(distance, fleet.length_m[follower], fleet.length_m[leader])
    return np.where((leader == NO_VEHICLE) | (follower == NO_VEHICLE), np.inf, gap)
