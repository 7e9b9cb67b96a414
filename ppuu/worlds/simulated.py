"""The simulator itself as the world to plan in: an oracle, also for others who react."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..kinematics import rollout
from ..observation import Observation, ObservationConfig
from ..policies.base import Surroundings
from ..raster import LocalRoad
from ..track_futures import TrackFutures
from ..world_models.gliding import gliding_poses
from .base import Foresight, World


@dataclass(frozen=True)
class SimulatedWorld(World):
    """Everybody does what he would really do if the ego drove as planned; privileged.

    Every candidate of every episode gets a copy of the others, so sampling planners suit it;
    gradients take what they do as given.  Where the others replay the recording it equals
    ``RecordedWorld``, which is many times faster.

    Attributes:
        observation: how many of the nearest vehicles are looked at.
        frames_per_step: recorded frames a planned step spans.
        dt_s: seconds a recorded frame.
    """

    observation: ObservationConfig = field(default_factory=lambda: ObservationConfig(vehicles=24))
    frames_per_step: int = 3
    dt_s: float = 0.1

    def foresee(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        futures: int,
        generator: torch.Generator,
    ) -> Foresight:
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
        batch, held = len(observation.ego), self.frames_per_step
        road = surroundings.scene.vehicle_recording[surroundings.vehicle]
        seconds = torch.arange(1, steps + 1, device=road.device) * held * self.dt_s

        def foresight(
            states: Float[Tensor, "rows time 4"], actions: Float[Tensor, "rows time 2"]
        ) -> TrackFutures:
            copies = len(states) // batch
            seen, start = tracks.repeat(copies), observation.ego[:, -1]
            start = start.repeat_interleave(copies, 0)
            path = rollout(start, actions.detach().repeat_interleave(held, 1), self.dt_s)
            others = true.others_along(path, seen.vehicle)[:, :, held - 1 :: held]
            return TrackFutures(
                others.transpose(1, 2)[:, None],
                seen.size_m,
                seen.here,
                LocalRoad(surroundings.road_map, road.repeat_interleave(copies)),
                gliding_poses(start, seconds),
                self.observation.raster,
            )

        return foresight
