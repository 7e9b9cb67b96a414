"""What the simulator asks of the other vehicles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Everybody but the ego, at one moment: rows of tables, so that nothing is copied unasked.

    Attributes:
        table_boxes: ``(rows, slots, 5)`` x_m, y_m, heading_rad, length_m, width_m.
        table_speed_mps: ``(rows, slots)``.
        table_vehicle: ``(rows, slots)`` the scene's number of it, -1 where free.
        row: ``(envs,)`` whom an environment meets.
        ego: ``(envs,)`` the scene's number of the vehicle whose place the ego has taken.
    """

    table_boxes: Float[Tensor, "rows slots 5"]
    table_speed_mps: Float[Tensor, "rows slots"]
    table_vehicle: Int[Tensor, "rows slots"]
    row: Int[Tensor, " envs"]
    ego: Int[Tensor, " envs"]

    @cached_property
    def boxes(self) -> Float[Tensor, "envs slots 5"]:
        """Each environment's row of boxes."""
        return self.table_boxes[self.row]

    @cached_property
    def speed_mps(self) -> Float[Tensor, "envs slots"]:
        """Their speeds."""
        return self.table_speed_mps[self.row]

    @cached_property
    def vehicle(self) -> Int[Tensor, "envs slots"]:
        """Their numbers, -1 where a slot is free."""
        return self.table_vehicle[self.row]

    @cached_property
    def present(self) -> Bool[Tensor, "envs slots"]:
        """Whether a slot holds a vehicle other than the ego."""
        return (self.vehicle >= 0) & (self.vehicle != self.ego[:, None])


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

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """What it remembers of each environment, ``(envs, ...)`` each."""

    @abstractmethod
    def with_state(self, state: Mapping[str, Tensor]) -> Traffic:
        """The same drivers with other memories, as ``state_dict`` gives them."""
