"""What every entry of the observation dictionary has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from gymnasium import spaces

from ppuu.perception.observation import Observation, ObservationConfig

from ..core.simulator import Simulator
from ..core.world import World

SPEED_LIMIT_MPS = 60.0
"""Bound of observed speeds; no recorded vehicle comes near it."""
SIZE_LIMIT_M = 30.0
"""Bound of observed lengths and widths."""


class Sensor(ABC):
    """Fills one entry of the observation dictionary.

    Attributes:
        space: of one environment.
    """

    space: spaces.Box

    @abstractmethod
    def read(self, simulator: Simulator, history: Observation) -> np.ndarray:
        """What is sensed now, ``(envs, *space.shape)``, inside the bounds and in a new array.

        Args:
            simulator: the world at the present frame.
            history: ``simulator.observe(pixels=False)``, read once for all sensors.
        """


class SensorConfig(ABC):
    """A sensor's arguments; JSON values, so that specs travel to workers."""

    @abstractmethod
    def build(self, world: World, history: ObservationConfig) -> Sensor:
        """The sensor, for simulators of ``world`` that remember ``history``."""
