"""The simulator itself as the world to plan in: an oracle, also for others who react."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..kinematics import rollout
from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.road_map import LocalRoad
from ..perception.surroundings import Surroundings
from ..predictions import BoxPrediction
from ..runtime.errors import InputError
from .base import PredictionFunction, PredictionSource


@dataclass(frozen=True)
class SimulatorSource(PredictionSource):
    """Everybody does what he would really do if the ego drove as planned; privileged.

    Every candidate of every episode gets a copy of the others, so sampling planners suit it;
    gradients take what they do as given.  Where the others replay the recording it equals
    ``RecordedSource``, which is many times faster.

    Attributes:
        observation: how many of the nearest vehicles are looked at.
        frames_per_step: recorded frames a planned step spans.
        dt_s: seconds a recorded frame.
    """

    observation: ObservationConfig = field(default_factory=lambda: ObservationConfig(vehicles=24))
    frames_per_step: int = 3
    dt_s: float = 0.1

    @property
    def conditioned_on_ego(self) -> bool:
        """The others may react."""
        return True

    def predict(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Tried out anew for each set of candidates; all alternatives are alike.

        Raises:
            InputError: these surroundings offer no simulator.
        """
        true, tracks = surroundings.true_world, observation.tracks
        if true is None:
            raise InputError(
                "the world 'simulator' can only be planned in by the ego of eval.closed_loop and "
                "its like; choose 'recorded' or a world model"
            )
        assert tracks is not None
        frames = self.frames_per_step
        road = surroundings.scene.vehicle_recording[surroundings.vehicle]
        seconds = torch.arange(1, steps + 1, device=road.device) * frames * self.dt_s

        def along(
            states: Float[Tensor, "batch candidates time 4"],
            actions: Float[Tensor, "batch candidates time 2"],
        ) -> BoxPrediction:
            candidates = actions.shape[1]
            seen, start = tracks.repeat(candidates), observation.ego[:, -1]
            start = start.repeat_interleave(candidates, 0)
            held = actions.detach().flatten(0, 1).repeat_interleave(frames, 1)
            path = rollout(start, held, self.dt_s)
            others = true.others_along(path, seen.vehicle)[:, :, frames - 1 :: frames]
            others = others.transpose(1, 2).unflatten(0, (-1, candidates))[:, :, None]
            poses = gliding_poses(observation.ego[:, -1], seconds)[:, None]
            return BoxPrediction(
                poses.expand(-1, candidates, -1, -1),
                self.observation.raster,
                others,
                tracks.size_m,
                tracks.valid_now,
                LocalRoad(surroundings.road_map, road),
            )

        return along
