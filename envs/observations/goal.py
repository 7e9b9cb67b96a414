"""``goal``: the lane to be in at the end of the route, if the task asks for one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from ppuu.perception.observation import Observation, ObservationConfig

from ..core.simulator import Simulator
from ..core.world import World
from .base import Sensor, SensorConfig

_FAR_M = 1000.0
_ASIDE_M = 50.0


@dataclass(frozen=True)
class GoalConfig(SensorConfig):
    """Nothing to choose."""

    def build(self, world: World, history: ObservationConfig) -> GoalSensor:
        """The same for all worlds."""
        return GoalSensor(world)


class GoalSensor(Sensor):
    """Four numbers: whether there is a lane to be in, metres from the ego to the left to its
    centre, its direction relative to the ego's heading (rad), and metres of route that are left.

    Without such a lane the middle two are 0.
    """

    def __init__(self, world: World):
        low = np.array([0.0, -_ASIDE_M, -np.pi, 0.0], np.float32)
        high = np.array([1.0, _ASIDE_M, np.pi, _FAR_M], np.float32)
        super().__init__(spaces.Box(low, high), world.device)

    def read(self, simulator: Simulator, history: Observation) -> Float[Tensor, "envs 4"]:
        """Seen from the ego's present pose."""
        left_m = simulator.goal_m - simulator.station_m
        wanted, aside = torch.zeros_like(left_m), torch.zeros_like(left_m)
        turn = torch.zeros_like(left_m)
        if simulator.goal is not None:
            wanted = simulator.goal.wanted.float()
            aside, turn, _ = simulator.goal.seen_from(simulator.state)
        return self._within_bounds(torch.stack([wanted, aside, turn, left_m], dim=1))
