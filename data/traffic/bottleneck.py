"""The downstream bottleneck, which causes the queue in the section."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .presets import TrafficPreset
from .road import MOST_LANES, SECTION_M

BOTTLENECK_M = (SECTION_M + 20.0, SECTION_M + 100.0)
"""The speed limit falls to the bottleneck's between these positions."""

_CARPOOL_EXIT = 1.25
"""Speed limit on the carpool lane relative to its usual speed: the lane flows freely."""


class Bottleneck:
    """The speed limit at each lane's exit: a sum of waves, some common to all lanes."""

    def __init__(self, random: np.random.Generator, preset: TrafficPreset):
        lanes = preset.highway.main_lanes
        # Waves common to all lanes, and those of each lane of the widest road.
        shape = (1 + MOST_LANES, 3)
        period = preset.bottleneck_period_s * random.uniform(0.6, 1.6, shape)
        phase = random.uniform(0, 2 * np.pi, shape)
        present = [0, *range(1 + MOST_LANES - lanes, 1 + MOST_LANES)]
        self._rate_radps, self._phase_rad = 2 * np.pi / period[present], phase[present]
        self._mean_mps = np.where(
            preset.highway.on_carpool_lane(np.arange(lanes)),
            _CARPOOL_EXIT * preset.carpool_speed_mps,
            preset.bottleneck_speed_mps,
        )
        self._swing_mps = preset.bottleneck_swing_mps

    def speed_mps(self, time_s: float) -> Float[np.ndarray, " lanes"]:
        """One speed for each main lane."""
        waves = np.sin(self._rate_radps * time_s + self._phase_rad).sum(1) * np.sqrt(2 / 3)
        return np.maximum(
            self._mean_mps + self._swing_mps * (0.8 * waves[0] + 0.6 * waves[1:]), 0.5
        )
