"""``python -m eval.to_minari``: recorded driving as a Minari dataset of ``ppuu/DenseTraffic-v0``.

Minari (Farama Foundation) is the exchange format of offline reinforcement learning.  The episodes
are driven in the environment itself, so rewards and endings are its own, and a dataset holds what
an agent would have seen.  ``train.batches.demonstrations`` reads one back.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from tqdm import tqdm

from data.splits import Split, window
from envs.core.termination import Outcome
from envs.gym.episodes import DenseTrafficConfig, Episodes
from envs.gym.reset_options import Start
from ppuu import __version__
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.policies import Policy
from ppuu.policies.device import to_device
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.packages import import_extra
from ppuu.runtime.provenance import source_commit

from .driving.drivers import policy_by_name
from .driving.scenario_set import choose_action

ENVIRONMENT = "ppuu/DenseTraffic-v0"


@dataclass(eq=False)
class DrivenEpisode:
    """What the environment gave and took in one episode of ``T`` steps.

    Attributes:
        scenario: its number in the environment; ``reset(options={"scenario": …})`` starts it.
        images: ``T + 1`` uint8 arrays ``(history_frames * 3, rows, columns)``.
        ego: ``T + 1`` float32 arrays, the ego's history.
        actions: ``T`` float32 arrays ``(2,)`` in [-1, 1].
        rewards: ``T`` numbers.
        outcome: name of the ending.
        terminated: else truncated.
    """

    scenario: int
    images: list[np.ndarray] = field(default_factory=list)
    ego: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    outcome: str = "running"
    terminated: bool = False

    def see(self, observation: dict[str, np.ndarray], slot: int) -> None:
        """Appends one slot of a batched observation."""
        self.images.append(observation["image"][slot])
        self.ego.append(observation["ego"][slot])


@torch.no_grad()
def drive(policy: Policy, episodes: Episodes, scenarios: range) -> Iterator[DrivenEpisode]:
    """Drives each scenario once, as many at a time as there are slots; yields what has ended.

    A slot whose episode has ended takes the next scenario.  Actions are rounded to what the
    environment's action space holds before they are carried out: what is recorded is what acted.
    """
    waiting = iter(scenarios)
    running = {slot: DrivenEpisode(next(waiting)) for slot in range(len(episodes.scenario))}
    largest = episodes.simulator.config.bounds.largest(torch.zeros(1))
    _begin(policy, episodes, running, range(len(running)))
    while running:
        actions = choose_action(policy, episodes.simulator) / largest
        actions = actions.clamp(-1.0, 1.0).float().numpy()
        rewards, terminated, truncated, _ = episodes.step(actions)
        seen = episodes.observation()
        ended = [slot for slot in running if terminated[slot] or truncated[slot]]
        for slot, episode in running.items():
            episode.see(seen, slot)
            episode.actions.append(actions[slot])
            episode.rewards.append(float(rewards[slot]))
        for slot in ended:
            episode = running.pop(slot)
            episode.terminated = bool(terminated[slot])
            episode.outcome = Outcome(int(episodes.simulator.outcome[slot])).name.lower()
            yield episode
        fresh = [(slot, k) for slot in ended if (k := next(waiting, None)) is not None]
        running |= {slot: DrivenEpisode(scenario) for slot, scenario in fresh}
        _begin(policy, episodes, running, [slot for slot, _ in fresh])


def _begin(
    policy: Policy, episodes: Episodes, running: dict[int, DrivenEpisode], slots: Iterable[int]
) -> None:
    """Starts the episodes in these slots and notes what they see first."""
    slots = list(slots)
    if not slots:
        return
    episodes.start(slots, [Start(running[slot].scenario) for slot in slots])
    fresh = torch.zeros(episodes.simulator.envs, dtype=torch.bool)
    fresh[slots] = True
    policy.reset(fresh)
    seen = episodes.observation()
    for slot in slots:
        running[slot].see(seen, slot)


def write_dataset(
    dataset_id: str, settings: dict[str, Any], policy: Policy, name: str, slots: int = 16
) -> Path:
    """Drives all scenarios of an environment and files the episodes under Minari's folder.

    Every episode's metadata names scenario, recording, vehicle, first frame and outcome.

    Args:
        dataset_id: ``(namespace/)name-v0``.
        settings: arguments of the environment, JSON values.
        policy, name: who drives.
        slots: episodes driven at once; all of them are held in memory.

    Returns:
        The dataset's folder; it appears whole or not at all.

    Raises:
        InputError: Minari is not installed, or the dataset exists, or that is no such name.
    """
    minari = import_extra("minari", "minari")
    storages = import_extra("minari.dataset.minari_storage", "minari")
    folder = _free_folder(dataset_id)
    config = DenseTrafficConfig(**settings)
    count = len(config.load().scenarios)
    episodes = Episodes(config, min(slots, count))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        storage = storages.MinariStorage.new(
            Path(temporary) / "data",
            observation_space=episodes.observation_space,
            action_space=episodes.action_space,
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
        bar = tqdm(total=count, desc=f"drive {name}", disable=not sys.stderr.isatty())
        with bar:
            for number, episode in enumerate(drive(policy, episodes, range(count))):
                storage.update_episodes([_buffer(episode)])
                storage.update_episode_metadata([_metadata(episode, episodes)], [number])
                bar.update()
        os.replace(Path(temporary) / "data", folder / "data")
    return folder


def _buffer(episode: DrivenEpisode) -> Any:
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


def _metadata(episode: DrivenEpisode, episodes: Episodes) -> dict[str, Any]:
    """Whose place was taken, where, and how it ended."""
    scenarios, k = episodes.world.scenarios, episode.scenario
    return {
        "recording": episodes.world.recordings[int(scenarios.recording[k])].name,
        "vehicle_id": int(scenarios.vehicle_id[k]),
        "start_frame": int(scenarios.start_frame[k]),
        "outcome": episode.outcome,
        "rewards_sum": float(np.sum(episode.rewards)),
    }


def _free_folder(dataset_id: str) -> Path:
    """Where Minari looks for a dataset that does not exist yet; its namespace is made."""
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
            f"--dataset-id {dataset_id}: {folder} is there already; choose another version, or "
            f"remove it with: minari delete {dataset_id}"
        )
    if namespace is not None and namespace not in namespaces.list_local_namespaces():
        namespaces.create_namespace(namespace)
    return folder


def _frames(recordings: Sequence[Recording], split: Split) -> tuple[int, int | None]:
    """First and last frame of a split, which one environment must share among its recordings."""
    if split == "all":
        return 0, None
    windows = {window(recording, split) for recording in recordings}
    if len(windows) > 1:
        raise InputError(
            f"--split {split} is of other frames in each of the {len(recordings)} recordings, and "
            "an environment has one window: export them one by one, then minari combine"
        )
    (frames,) = windows
    return frames.first, frames.last


def main(
    recordings: tuple[Path, ...],
    dataset_id: str,
    policy: str = "human",
    split: Split = "train",
    device: str = "cpu",
) -> None:
    """Drives every scenario once and keeps the episodes as a Minari dataset.

    The dataset goes where Minari looks for it: $MINARI_DATASETS_PATH, else ~/.minari/datasets.
    It stores images as they are, 34 kB a step with the default history.

    Args:
        recordings: files written by data.generate or data.prepare.
        dataset_id: such as i80/human-v0.
        policy: human, no-action, idm, or a run directory of train.policy.
        split: which part of each recording.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    driver = to_device(policy_by_name(policy), choose_device(device))
    seen = driver.observation or ObservationConfig()
    if seen.raster != RasterConfig() or seen.vehicles:
        raise InputError(f"--policy {policy}: sees something else than the environment shows")
    first, last = _frames(load_recordings(recordings), split)
    settings = {
        "recording": [str(path) for path in recordings],
        "history_frames": seen.frames,
        "history_stride": seen.stride,
        "first_frame": first,
        "last_frame": last,
    }
    folder = write_dataset(dataset_id, settings, driver, Path(policy).name)
    print(f"{folder}: read it with minari.load_dataset({dataset_id!r})")


if __name__ == "__main__":
    run(main)
