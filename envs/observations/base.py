"""What every entry of the observation dictionary has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from gymnasium import spaces
from torch import Tensor

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

    def __init__(self, space: spaces.Box, device: torch.device):
        self.space = space
        self._low = torch.as_tensor(space.low, device=device)
        self._high = torch.as_tensor(space.high, device=device)

    @abstractmethod
    def read(self, simulator: Simulator, history: Observation) -> Tensor:
        """What is sensed now, ``(envs, *space.shape)``, inside the bounds and in a new tensor.

        Args:
            simulator: the world at the present frame.
            history: ``simulator.observe(pixels=False)``, read once for all sensors.
        """

    def _within_bounds(self, values: Tensor) -> Tensor:
        return values.clamp(self._low, self._high)


class SensorConfig(ABC):
    """A sensor's arguments; JSON values, so that specs travel to workers."""

    @abstractmethod
    def build(self, world: World, history: ObservationConfig) -> Sensor:
        """The sensor, for simulators of ``world`` that remember ``history``."""
