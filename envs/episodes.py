"""Episodes in Gymnasium's terms: what the single and the vector environment have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from ppuu.errors import InputError
from ppuu.observation import ObservationConfig
from ppuu.raster import CHANNELS

from .reward import reward_terms, reward_weights
from .scenario import ScenarioConfig
from .simulator import Simulator, SimulatorConfig
from .termination import CollisionKind, Outcome
from .world import World, load_world

SPEED_LIMIT_MPS = 60.0
"""Bound of the observed speed; no recorded vehicle comes near it."""
SIZE_LIMIT_M = 30.0
"""Bound of the observed length and width."""

TERMINATING = (Outcome.ARRIVED, Outcome.COLLISION, Outcome.OFFROAD)


@dataclass(frozen=True)
class DenseTrafficConfig:
    """Arguments of the environments; JSON values only, so that specs travel to workers.

    Attributes:
        recording: an HDF5 recording, or several.
        history_frames: images in an observation.
        history_stride: recorded frames between two of them.
        first_frame, last_frame: use ``first_frame <= frame < last_frame`` of each recording.
        distance_m: arrival is where the human is after so much path.
        minimum_frames: shorter tracks are no episodes.
        time_limit_s: longest episode.
        reward: weights that replace those of ``envs.reward.DEFAULT_WEIGHTS``.
    """

    recording: str | Sequence[str]
    history_frames: int = ObservationConfig.frames
    history_stride: int = ObservationConfig.stride
    first_frame: int = 0
    last_frame: int | None = None
    distance_m: float = ScenarioConfig.distance_m
    minimum_frames: int = ScenarioConfig.minimum_frames
    time_limit_s: float = ScenarioConfig.time_limit_s
    reward: Mapping[str, float] = field(default_factory=dict)

    @property
    def observation(self) -> ObservationConfig:
        """The images and ego states in an observation."""
        return ObservationConfig(self.history_frames, self.history_stride)

    def load(self) -> World:
        """Reads the recordings."""
        several = not isinstance(self.recording, str | Path)
        scenarios = ScenarioConfig(
            context_frames=max(ScenarioConfig.context_frames, self.observation.span),
            distance_m=self.distance_m,
            minimum_frames=self.minimum_frames,
            time_limit_s=self.time_limit_s,
        )
        return load_world(
            self.recording if several else [self.recording],
            scenarios,
            self.observation.raster,
            self.first_frame,
            self.last_frame,
        )


class Episodes:
    """A simulator whose actions, observations, rewards and infos are numpy arrays.

    Args:
        config: the environment's arguments.
        envs: number of slots.
    """

    def __init__(self, config: DenseTrafficConfig, envs: int):
        self.world = config.load()
        self.simulator = Simulator(
            self.world.scene, self.world.road_map, SimulatorConfig(config.observation)
        )
        self.weights = reward_weights(config.reward)
        self.scenario = np.zeros(envs, np.int64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._ego_bounds = _ego_bounds(config.observation, self.world.scene.dt_s)
        self.observation_space = _observation_space(config.observation, self._ego_bounds)
        self._largest = self.simulator.config.bounds.largest(torch.zeros(1))
        self._recordings = [recording.name for recording in self.world.recordings]

    def choose(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> int:
        """The scenario that ``reset``'s options ask for, or one at random.

        Raises:
            InputError: an unknown option, or a scenario that does not exist.
        """
        options, count = dict(options or {}), len(self.world.scenarios)
        asked = options.pop("scenario", None)
        if options:
            raise InputError(
                f"reset: unknown option '{next(iter(options))}'; the only one is 'scenario', "
                f"a number from 0 to {count - 1}"
            )
        if asked is None:
            return int(random.integers(count))
        if isinstance(asked, bool) or not isinstance(asked, int | np.integer):
            raise InputError(f"reset: scenario {asked!r} is not a whole number")
        if not 0 <= asked < count:
            raise InputError(f"reset: no scenario {asked}; there are 0 to {count - 1}")
        return int(asked)

    def begin(self, envs: Sequence[int], scenarios: Sequence[int]) -> None:
        """Starts scenarios in the given slots; the first call must fill all of them."""
        self.scenario[list(envs)] = scenarios
        if self.simulator.envs == 0:
            self.simulator.reset(self.world.scenarios[self.scenario])
        else:
            self.simulator.replace(list(envs), self.world.scenarios[list(scenarios)])

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
        asked = torch.as_tensor(actions, dtype=torch.float32)
        if asked.shape != (self.simulator.envs, 2):
            raise InputError(
                f"action of shape {tuple(asked.shape)[1:]}: two numbers are expected, "
                "acceleration and curvature, each from -1 to 1"
            )
        before = self.simulator.distance_m.clone()
        physical = asked * self._largest
        result = self.simulator.step(physical)
        terms = reward_terms(result, before, self.simulator.config.bounds, self.world.scene.dt_s)
        weighted = {
            f"reward/{name}": self.weights[name] * term.double().numpy()
            for name, term in terms.items()
        }
        outcome = result.outcome.numpy()
        terminated = np.isin(outcome, TERMINATING)
        rewards = np.sum(list(weighted.values()), axis=0)
        return rewards, terminated, (outcome != 0) & ~terminated, weighted

    def observation(self) -> dict[str, np.ndarray]:
        """Batched observations, in new arrays."""
        seen = self.simulator.observe()
        images = (seen.images * 255.0).round_().to(torch.uint8).flatten(1, 2)
        ego = seen.ego_features.numpy().clip(*self._ego_bounds)
        return {"image": images.numpy(), "ego": ego}

    def info(self, terms: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """One array a key, one element an episode; the same keys at reset and at every step."""
        simulator, scenarios = self.simulator, self.world.scenarios
        outcome = simulator.outcome.numpy()
        recording = simulator.road.numpy()
        frame = simulator.frame - simulator.scene.frame_offset[simulator.road]
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
            "arrived": outcome == Outcome.ARRIVED,
            "survived": outcome == Outcome.SURVIVED,
            "timeout": outcome == Outcome.TIMEOUT,
            "speed_mps": _floats(simulator.state[:, 3]),
            "progress_m": _floats(simulator.distance_m),
            "human_progress_m": _floats(simulator.human_distance_m),
            "clearance_m": _floats(simulator.clearance_m),
            "time_to_collision_s": _floats(simulator.time_to_collision_s),
            "time_s": steps * self.world.scene.dt_s,
            "scenario": self.scenario.copy(),
            "vehicle_id": scenarios.vehicle_id[self.scenario],
            "recording": np.array([self._recordings[k] for k in recording], object),
            "frame": frame.numpy(),
            **terms,
        }


def _floats(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy()


def _ego_bounds(config: ObservationConfig, dt_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest values of the ego's history and size."""
    reach = SPEED_LIMIT_MPS * config.span * dt_s
    low = [-reach, -reach, -np.pi, 0.0] * config.frames + [0.0, 0.0]
    high = [reach, reach, np.pi, SPEED_LIMIT_MPS] * config.frames + [SIZE_LIMIT_M, SIZE_LIMIT_M]
    return np.array(low, np.float32), np.array(high, np.float32)


def _observation_space(
    config: ObservationConfig, ego_bounds: tuple[np.ndarray, np.ndarray]
) -> spaces.Dict:
    """Images as channels (oldest first, three a frame) and the ego's history with its size."""
    shape = (config.frames * CHANNELS, config.raster.rows, config.raster.columns)
    return spaces.Dict(
        {"image": spaces.Box(0, 255, shape, np.uint8), "ego": spaces.Box(*ego_bounds)}
    )
