"""Another source's predictions as images, to compare planning on boxes with planning on pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..predictions import OccupancyPrediction
from ..runtime.errors import InputError
from ..world_models.spec import ModelSpec
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True)
class RasterizedSource(PredictionSource):
    """Predictions that do not depend on the ego, drawn in the constant-velocity frame.

    Attributes:
        source: gives the predictions.

    Raises:
        InputError: the source's predictions depend on the ego.
    """

    source: PredictionSource

    def __post_init__(self):
        if self.source.conditioned_on_ego:
            raise InputError(
                f"{type(self.source).__name__} depends on the ego's path, so its predictions "
                "cannot be rasterized once for all candidates; choose a source that does not"
            )

    @property
    def spec(self) -> ModelSpec:  # type: ignore[override]
        """That of the source."""
        return self.source.spec

    @torch.no_grad()
    def predict(
        self,
        observation: Observation,
        privileged_state: PrivilegedState,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """One set of images serves all candidates."""
        function = self.source.predict(observation, privileged_state, steps, samples, generator)
        ego = observation.ego[:, -1]
        seconds = torch.arange(1, steps + 1, device=ego.device) * self.frames_per_step * self.dt_s
        poses = constant_velocity_poses(ego, seconds)
        path = torch.cat([poses, ego[:, None, 3:].expand(-1, steps, -1)], dim=-1)[:, None]
        prediction = function(path, torch.zeros_like(path[..., :2]))
        return unconditioned(OccupancyPrediction.rasterize(prediction, poses))
