"""The recorded future: a privileged bound on what prediction can gain."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from ..perception.road_map import LocalRoad
from ..predictions import BoxPrediction
from ..recordings.tracks import extrapolated_states
from ..world_models.spec import ModelSpec, tracks_spec
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True)
class RecordedSource(PredictionSource):
    """The recorded states of the tracked vehicles, extrapolated at constant velocity.

    Attributes:
        spec: how many of the nearest vehicles are tracked, and the step.
    """

    spec: ModelSpec = field(
        default_factory=lambda: tracks_spec(ObservationConfig(vehicles=24, images=False))
    )

    def predict(
        self,
        observation: Observation,
        privileged_state: PrivilegedState,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Reads the recording; one sample, since the recording is deterministic."""
        tracks, scene = observation.tracks, privileged_state.scene
        assert tracks is not None
        now = privileged_state.frame
        frames_ahead = torch.arange(1, steps + 1, device=now.device) * self.frames_per_step
        states = extrapolated_states(scene, tracks.vehicle, now[:, None] + frames_ahead)
        recording = scene.vehicle_recording[privileged_state.vehicle]
        seconds = frames_ahead * self.dt_s
        prediction = BoxPrediction(
            constant_velocity_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            states.transpose(1, 2)[:, None, None],
            tracks.size_m,
            tracks.valid_now,
            LocalRoad(privileged_state.road_map, recording),
        )
        return unconditioned(prediction)
