"""The simulator's imagined twin: the same exact ego, among surroundings a world model predicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.costs import Contact, Offroad
from ppuu.perception.observation import observe
from ppuu.perception.raster_image import to_bytes
from ppuu.perception.road_map import RoadMap
from ppuu.predictions import EgoPath, KnownSpeed, OccupancyPrediction, UniformMotion
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from ppuu.world_models import WorldModel

from .scenario import Scenarios
from .simulator import Simulator, SimulatorConfig, StepResult
from .termination import Outcome

HAZE = 0.3
"""Fainter pixels are where a vehicle might have entered the view, not where one is."""
TOUCH = Contact(margin_along_m=0.3, margin_across_m=0.3)
"""The ego's box with margins of half a pixel."""
COLLISION_M2 = 0.29
"""More of other vehicles inside the box is a collision."""
OUTSIDE = Offroad(margin_m=0.3)
OFFROAD = 0.65
"""An off-road cost above this has left the road: the box's centre and a flank, as a rule."""


class ImaginedSimulator(Simulator):
    """A ``Simulator`` whose steps are a world model's, ``model.frames_per_step`` frames each.

    An episode begins in the recording; what the ego sees then is drawn.  From the first step on
    the surroundings are imagined, one latent a step, and drawn or read from where the ego is.
    The action is held for the frames of a step, so the ego's motion is that of the simulator.

    - **Collision**: more than ``COLLISION_M2`` of imagined vehicles lie inside the ego's box
      (``TOUCH``); pixels fainter than ``HAZE`` do not count.  Whom it hit, and where, an image
      does not determine: ``collision_kind``, ``clearance_m`` and the like keep their values of the
      start.
    - **Off the road**: the fraction of the box on the imagined off-road area exceeds ``OFFROAD``.
    - **Arrival**: as in the simulator.
    - **Horizon**: after it, or as soon as the box leaves the imagined image, time is up.

    Args:
        scene: the recordings.
        road_map: their roads; only the first observation is drawn from them.
        config: observation and bounds.
        model: one whose predictions do not depend on the ego, so each episode's are made once, at
            its first step.
        horizon_s: longest episode; models drift.

    Raises:
        InputError: the model does not fit the recordings or the observation.
    """

    _per_env: ClassVar[tuple[str, ...]] = (
        *Simulator._per_env, "latents", "beyond_view_m", "_vehicles", "_road", "_poses",
    )  # fmt: skip

    def __init__(
        self,
        scene: Scene,
        road_map: RoadMap,
        config: SimulatorConfig,
        model: WorldModel,
        horizon_s: float,
    ):
        super().__init__(scene, road_map, config)
        self.model = model
        _check(model, config, scene.dt_s)
        self.steps = int(horizon_s / self.step_s + 1e-6)
        if self.steps < 1:
            raise InputError(f"horizon_s {horizon_s}: at least one step of {self.step_s:.1f} s")

    @property
    def step_s(self) -> float:
        """Seconds that one step of the world model takes."""
        return self.model.frames_per_step * self.model.dt_s

    def reset(self, scenarios: Scenarios) -> None:
        """Starts one episode a scenario."""
        envs, steps, raster = len(scenarios), self.steps, self.model.raster
        images = torch.zeros(envs, steps, 3, raster.rows, raster.columns, device=self.device)
        self._vehicles, self._road = images[:, :, 0].clone(), images[:, :, 1:].clone()
        self._poses = self._vehicles.new_zeros(envs, steps, 3)
        self.latents = self._vehicles.new_zeros(envs, steps, self.model.spec.latent)
        self.beyond_view_m = self._vehicles.new_zeros(envs)
        super().reset(scenarios)

    def replace(self, envs: Sequence[int] | Tensor, scenarios: Scenarios) -> None:
        """Starts new episodes; until ``draw`` is called, of the prior's most likely latents."""
        frames = self.steps * self.model.frames_per_step
        episodes = dataclasses.replace(
            scenarios,
            end_frame=scenarios.start_frame + frames,
            enough_m=np.full(len(scenarios), np.inf),
        )
        super().replace(envs, episodes)
        envs = torch.as_tensor(envs, dtype=torch.int64, device=self.device)
        self.latents[envs], self.beyond_view_m[envs] = 0.0, 0.0

    def draw(self, envs: Sequence[int], latents: Float[Tensor, "envs steps latent"]) -> None:
        """Chooses the futures of episodes that have not made a step yet."""
        self.latents[torch.as_tensor(envs, device=self.device)] = latents

    @torch.no_grad()
    def _imagine(self, envs: Int[Tensor, " envs"]) -> None:
        """The surroundings of whole episodes."""
        observation = observe(
            self.scene,
            self.road_map,
            self.model.observation,
            self.vehicle[envs],
            self.frame[envs],
        )
        prediction = self.model.rollout(observation, self.latents[envs, None])
        poses = prediction.pose[:, 0]
        self._vehicles[envs] = prediction.vehicle_images(poses)[:, 0, 0]
        self._road[envs] = prediction.road_images(poses)[:, 0, 0]
        self._poses[envs] = poses

    def _advance(self, envs: Int[Tensor, " envs"], actions: Float[Tensor, "envs 2"]) -> None:
        fresh = envs[self.frame[envs] == self.start_frame[envs]]
        if len(fresh):
            self._imagine(fresh)
        after = self.state[envs]
        for _ in range(self.model.frames_per_step):
            before, after = after, kinematics.step(after, actions, self.scene.dt_s)
            self.distance_m[envs] += (after[:, :2] - before[:, :2]).norm(dim=1)
        self.action[envs], self.state[envs] = actions, after
        self.frame[envs] += self.model.frames_per_step
        around, ego = self._surroundings(envs), self._ego(envs)
        self.beyond_view_m[envs] = around.outside_view_m(ego)[:, 0, 0]
        self._follow(envs)
        self.outcome[envs] = self._judge(envs)
        # Only multiples of the stride are read, so the frames between need no entry.
        cursor = (self._cursor[envs] + self.model.frames_per_step) % self._ring
        self._cursor[envs] = cursor
        rows = envs * self._ring + cursor
        self._past[rows] = after
        poses = after[:, None, :3]
        vehicles = around.vehicle_images(poses)[:, 0, 0, 0]
        road = around.road_images(poses)[:, 0, 0, 0]
        image = torch.stack([road[:, 0], vehicles, road[:, 1]], dim=1)
        self._images[rows] = to_bytes(image)

    def _judge(self, envs: Int[Tensor, " envs"]) -> Int[Tensor, " envs"]:
        outcome = super()._judge(envs)
        lost = (outcome == Outcome.RUNNING) & (self.beyond_view_m[envs] > 0)
        return torch.where(lost, int(Outcome.TIMEOUT), outcome)

    def _collided(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        around, ego = self._surroundings(envs), self._ego(envs)
        coverage = around.vehicles
        solid = dataclasses.replace(around, vehicles=torch.where(coverage > HAZE, coverage, 0.0))
        return solid.vehicle_mass(TOUCH.mask(ego), ego)[:, 0, 0, 0, 0] > COLLISION_M2

    def _offroad(self, envs: Int[Tensor, " envs"]) -> Bool[Tensor, " envs"]:
        around, ego = self._surroundings(envs), self._ego(envs)
        mass = around.road_mass(OUTSIDE.mask(ego), ego, OUTSIDE.channel)[..., 0]
        return OUTSIDE.cost(mass, ego)[:, 0, 0, 0] > OFFROAD

    def _surroundings(self, envs: Int[Tensor, " envs"]) -> OccupancyPrediction:
        """What is imagined for the present frame."""
        made = (self.frame[envs] - self.start_frame[envs]) // self.model.frames_per_step
        now = (envs, made - 1)
        vehicles = self._vehicles[now][:, None, None, None]
        return OccupancyPrediction(
            self._poses[now][:, None, None],
            self.model.raster,
            vehicles,
            self._road[now][:, None, None, None],
            UniformMotion(KnownSpeed(self.state[envs, 3])),
        )

    def _ego(self, envs: Int[Tensor, " envs"]) -> EgoPath:
        """Where the egos are, as masks want it."""
        return EgoPath(self.state[envs, None, None], self.size_m[envs])

    def _result(self, moved: Bool[Tensor, " envs"]) -> StepResult:
        result = super()._result(moved)
        return dataclasses.replace(result, steps=result.steps // self.model.frames_per_step)


def _check(model: WorldModel, config: SimulatorConfig, dt_s: float) -> None:
    """Whether the model can stand in for the simulator.

    Raises:
        InputError: it cannot.
    """
    observation = config.observation
    if model.spec.conditioned_on_ego:
        raise InputError(
            "this world model is conditioned on the ego's path; choose one whose predictions do "
            "not depend on it"
        )
    if abs(model.dt_s - dt_s) > 1e-6:
        raise InputError(
            f"the world model knows frames of {model.dt_s:g} s, the recording has {dt_s:g} s; "
            "use a recording of the frame rate it was trained on"
        )
    if observation is None or observation.raster != model.raster:
        raise InputError(
            f"the world model draws {model.raster.rows} x {model.raster.columns} pixels of "
            f"{model.raster.metres_per_pixel:.3f} m; observe an image of just that size"
        )
    if observation.stride % model.frames_per_step:
        raise InputError(
            f"history_stride {observation.stride}: the world model predicts every "
            f"{model.frames_per_step} frames; use a multiple"
        )
