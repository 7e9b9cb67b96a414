"""Traffic of drivers who follow: what car-following models share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.driving.gaps import gaps_to_leaders
from ppuu.recordings.lanes import LanePlace
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene

from .drivers import Drivers
from .fleet import Fleet, Situation
from .population import MIXED, Population


class FollowingFleet(Fleet):
    """A fleet in which every vehicle has a driver with car-following parameters of its own.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        population: that the drivers belong to.

    Raises:
        InputError: a road without lanes.
    """

    def __init__(
        self, scene: Scene, recordings: Sequence[Recording], population: Population = MIXED
    ):
        super().__init__(scene, recordings)
        names = [recording.name for recording in recordings]
        self.drivers = Drivers.draw(scene, self.field, names, population)

    def _follow(
        self,
        now: Situation,
        place: LanePlace,
        leader: Int[Tensor, "envs followers lanes"],
        drivers: Drivers,
    ) -> tuple[Float[Tensor, "envs followers lanes"], Float[Tensor, "envs followers lanes"]]:
        """Gap to each leader and IDM's acceleration behind it; the followers come first."""
        gap = gaps_to_leaders(now.boxes, place.direction_rad, leader)
        envs = torch.arange(len(leader), device=leader.device)[:, None, None]
        acceleration = drivers[..., None].acceleration_mps2(
            now.speed_mps[:, : leader.shape[1], None],
            gap,
            now.speed_mps[envs, leader.clamp(min=0)],
        )
        return gap, acceleration
