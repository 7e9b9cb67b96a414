"""Episodes in Gymnasium's terms: what the single and the vector environment have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias, get_args

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import UInt8
from torch import Tensor

from ppuu.kinematics import ActionBounds
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.recordings.recording import Recording
from ppuu.runtime.config import from_json, to_json
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError

from ..core.scenario import ScenarioConfig
from ..core.simulator import Simulator, SimulatorConfig, StepResult
from ..core.termination import Outcome
from ..core.variation import Variation
from ..core.world import World, load_world
from ..observations import ImageConfig, Sensor, SensorConfig, sensor_configs
from ..traffic.registry import traffic_by_name
from .groups import GroupConfig
from .infos import COLLISION_KIND_NAMES, OUTCOME_NAMES, InfoLevel, numbers, with_names
from .render import Renderer
from .reset_options import Start, begin_at, choose_start
from .reward import Before, Step, reward_weights, weighted_terms
from .sites import locate

TERMINATING = (
    Outcome.ARRIVED, Outcome.MISSED, Outcome.COLLISION, Outcome.OFFROAD, Outcome.WRONG_WAY,
)  # fmt: skip

_IS_TERMINATING = np.isin([int(outcome) for outcome in Outcome], TERMINATING)

Observations: TypeAlias = dict[str, np.ndarray] | dict[str, Tensor]
"""Numpy's by default, torch's if asked for."""
Stepped: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]
"""Rewards, terminated, truncated, and the reward's weighted terms by info key."""

_NO_IMAGE = RasterConfig(rows=1, columns=1)
"""The simulator always draws a history; where no image is observed, it has one pixel."""


@dataclass(frozen=True)
class DenseTrafficConfig:
    """Arguments of the environments; JSON values only, so that specs travel to workers.

    Attributes:
        recording: an HDF5 recording, a folder, a pattern, a corpus' manifest, or several of them;
            ``envs.gym.sites.locate`` says where they lie.
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
        groups: of more recordings than fit into memory, see ``envs.gym.groups.GroupConfig``; all
            are loaded at once if empty.
        info: ``numbers``, ``full`` (with the names of their codes) or ``none``.
        device: where the simulator computes.
        tensors: whether observations are torch tensors on the device instead of numpy arrays.
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
    groups: Mapping[str, int] = field(default_factory=dict)
    info: InfoLevel = "numbers"
    device: str = "cpu"
    tensors: bool = False

    def __post_init__(self):
        if self.info not in get_args(InfoLevel):
            raise InputError(f"info {self.info!r}: choose one of {', '.join(get_args(InfoLevel))}")
        if self.groups and self.others == "sumo":
            raise InputError("groups: SUMO cannot be moved to others; choose others='reactive'")

    @cached_property
    def varied(self) -> Variation:
        """What differs from the recorded world."""
        return from_json(Variation, {k: to_json(v) for k, v in self.variation.items()}, "variation")

    @cached_property
    def sensors(self) -> dict[str, SensorConfig]:
        """What is observed, by name."""
        return sensor_configs(self.observation)

    def sensors_in(self, world: World) -> dict[str, Sensor]:
        """What observes, by name, for simulators of a world."""
        return {name: sensor.build(world, self.history) for name, sensor in self.sensors.items()}

    @cached_property
    def history(self) -> ObservationConfig:
        """The images and ego states that the simulator remembers."""
        image = self.sensors.get("image")
        raster = image.raster if isinstance(image, ImageConfig) else _NO_IMAGE
        return ObservationConfig(self.history_frames, self.history_stride, raster)

    @cached_property
    def in_groups(self) -> GroupConfig | None:
        """How the recordings take turns; None where all are in memory."""
        if not self.groups:
            return None
        return from_json(GroupConfig, {k: to_json(v) for k, v in self.groups.items()}, "groups")

    @cached_property
    def files(self) -> list[Path]:
        """The files of recordings."""
        several = not isinstance(self.recording, str | Path)
        recordings = self.recording if several else [self.recording]
        return [path for recording in recordings for path in locate(recording)]

    def episodes(
        self, envs: int, world: World, recording_numbers: Sequence[int] | None = None
    ) -> Episodes:
        """A world's episodes, in so many slots; see ``Episodes``."""
        return Episodes(self, envs, world, recording_numbers)

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

    @property
    def scenario_rules(self) -> ScenarioConfig:
        """Which vehicles can be the ego."""
        return ScenarioConfig(
            context_frames=self.context_frames,
            task=self.task,
            distance_m=self.distance_m,
            minimum_frames=self.minimum_frames,
            time_limit_s=self.time_limit_s,
        )

    def load(self) -> World:
        """Reads all recordings."""
        return load_world(
            self.files, self.scenario_rules, self.history.raster, self.first_frame, self.last_frame,
            self.varied, choose_device(self.device),
        )  # fmt: skip

    def build(self, recordings: Sequence[Recording]) -> World:
        """The world of some recordings."""
        return World.build(
            recordings, self.scenario_rules, self.history.raster, self.first_frame,
            self.last_frame, choose_device(self.device), self.varied,
        )  # fmt: skip


class EpisodeBatch(Protocol):
    """Episodes in slots, as the environments see them: in one world, or in several by turns.

    Attributes:
        action_space, observation_space: of one episode.
    """

    action_space: spaces.Box
    observation_space: spaces.Dict

    @property
    def recording_names(self) -> tuple[str, ...]:
        """By ``info["recording"]``."""
        ...

    @property
    def scenarios(self) -> int:
        """How many there are to choose from, in the world of the first slot."""
        ...

    @property
    def is_started(self) -> bool:
        """Whether ``begin`` has been called."""
        ...

    def rewind(self, envs: Sequence[int]) -> None:
        """A seed has been given to these slots: what follows must depend on nothing before."""
        ...

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
        ...

    def step(self, actions: Tensor) -> Stepped:
        """Moves the unfinished episodes; actions are ``(envs, 2)`` in [-1, 1]."""
        ...

    def observation(self) -> Observations:
        """Batched observations, in new arrays or, if asked for, tensors."""
        ...

    def info(self, terms: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """One array a key, one element an episode; the same keys at reset and at every step."""
        ...

    def picture(self, env: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """One episode from above, for people."""
        ...

    def close(self) -> None:
        """Releases what runs beside this process."""
        ...


class NamesOfCodes:
    """What the numbers in an environment's infos stand for."""

    _episodes: EpisodeBatch

    @property
    def outcome_names(self) -> tuple[str, ...]:
        """By ``info["outcome"]``."""
        return OUTCOME_NAMES

    @property
    def collision_kind_names(self) -> tuple[str, ...]:
        """By ``info["collision_kind"]``."""
        return COLLISION_KIND_NAMES

    @property
    def recording_names(self) -> tuple[str, ...]:
        """By ``info["recording"]``."""
        return self._episodes.recording_names


class Episodes:
    """A simulator whose actions, observations, rewards and infos are those of Gymnasium.

    Args:
        config: the environment's arguments.
        envs: number of slots.
        world: where the episodes are.
        recording_numbers: of the world's recordings, in ``info``; counted from 0 by default.
    """

    def __init__(
        self,
        config: DenseTrafficConfig,
        envs: int,
        world: World,
        recording_numbers: Sequence[int] | None = None,
    ):
        self.config = config
        self.world = world
        self.simulator = config.simulator(world)
        self.weights = reward_weights(config.reward)
        self.scenario = np.zeros(envs, np.int64)
        self.action_space: spaces.Box = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._sensors = config.sensors_in(world)
        self.observation_space = spaces.Dict(
            {name: sensor.space for name, sensor in self._sensors.items()}
        )
        self._largest = ActionBounds().largest(torch.zeros(1, device=world.device))
        self._recordings = [recording.name for recording in world.recordings]
        counted = range(len(self._recordings))
        self._recording_numbers = np.array(recording_numbers or counted)
        self._renderer = Renderer(world.recordings)

    @property
    def recording_names(self) -> tuple[str, ...]:
        """In the order of the world."""
        return tuple(self._recordings)

    @property
    def scenarios(self) -> int:
        """How many there are to choose from."""
        return len(self.world.scenarios)

    @property
    def is_started(self) -> bool:
        """Whether there are episodes."""
        return self.simulator.envs > 0

    def rewind(self, envs: Sequence[int]) -> None:
        """Nothing: one episode knows nothing of those before."""

    def begin(
        self,
        envs: Sequence[int],
        random: Sequence[np.random.Generator],
        options: Mapping[str, Any] | None,
    ) -> None:
        """See ``EpisodeBatch``."""
        self.start(envs, [self.choose(generator, options) for generator in random])

    def choose(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> Start:
        """A start that fits the options."""
        return choose_start(self.world.scenarios, self._recordings, random, options)

    def start(self, envs: Sequence[int], starts: Sequence[Start]) -> None:
        """Starts given episodes in the given slots; the first call must fill all of them."""
        self.scenario[list(envs)] = [start.scenario for start in starts]
        scenarios = begin_at(self.world.scenarios, starts, self.world.scene)
        if self.is_started:
            self.simulator.replace(envs, scenarios)
        else:
            self.simulator.reset(scenarios)

    def add(self, starts: Sequence[Start]) -> None:
        """Starts given episodes in slots behind those there are."""
        scenarios = begin_at(self.world.scenarios, starts, self.world.scene)
        before = self.simulator.state_dict() if self.is_started else None
        self.simulator.reset(scenarios)
        self.scenario = np.append(self.scenario, [start.scenario for start in starts])
        if before is not None:
            added = self.simulator.state_dict()
            joined = {name: torch.cat([kept, added[name]]) for name, kept in before.items()}
            self.simulator.load_state_dict(joined)

    def keep(self, envs: Sequence[int]) -> None:
        """Forgets all other slots."""
        self.simulator = self.simulator.select(envs)
        self.scenario = self.scenario[list(envs)]

    def step(self, actions: Tensor) -> Stepped:
        """See ``EpisodeBatch``."""
        before = Before.of(self.simulator)
        scaled = actions.to(self.world.device, torch.float32) * self._largest
        return self.transition(before, self.simulator.step(scaled))

    def transition(self, before: Before, result: StepResult) -> Stepped:
        """What ``step`` returns, for a step that the simulator has already made.

        Args:
            before: taken before the step.
            result: of the step.
        """
        step = Step(self.simulator, result, before, self.config.target_speed_mps)
        weighted = weighted_terms(self.weights, step)
        terms = torch.stack(list(weighted.values())).numpy(force=True)
        outcome = result.outcome.numpy(force=True)
        terminated = _IS_TERMINATING[outcome]
        named = {f"reward/{name}": term for name, term in zip(weighted, terms, strict=True)}
        return terms.sum(axis=0), terminated, (outcome != 0) & ~terminated, named

    def observe(self) -> dict[str, Tensor]:
        """Batched observations, in new tensors."""
        history = self.simulator.observe(pixels=False)
        return {
            name: sensor.read(self.simulator, history) for name, sensor in self._sensors.items()
        }

    def observation(self) -> Observations:
        """See ``EpisodeBatch``."""
        return handed_out(self.observe(), self.config)

    def picture(self, env: int) -> UInt8[np.ndarray, "rows columns 3"]:
        """See ``EpisodeBatch``."""
        return self._renderer.frame(self.simulator, env)

    def info(self, terms: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """See ``EpisodeBatch``."""
        if self.config.info == "none":
            return {}
        return with_names({**self.numbers(), **(terms or {})}, self._recordings, self.config.info)

    def numbers(self) -> dict[str, np.ndarray]:
        """The info of a first step, without names: no term of the reward has been earned."""
        road = self.simulator.road.numpy(force=True)
        return numbers(self.simulator) | {
            "scenario": self.scenario.copy(),
            "vehicle_id": self.world.scenarios.vehicle_id[self.scenario],
            "recording": self._recording_numbers[road],
            **{f"reward/{name}": np.zeros(len(road)) for name in self.weights},
        }

    def close(self) -> None:
        """See ``EpisodeBatch``."""
        self.simulator.close()


def handed_out(observation: Mapping[str, Tensor], config: DenseTrafficConfig) -> Observations:
    """Observations as the environment's user has asked for them."""
    if config.tensors:
        return dict(observation)
    return {name: values.numpy(force=True) for name, values in observation.items()}


def read_actions(actions: Any, envs: int) -> Tensor:
    """Actions of any library, as a tensor.

    Raises:
        InputError: not two numbers for each episode.
    """
    read = torch.as_tensor(actions)
    if read.shape != (envs, 2):
        raise InputError(
            f"action of shape {tuple(read.shape)[1:]}: two numbers are expected, "
            "acceleration and curvature, each from -1 to 1"
        )
    return read
