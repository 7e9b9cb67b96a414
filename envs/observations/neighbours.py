"""``neighbours``: the ego and the six vehicles around it, as a table (PPUU's "state")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.geometry import to_local
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.recordings.lanes import NO_LANE
from ppuu.runtime.errors import InputError

from ..core.simulator import Simulator
from ..core.world import World
from .base import SIZE_LIMIT_M, SPEED_LIMIT_MPS, Sensor, SensorConfig

ROWS = (
    "ego", "left_behind", "left_ahead", "same_behind", "same_ahead", "right_behind", "right_ahead",
)  # fmt: skip
COLUMNS = (
    "present", "ahead_m", "left_m", "velocity_ahead_mps", "velocity_left_mps", "length_m",
    "width_m",
)  # fmt: skip


@dataclass(frozen=True)
class NeighboursConfig(SensorConfig):
    """How far away a vehicle may be.

    Attributes:
        range_m: vehicles farther ahead or behind are not listed.
    """

    range_m: float = 100.0

    def __post_init__(self):
        if not 0 < self.range_m < np.inf:
            raise InputError(f"observation.neighbours.range_m is {self.range_m}; must be positive")

    def build(self, world: World, history: ObservationConfig) -> NeighbourTable:
        """Samples the lanes of the world's roads, once for all its environments."""
        return NeighbourTable(self, world)


class NeighbourTable(Sensor):
    """``(7, 7)``: rows ``ROWS``, columns ``COLUMNS``, in the ego's frame; absent ones are 0.

    A neighbour is the nearest vehicle behind or ahead, by centres, whose centre is in the ego's
    lane or in the lane one lane width to the left or right of the ego's centre; lanes may run in
    either direction.  Positions are relative to the ego's centre, velocities are those over
    the ground.

    PPUU's table has positions and velocities in the site's axes and pixels, adds neither sizes
    nor a limit of distance, repeats the ego's state where a neighbour is absent, and marks the
    ego itself as absent, too.
    """

    def __init__(self, config: NeighboursConfig, world: World):
        reach, speed = config.range_m, SPEED_LIMIT_MPS
        low = [0.0, -reach, -reach, -speed, -speed, 0.0, 0.0]
        high = [1.0, reach, reach, speed, speed, SIZE_LIMIT_M, SIZE_LIMIT_M]
        space = spaces.Box(
            np.tile(np.array(low, np.float32), (len(ROWS), 1)),
            np.tile(np.array(high, np.float32), (len(ROWS), 1)),
        )
        super().__init__(space, world.device)
        self._config, self._lanes = config, world.lanes

    def read(self, simulator: Simulator, history: Observation) -> Float[Tensor, "envs 7 7"]:
        """The table at the present frame."""
        others, pose = simulator.sensed_neighbours(), simulator.state[:, :3]
        local = to_local(others.boxes, pose[:, None])
        around = self._lanes_around(pose, simulator.road)
        x, y = others.boxes[..., 0], others.boxes[..., 1]
        lanes = self._lanes.look_up(x, y, simulator.road).lane
        near = others.valid & (local[..., 0].abs() <= self._config.range_m)
        in_lane = (
            (lanes[:, None] == around[..., None]) & (around[..., None] != NO_LANE) & near[:, None]
        )
        ahead = local[..., 0] > 0
        # (envs, left same right, behind ahead, slots)
        candidate = in_lane[:, :, None] & torch.stack([~ahead, ahead], dim=1)[:, None]
        distance = torch.where(candidate, local[:, None, None, :, 0].abs(), torch.inf).flatten(1, 2)
        distance, slot = distance.min(dim=2)
        found = distance < torch.inf
        box = local.gather(1, slot[..., None].expand(-1, -1, 5))
        listed = _rows(found, box, others.speed_mps.gather(1, slot))
        own_box = torch.cat([torch.zeros_like(pose), simulator.size_m], dim=1)[:, None]
        own = _rows(torch.ones_like(found[:, :1]), own_box, simulator.state[:, 3:])
        return self._within_bounds(torch.cat([own, listed], dim=1))

    def _lanes_around(
        self, pose: Float[Tensor, "envs 3"], road: Int[Tensor, " envs"]
    ) -> Int[Tensor, "envs 3"]:
        """The lanes to the left of the ego's centre, under it, and to the right; -1 for none."""
        x, y, _ = pose.unbind(1)
        place = self._lanes.look_up(x, y, road)
        left, right = (
            self._lanes.beside(x, y, road, place, torch.full_like(road, side)).lane
            for side in (1, -1)
        )
        own = place.lane
        left, right = (torch.where(lane == own, NO_LANE, lane) for lane in (left, right))
        return torch.stack([left, own, right], dim=1)


def _rows(
    present: Tensor, box: Float[Tensor, "envs rows 5"], speed_mps: Float[Tensor, "envs rows"]
) -> Float[Tensor, "envs rows 7"]:
    velocity = speed_mps[..., None] * torch.stack([box[..., 2].cos(), box[..., 2].sin()], dim=-1)
    row = torch.cat([box[..., :2], velocity, box[..., 3:]], dim=-1)
    row = torch.where(present[..., None], row, 0.0)
    return torch.cat([present[..., None].float(), row], dim=-1)
