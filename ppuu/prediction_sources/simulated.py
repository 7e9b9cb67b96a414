"""The simulator itself as the model: a privileged bound, also among reactive traffic."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..kinematics import rollout
from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from ..perception.road_map import LocalRoad
from ..predictions import BoxPrediction
from ..runtime.errors import InputError
from ..world_models.spec import ModelSpec, tracks_spec
from .base import PredictionFunction, PredictionSource


@dataclass(frozen=True)
class SimulatorSource(PredictionSource):
    """What the simulated traffic would do if the ego drove as planned.

    Every candidate of every episode gets a copy of the traffic, so sampling planners suit it; for
    gradients the traffic is a constant.  Among replayed traffic it equals ``RecordedSource``,
    which is many times faster.

    Attributes:
        spec: how many of the nearest vehicles are tracked, and the step.
    """

    spec: ModelSpec = field(default_factory=lambda: tracks_spec(ObservationConfig(vehicles=24)))

    @property
    def conditioned_on_ego(self) -> bool:
        """Yes: the traffic may react."""
        return True

    def predict(
        self,
        observation: Observation,
        privileged_state: PrivilegedState,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Simulates each set of candidates; one sample, since the simulator is deterministic.

        Raises:
            InputError: there is no simulator to copy.
        """
        probe, tracks = privileged_state.traffic_probe, observation.tracks
        if probe is None:
            raise InputError(
                "the world 'simulator' needs a simulator of the traffic, which only commands like "
                "eval.closed_loop have; choose 'recorded' or a world model"
            )
        assert tracks is not None
        frames = self.frames_per_step
        recording = privileged_state.scene.vehicle_recording[privileged_state.vehicle]
        seconds = torch.arange(1, steps + 1, device=recording.device) * frames * self.dt_s

        def conditioned(
            states: Float[Tensor, "batch candidates time 4"],
            actions: Float[Tensor, "batch candidates time 2"],
        ) -> BoxPrediction:
            candidates = actions.shape[1]
            start = observation.ego[:, -1].repeat_interleave(candidates, 0)
            frame_actions = actions.detach().flatten(0, 1).repeat_interleave(frames, 1)
            path = rollout(start, frame_actions, self.dt_s)
            others = probe.rollout(path, tracks.repeat(candidates).vehicle)
            others = others[:, :, frames - 1 :: frames].transpose(1, 2)
            others = others.unflatten(0, (-1, candidates))[:, :, None]
            poses = constant_velocity_poses(observation.ego[:, -1], seconds)[:, None]
            return BoxPrediction(
                poses.expand(-1, candidates, -1, -1),
                self.raster,
                others,
                tracks.size_m,
                tracks.valid_now,
                LocalRoad(privileged_state.road_map, recording),
            )

        return conditioned
