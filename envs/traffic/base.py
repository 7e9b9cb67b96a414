"""What the simulator asks of the other vehicles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Everybody but the ego, at one moment.

    Attributes:
        boxes: ``(envs, slots, 5)`` x_m, y_m, heading_rad, length_m, width_m.
        speed_mps: ``(envs, slots)``.
        present: ``(envs, slots)`` whether the slot holds a vehicle.
        vehicle: ``(envs, slots)`` the scene's number of it, -1 where free.
    """

    boxes: Float[Tensor, "envs slots 5"]
    speed_mps: Float[Tensor, "envs slots"]
    present: Bool[Tensor, "envs slots"]
    vehicle: Int[Tensor, "envs slots"]


class Traffic(ABC):
    """How the other vehicles move while the ego drives.

    ``envs`` are the numbers of the simulator's slots that a call is about, so that a driver
    model may keep state for each; every other argument has one row for each of them.
    """

    @abstractmethod
    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """New episodes begin at scene frames, with the recorded vehicle ``ego`` taken out."""

    @abstractmethod
    def advance(
        self,
        envs: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, "envs"],
    ) -> None:
        """Moves the others to ``frame``; the ego is given as it stood one frame earlier."""

    @abstractmethod
    def neighbours(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Neighbours:
        """Where the others are at the present frame."""
