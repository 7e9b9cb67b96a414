"""Another source's vehicles as images: what it costs to plan on pixels, whoever predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.surroundings import Surroundings
from ..predictions import OccupancyPrediction
from ..runtime.errors import InputError
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True)
class DrawnSource(PredictionSource):
    """What an unconditioned source predicts, drawn in the constant-velocity frame.

    Attributes:
        source: predicts what does not depend on the ego.

    Raises:
        InputError: the source's predictions do.
    """

    source: PredictionSource

    def __post_init__(self):
        if self.source.conditioned_on_ego:
            raise InputError(
                "only predictions that do not depend on the ego's path can be drawn beforehand"
            )

    @property
    def observation(self) -> ObservationConfig:  # type: ignore[override]
        """As of the source."""
        return self.source.observation

    @property
    def frames_per_step(self) -> int:  # type: ignore[override]
        """As of the source."""
        return self.source.frames_per_step

    @property
    def dt_s(self) -> float:  # type: ignore[override]
        """As of the source."""
        return self.source.dt_s

    @torch.no_grad()
    def predict(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """One set of images serves all candidates."""
        function = self.source.predict(observation, surroundings, steps, samples, generator)
        ego = observation.ego[:, -1]
        seconds = torch.arange(1, steps + 1, device=ego.device) * self.frames_per_step * self.dt_s
        poses = gliding_poses(ego, seconds)
        path = torch.cat([poses, ego[:, None, 3:].expand(-1, steps, -1)], dim=-1)[:, None]
        predicted = function(path, torch.zeros_like(path[..., :2]))
        return unconditioned(OccupancyPrediction.drawn(predicted, poses))
