"""The interface of the simulator to the traffic around the egos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from ppuu.recordings.neighbours import Neighbours


class Traffic(ABC):
    """How the other vehicles move while the ego drives.

    ``envs`` are the indices of the simulator's slots that a call concerns, so that a traffic model
    can keep a state for each; all other arguments have one row for each of them.

    Attributes:
        reacts: whether vehicles have to be moved; if not, ``advance`` need not be called.
    """

    reacts: ClassVar[bool] = True

    @abstractmethod
    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """New episodes begin at scene frames, without the recorded vehicle ``ego``."""

    @abstractmethod
    def advance(
        self,
        envs: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        ego_box: Float[Tensor, "envs 5"],
        ego_speed_mps: Float[Tensor, "envs"],
    ) -> None:
        """Moves the others to ``frame``; the ego's box and speed are those one frame earlier."""

    @abstractmethod
    def neighbours(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> Neighbours:
        """The others at the present frame."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """The state of each environment, ``(envs, ...)`` each."""

    @abstractmethod
    def with_state(self, state: Mapping[str, Tensor]) -> Traffic:
        """The same traffic model with another state, as ``state_dict`` returns it."""

    def around(
        self, envs: Int[Tensor, " copies"], ego_box: Float[Tensor, "copies 5"], most: int
    ) -> Traffic:
        """Copies of environments, each as often as it is named, to try things out.

        Args:
            envs: which.
            ego_box: of each copy.
            most: at least so many of the vehicles nearest to the ego are there.
        """
        memories = self.state_dict()
        return self.with_state({name: one.index_select(0, envs) for name, one in memories.items()})

    def close(self) -> None:  # noqa: B027
        """Ends what runs beside this process; most traffic has nothing of the kind."""
