"""``ego``: where the agent was, relative to where it is, how fast, and its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from ppuu.perception.observation import Observation, ObservationConfig

from ..core.simulator import Simulator
from ..core.world import World
from .base import SIZE_LIMIT_M, SPEED_LIMIT_MPS, Sensor, SensorConfig


@dataclass(frozen=True)
class EgoConfig(SensorConfig):
    """Nothing to choose: the history is that of the environment."""

    def build(self, world: World, history: ObservationConfig) -> Ego:
        """Bounds follow from how far the history reaches back."""
        return Ego(history, world)


class Ego(Sensor):
    """For each frame, oldest first, four numbers: metres ahead and to the left of the present
    pose, heading difference (rad) and speed (m/s); then length and width (m).

    Independent of the site (``Observation.ego_features``).
    """

    def __init__(self, history: ObservationConfig, world: World):
        reach = SPEED_LIMIT_MPS * history.span * world.scene.dt_s
        low = [-reach, -reach, -np.pi, 0.0] * history.frames + [0.0, 0.0]
        high = [reach, reach, np.pi, SPEED_LIMIT_MPS] * history.frames + [SIZE_LIMIT_M] * 2
        space = spaces.Box(np.array(low, np.float32), np.array(high, np.float32))
        super().__init__(space, world.device)

    def read(self, simulator: Simulator, history: Observation) -> Float[Tensor, "envs n"]:
        """The ego's history and size."""
        return self._within_bounds(history.ego_features)
