"""Episodes in Gymnasium's terms: what the single and the vector environment have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import UInt8

from ppuu.kinematics import ActionBounds
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.runtime.config import from_json, to_json
from ppuu.runtime.errors import InputError

from ..core.scenario import ScenarioConfig, Scenarios
from ..core.simulator import Simulator, SimulatorConfig, StepResult
from ..core.termination import SUCCESSES, CollisionKind, Outcome
from ..core.variation import Variation
from ..core.world import World, load_world
from ..observations import ImageConfig, SensorConfig, sensor_configs
from ..traffic.registry import traffic_by_name
from .render import Renderer
from .reset_options import Start, begin_at, choose_start
from .reward import Before, Step, reward_weights, weighted_terms
from .sites import locate

TERMINATING = (
    Outcome.ARRIVED, Outcome.MISSED, Outcome.COLLISION, Outcome.OFFROAD, Outcome.WRONG_WAY,
)  # fmt: skip

_NO_IMAGE = RasterConfig(rows=1, columns=1)
"""The simulator always draws a history; where no image is observed, it has one pixel."""


@dataclass(frozen=True)
class DenseTrafficConfig:
    """Arguments of the environments; JSON values only, so that specs travel to workers.

    Attributes:
        recording: an HDF5 recording, or several; ``envs.gym.sites.locate`` says where they lie.
        observation: what is observed, and how; see ``envs.observations.sensor_configs``.
        history_frames: images and ego states in an observation.
        history_stride: recorded frames between two of them.
        first_frame, last_frame: use ``first_frame <= frame < last_frame`` of each recording.
        task: what to do, a name in ``envs.tasks.registry.TASKS``.
        distance_m: arrival is where the human is after so much path.
        minimum_frames: shorter tracks are no episodes.
        time_limit_s: longest episode.
        reward: weights that replace or join those of ``envs.gym.reward.DEFAULT_WEIGHTS``.
        target_speed_mps: of the reward's term ``speed``; None for that of the recorded human.
        others: how the other vehicles move, a name in ``envs.traffic.registry``.
        variation: what differs from the recorded world, see ``envs.core.variation.Variation``.
    """

    recording: str | Sequence[str]
    observation: Mapping[str, Any] = field(default_factory=lambda: {"image": True, "ego": True})
    history_frames: int = ObservationConfig.frames
    history_stride: int = ObservationConfig.stride
    first_frame: int = 0
    last_frame: int | None = None
    task: str = ScenarioConfig.task
    distance_m: float = ScenarioConfig.distance_m
    minimum_frames: int = ScenarioConfig.minimum_frames
    time_limit_s: float = ScenarioConfig.time_limit_s
    reward: Mapping[str, float] = field(default_factory=dict)
    target_speed_mps: float | None = None
    others: str = "replay"
    variation: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def varied(self) -> Variation:
        """What differs from the recorded world."""
        return from_json(Variation, {k: to_json(v) for k, v in self.variation.items()}, "variation")

    @cached_property
    def sensors(self) -> dict[str, SensorConfig]:
        """What is observed, by name."""
        return sensor_configs(self.observation)

    @cached_property
    def history(self) -> ObservationConfig:
        """The images and ego states that the simulator remembers."""
        image = self.sensors.get("image")
        raster = image.raster if isinstance(image, ImageConfig) else _NO_IMAGE
        return ObservationConfig(self.history_frames, self.history_stride, raster)

    def episodes(self, envs: int) -> Episodes:
        """The recordings' episodes, in so many slots."""
        return Episodes(self, envs)

    def simulator(self, world: World) -> Simulator:
        """An empty one."""
        varied, dt_s = self.varied, world.scene.dt_s
        return Simulator(
            world.scene,
            world.road_map,
            SimulatorConfig(
                self.history, actuation=varied.actuation(dt_s), perception=varied.perception(dt_s)
            ),
            traffic_by_name(self.others, world.scene, world.recordings, varied.others()),
        )

    @property
    def context_frames(self) -> int:
        """Recorded frames before an episode's start."""
        return max(ScenarioConfig.context_frames, self.history.span)

    def load(self) -> World:
        """Reads the recordings."""
        several = not isinstance(self.recording, str | Path)
        recordings = self.recording if several else [self.recording]
        scenarios = ScenarioConfig(
            context_frames=self.context_frames,
            task=self.task,
            distance_m=self.distance_m,
            minimum_frames=self.minimum_frames,
            time_limit_s=self.time_limit_s,
        )
        return load_world(
            [locate(recording) for recording in recordings],
            scenarios,
            self.history.raster,
            self.first_frame,
            self.last_frame,
            self.varied,
        )


class Episodes:
    """A simulator whose actions, observations, rewards and infos are numpy arrays.

    Args:
        config: the environment's arguments.
        envs: number of slots.
    """

    def __init__(self, config: DenseTrafficConfig, envs: int):
        self.world = config.load()
        self.simulator = config.simulator(self.world)
        self.weights = reward_weights(config.reward)
        self.target_speed_mps = config.target_speed_mps
        self.scenario = np.zeros(envs, np.int64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._sensors = {
            name: sensor.build(self.world, config.history)
            for name, sensor in config.sensors.items()
        }
        self.observation_space = spaces.Dict(
            {name: sensor.space for name, sensor in self._sensors.items()}
        )
        self._largest = ActionBounds().largest(torch.zeros(1))
        self._recordings = [recording.name for recording in self.world.recordings]
        self._renderer = Renderer(self.world.recordings)

    def begin(
        self,
        envs: Sequence[int],
        random: Sequence[np.random.Generator],
        options: Mapping[str, Any] | None,
    ) -> None:
        """Starts episodes in the given slots; the first call must fill all of them.

        Args:
            envs: numbers of the slots.
            random: the generator of each.
            options: as given to ``reset``; see ``envs.gym.reset_options.choose_start``.
        """
        self.start(envs, [self._choose(generator, options) for generator in random])

    def _choose(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> Start:
        return choose_start(self.world.scenarios, self._recordings, random, options)

    def start(self, envs: Sequence[int], starts: Sequence[Start]) -> None:
        """Starts given episodes in the given slots; the first call must fill all of them."""
        self.scenario[list(envs)] = [start.scenario for start in starts]
        self._start(envs, begin_at(self.world.scenarios, starts, self.world.scene))

    def _start(self, envs: Sequence[int], scenarios: Scenarios) -> None:
        if self.simulator.envs == 0:
            self.simulator.reset(scenarios)
        else:
            self.simulator.replace(envs, scenarios)

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Moves the unfinished episodes.

        Args:
            actions: ``(envs, 2)`` in [-1, 1].

        Returns:
            rewards, terminated, truncated, and the reward's weighted terms by info key.
        """
        if self.simulator.envs == 0:
            raise InputError("step before reset: call reset() first")
        scaled = torch.as_tensor(actions, dtype=torch.float32)
        if scaled.shape != (self.simulator.envs, 2):
            raise InputError(
                f"action of shape {tuple(scaled.shape)[1:]}: two numbers are expected, "
                "acceleration and curvature, each from -1 to 1"
            )
        before = Before.of(self.simulator)
        return self.transition(before, self.simulator.step(scaled * self._largest))

    def transition(
        self, before: Before, result: StepResult
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """What ``step`` returns, for a step that the simulator has already made.

        Args:
            before: taken before the step.
            result: of the step.
        """
        step = Step(self.simulator, result, before, self.target_speed_mps)
        weighted = {
            f"reward/{name}": term.numpy()
            for name, term in weighted_terms(self.weights, step).items()
        }
        outcome = result.outcome.numpy()
        terminated = np.isin(outcome, TERMINATING)
        rewards = np.sum(list(weighted.values()), axis=0)
        return rewards, terminated, (outcome != 0) & ~terminated, weighted

    def observation(self) -> dict[str, np.ndarray]:
        """Batched observations, in new arrays."""
        history = self.simulator.observe(pixels=False)
        return {
            name: sensor.read(self.simulator, history) for name, sensor in self._sensors.items()
        }

    def picture(self, env: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """One episode from above, for people."""
        return self._renderer.frame(self.simulator, env)

    def info(self, terms: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """One array a key, one element an episode; the same keys at reset and at every step."""
        simulator, scenarios = self.simulator, self.world.scenarios
        outcome = simulator.outcome.numpy()
        recording = simulator.road.numpy()
        first = simulator.scene.frame_offset[simulator.road]
        steps = (simulator.frame - simulator.start_frame).numpy()
        zero = np.zeros(len(outcome))
        terms = terms or {f"reward/{name}": zero for name in self.weights}
        return {
            "outcome": np.array([Outcome(k).name.lower() for k in outcome], object),
            "collision": outcome == Outcome.COLLISION,
            "collision_kind": np.array(
                [CollisionKind(k).name.lower() for k in simulator.collision_kind.tolist()], object
            ),
            "at_fault": simulator.at_fault.numpy().copy(),
            "offroad": outcome == Outcome.OFFROAD,
            "is_success": np.isin(outcome, SUCCESSES),
            "arrived": outcome == Outcome.ARRIVED,
            "missed": outcome == Outcome.MISSED,
            "stalled": outcome == Outcome.STALLED,
            "wrong_way": outcome == Outcome.WRONG_WAY,
            "timeout": outcome == Outcome.TIMEOUT,
            "speed_mps": _floats(simulator.state[:, 3]),
            "distance_m": _floats(simulator.distance_m),
            "progress_m": _floats(simulator.progress_m),
            "human_progress_m": _floats(simulator.human_distance_m),
            "clearance_m": _floats(simulator.clearance_m),
            "time_to_collision_s": _floats(simulator.time_to_collision_s),
            "time_s": steps * self.world.scene.dt_s,
            "scenario": self.scenario.copy(),
            "vehicle_id": scenarios.vehicle_id[self.scenario],
            "recording": np.array([self._recordings[k] for k in recording], object),
            "start_frame": (simulator.start_frame - first).numpy(),
            "frame": (simulator.frame - first).numpy(),
            **terms,
        }


def _floats(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy()
