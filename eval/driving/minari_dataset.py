"""Driven episodes as a Minari dataset of ``ppuu/DenseTraffic-v1``.

Minari (Farama Foundation) is the exchange format of offline reinforcement learning.  Rewards and
endings are the environment's own, and a dataset holds what an agent would have observed.
``train.batches.demonstrations`` reads one back.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from envs.gym.episodes import DenseTrafficConfig, Episodes
from ppuu import __version__
from ppuu.policies import Policy
from ppuu.runtime.errors import InputError
from ppuu.runtime.packages import import_extra
from ppuu.runtime.provenance import source_commit

from .environment_episode import EnvironmentEpisode, drive_environment

ENVIRONMENT = "ppuu/DenseTraffic-v1"


def write_dataset(
    dataset_id: str, settings: dict[str, Any], policy: Policy, name: str, slots: int = 16
) -> Path:
    """Drives all scenarios of an environment and writes the episodes to Minari's folder.

    Every episode's metadata names scenario, recording, vehicle, first frame and outcome.

    Args:
        dataset_id: ``(namespace/)name-v0``.
        settings: arguments of the environment, JSON values.
        policy, name: the driver.
        slots: episodes driven at a time; all of them are held in memory.

    Returns:
        The dataset's folder; it appears complete or not at all.

    Raises:
        InputError: Minari is not installed, the dataset exists, or its name is not valid.
    """
    minari = import_extra("minari", "minari")
    storages = import_extra("minari.dataset.minari_storage", "minari")
    folder = _free_folder(dataset_id)
    config = DenseTrafficConfig(**settings)
    environment = Episodes(config, slots, config.load())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        storage = storages.MinariStorage.new(
            Path(temporary) / "data",
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            env_spec=dataclasses.replace(gymnasium.spec(ENVIRONMENT), kwargs=settings),
            jpeg_encoding=False,
        )
        storage.update_metadata(
            {
                "dataset_id": dataset_id,
                "minari_version": minari.__version__,
                "algorithm_name": name,
                "description": f"'{name}' driving in recorded traffic",
                "requirements": [f"ppuu=={__version__}"],
                "source_commit": source_commit(),
            }
        )
        numbers = itertools.count()

        def write(episode: EnvironmentEpisode) -> None:
            storage.update_episodes([_buffer(episode)])
            storage.update_episode_metadata([_metadata(episode, environment)], [next(numbers)])

        drive_environment(policy, environment, slots, write, name)
        os.replace(Path(temporary) / "data", folder / "data")
    return folder


def _buffer(episode: EnvironmentEpisode) -> Any:
    """The episode as Minari stores one."""
    steps = len(episode.rewards)
    last = np.arange(steps) == steps - 1
    return import_extra("minari.data_collector.episode_buffer", "minari").EpisodeBuffer(
        options={"scenario": episode.scenario},
        observations={"image": np.stack(episode.images), "ego": np.stack(episode.ego)},
        actions=np.stack(episode.actions),
        rewards=np.array(episode.rewards),
        terminations=last & episode.terminated,
        truncations=last & (not episode.terminated),
    )


def _metadata(episode: EnvironmentEpisode, environment: Episodes) -> dict[str, Any]:
    """The scenario and its outcome."""
    scenarios, k = environment.world.scenarios, episode.scenario
    return {
        "recording": environment.world.recordings[int(scenarios.recording[k])].name,
        "vehicle_id": int(scenarios.vehicle_id[k]),
        "start_frame": int(scenarios.start_frame[k]),
        "outcome": episode.outcome,
        "rewards_sum": float(np.sum(episode.rewards)),
    }


def _free_folder(dataset_id: str) -> Path:
    """Minari's folder for a dataset that does not exist yet; its namespace is created."""
    datasets = import_extra("minari.dataset.minari_dataset", "minari")
    namespaces = import_extra("minari.namespace", "minari")
    storage = import_extra("minari.storage", "minari")
    try:
        namespace, _, _ = datasets.parse_dataset_id(dataset_id)
    except (ValueError, TypeError):
        raise InputError(
            f"--dataset-id {dataset_id}: name it like i80/human-v0, with a version at the end"
        ) from None
    folder = storage.get_dataset_path(dataset_id)
    if (folder / "data").exists():
        raise InputError(
            f"--dataset-id {dataset_id}: {folder} exists already; choose another version, or "
            f"remove it with: minari delete {dataset_id}"
        )
    if namespace is not None and namespace not in namespaces.list_local_namespaces():
        namespaces.create_namespace(namespace)
    return folder
