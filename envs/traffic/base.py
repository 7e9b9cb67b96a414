"""What the simulator asks of the other vehicles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.neighbours import Neighbours


class Traffic(ABC):
    """How the other vehicles move while the ego drives.

    ``envs`` are the numbers of the simulator's slots that a call is about, so that a driver
    model may keep state for each; every other argument has one row for each of them.

    Attributes:
        reacts: whether anybody has to be moved; if not, ``advance`` need not be called.
    """

    reacts: ClassVar[bool] = True

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
