"""The recorded future: a privileged bound on what prediction can gain."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.road_map import LocalRoad
from ..perception.surroundings import Surroundings
from ..predictions import BoxPrediction
from ..recordings.tracks import extrapolated_states
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True)
class RecordedSource(PredictionSource):
    """Everybody will be where the recording says, to the letter; who has left it drives on.

    Attributes:
        observation: how many of the nearest vehicles are looked at.
        frames_per_step: recorded frames a planned step spans.
        dt_s: seconds a recorded frame.
    """

    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(vehicles=24, images=False)
    )
    frames_per_step: int = 3
    dt_s: float = 0.1

    def predict(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Looked up in the recording; all alternatives are alike."""
        tracks = observation.tracks
        assert tracks is not None
        ahead = torch.arange(1, steps + 1, device=surroundings.frame.device) * self.frames_per_step
        frame = surroundings.frame[:, None] + ahead
        states = extrapolated_states(surroundings.scene, tracks.vehicle, frame)
        road = surroundings.scene.vehicle_recording[surroundings.vehicle]
        told = BoxPrediction(
            gliding_poses(observation.ego[:, -1], ahead * self.dt_s)[:, None],
            self.observation.raster,
            states.transpose(1, 2)[:, None, None],
            tracks.size_m,
            tracks.valid_now,
            LocalRoad(surroundings.road_map, road),
        )
        return unconditioned(told)
