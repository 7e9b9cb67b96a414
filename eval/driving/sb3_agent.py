"""Agents of Stable-Baselines3, driven and judged like every other policy."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from envs.core.simulator import Simulator
from envs.core.world import World
from envs.gym.episodes import DenseTrafficConfig
from envs.observations import Sensor
from ppuu.kinematics import ActionBounds
from ppuu.perception.observation import Observation
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies import Policy
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import read_json
from ppuu.runtime.packages import import_extra
from ppuu.runtime.provenance import RUN_FILE_NAME

SUFFIX = ".zip"

_OFF_POLICY = {"sac": "SAC", "td3": "TD3"}
"""Modules of policies with an algorithm of their own; all others are loaded as PPO."""


class Sb3Agent(Policy):
    """What the agent of an archive does, from the environment's own observations.

    What it observes stands in the ``run.json`` that ``train.sb3`` writes beside it; without one
    it is taken to be the default of every entry of the archive's observation space.  Reading an
    archive runs code that it holds (Stable-Baselines3 pickles): open only those that you trust.

    Args:
        path: archive, as ``model.save`` writes it.

    Raises:
        InputError: Stable-Baselines3 is missing, or the file is no such archive.
    """

    def __init__(self, path: Path):
        package = import_extra("stable_baselines3", "baselines")
        self._model = getattr(package, _algorithm(path)).load(path, device="cpu")
        self._path = path
        space = self._model.observation_space
        if not isinstance(space, spaces.Dict):
            raise InputError(f"{path}: observes {space}, not a Dict as this environment's")
        self._config = DenseTrafficConfig("", **_observed(path, space))
        self.observation = self._config.history
        self._sensors: Mapping[str, Sensor] = {}
        self._simulator: Simulator | None = None

    def enter(self, world: World, simulator: Simulator) -> None:
        """Its sensors read this simulator from now on.

        Raises:
            InputError: what it was trained to observe is not what these sensors give.
        """
        self._simulator = simulator
        self._sensors = self._config.sensors_in(world)
        for name, space in self._model.observation_space.spaces.items():
            given = self._sensors[name].space
            if given.shape != space.shape:
                raise InputError(
                    f"{self._path}: trained on {name} of shape {space.shape}, the environment "
                    f"gives {given.shape}; put the {RUN_FILE_NAME} of its training beside it"
                )

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The mean of the agent's actions."""
        assert self._simulator is not None, "enter() comes first"
        read = {
            name: sensor.read(self._simulator, observation).numpy(force=True)
            for name, sensor in self._sensors.items()
        }
        scaled, _ = self._model.predict(read, deterministic=True)
        actions = torch.as_tensor(scaled, dtype=observation.ego.dtype)
        return actions.clamp(-1.0, 1.0) * ActionBounds().largest(observation.ego)


def _algorithm(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            module = json.loads(archive.read("data"))["policy_class"]["__module__"]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        raise InputError(f"{path}: no agent of Stable-Baselines3") from None
    return next((name for part, name in _OFF_POLICY.items() if f".{part}." in module), "PPO")


def _observed(path: Path, space: spaces.Dict) -> dict[str, Any]:
    """The environment's arguments on which the observation depends."""
    record = path.parent / RUN_FILE_NAME
    if record.is_file():
        settings = read_json(record)["config"]["settings"]
        names = ("observation", "history_frames", "history_stride")
        return {name: settings[name] for name in names if name in settings}
    return {"observation": dict.fromkeys(space.spaces, True)}
