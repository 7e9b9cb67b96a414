"""Episodes of ``ppuu/DenseTraffic-v1`` in a Minari dataset, as this package's observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.kinematics import ActionBounds
from ppuu.perception.observation import Observation
from ppuu.perception.raster_image import CHANNELS
from ppuu.runtime.errors import InputError
from ppuu.runtime.packages import import_extra


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One episode of ``steps`` actions.

    Attributes:
        observation: ``steps`` of them, what was seen before each action; images in steps of
            1/255, ego states relative to the present pose (the environment gives no others).
        actions: ``(steps, 2)`` m/s² and 1/m.
        rewards: ``(steps,)`` as the environment gave them.
        terminated: whether the episode ended by arrival or failure; else it was cut short.
    """

    observation: Observation
    actions: Float[Tensor, "steps 2"]
    rewards: Float[np.ndarray, " steps"]
    terminated: bool


def demonstrations(dataset_id: str) -> Iterator[Demonstration]:
    """Reads the episodes one by one.

    Raises:
        InputError: Minari is not installed, or there is no such dataset here, or it is not of
            this environment.
    """
    minari = import_extra("minari", "minari")
    try:
        dataset = minari.load_dataset(dataset_id)
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise InputError(f"dataset {dataset_id}: {error}") from None
    name = dataset.env_spec.id if dataset.env_spec else "an unnamed environment"
    if name != "ppuu/DenseTraffic-v1":
        raise InputError(f"dataset {dataset_id}: of {name}, not of ppuu/DenseTraffic-v1")
    for episode in dataset.iterate_episodes():
        yield Demonstration(
            _observation(episode.observations["image"][:-1], episode.observations["ego"][:-1]),
            _physical(episode.actions),
            episode.rewards,
            bool(episode.terminations[-1]),
        )


def _observation(image: np.ndarray, ego: np.ndarray) -> Observation:
    """Undoes ``envs.gym.episodes.Episodes.observation``."""
    images = torch.from_numpy(image).unflatten(1, (-1, CHANNELS)).float() / 255.0
    features = torch.from_numpy(ego)
    return Observation(images, features[:, :-2].unflatten(1, (-1, 4)), features[:, -2:])


def _physical(actions: np.ndarray) -> Tensor:
    scaled = torch.from_numpy(actions)
    return scaled * ActionBounds().largest(scaled)
