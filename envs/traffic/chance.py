"""What is random in traffic: functions of the episode, the vehicle and the time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.counter_random import hashed, normal_of, uniform_of

from .fleet import Rows


@dataclass(frozen=True, eq=False)
class Chance:
    """The random numbers of one step.

    Attributes:
        episode: a key for each environment.
        vehicle: numbers of the vehicles in their recordings.
        frame: of the step, in each environment's recording.
    """

    episode: Int[Tensor, " envs"]
    vehicle: Int[Tensor, "envs slots"]
    frame: Int[Tensor, " envs"]

    def uniform(
        self, purpose: int, time: Int[Tensor, "envs #slots"] | None = None
    ) -> Float[Tensor, "envs slots"]:
        """A number from 0 to below 1 for each vehicle.

        Args:
            purpose: numbers for different purposes are independent.
            time: numbers at equal times are equal; by default each frame has its own.
        """
        return uniform_of(self._key(purpose, time))

    def normal(self, purpose: int, count: int) -> Float[Tensor, "envs slots count"]:
        """Standard normal numbers for each vehicle at this frame."""
        return normal_of(self._key(purpose, None), count)

    def normal_of_scene(self, purpose: int, count: int) -> Float[Tensor, "envs count"]:
        """Standard normal numbers for each environment at this frame."""
        return normal_of(hashed(self.episode, purpose, self.frame), count)

    def _key(self, purpose: int, time: Tensor | None) -> Int[Tensor, "envs slots"]:
        when = self.frame[:, None] if time is None else time
        return hashed(self.episode[:, None], purpose, self.vehicle, when)


class Dice:
    """Where the randomness of episodes comes from.

    An episode is known by its recording's name, its ego, its first frame and the seed; neither the
    other episodes of a batch nor the other recordings of a scene change its numbers.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        seed: of all episodes.
    """

    def __init__(self, scene: Scene, recordings: Sequence[Recording], seed: int):
        self.scene, self.seed = scene, seed
        digests = [hashlib.sha256(recording.name.encode()).digest() for recording in recordings]
        names = [int.from_bytes(digest[:8], "big", signed=True) for digest in digests]
        self._name = torch.tensor(names, device=scene.occupant.device)

    def episode(
        self, ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Int[Tensor, " envs"]:
        """Keys of the episodes that begin at scene frames with these egos."""
        road = self.scene.vehicle_recording[ego]
        first_frame, first_vehicle = self.scene.frame_offset[road], self.scene.vehicle_offset[road]
        return hashed(self._name[road], self.seed, ego - first_vehicle, frame - first_frame)

    def chance(self, rows: Rows, frame: Int[Tensor, " envs"]) -> Chance:
        """Of a step to scene frames; ``rows`` has the column ``episode``."""
        road = self.scene.vehicle_recording[rows["ego"]]
        return Chance(
            rows["episode"],
            rows["vehicle"] - self.scene.vehicle_offset[road][:, None],
            frame - self.scene.frame_offset[road],
        )
