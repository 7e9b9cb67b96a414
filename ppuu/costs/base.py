"""What a cost term is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ..predictions import EgoMask, EgoPath, RoadChannel, Rollout
from ..runtime.errors import require_not_negative


@dataclass(frozen=True)
class Term:
    """A term of the driving cost; its settings are numbers that are not negative.

    Attributes:
        weight: in the sum.
    """

    weight: float = 1.0

    def __post_init__(self):
        numbers = {
            field.name: value
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), float | int)
        }
        require_not_negative(f"cost {type(self).__name__}", **numbers)


class VehicleTerm(Term, ABC):
    """A function of the mass of other vehicles under a mask that rides on the ego."""

    @abstractmethod
    def mask(self, ego: EgoPath) -> EgoMask:
        """Where vehicles count."""

    @abstractmethod
    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """What so many square metres of them cost, in each sample by itself."""


class RoadTerm(Term, ABC):
    """A function of the lane lines, or of the area off the road, under such a mask."""

    channel: ClassVar[RoadChannel]

    @abstractmethod
    def mask(self, ego: EgoPath) -> EgoMask:
        """Where the road counts."""

    @abstractmethod
    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """What so many square metres of it cost."""


class PathTerm(Term, ABC):
    """A function of the ego's path."""

    @abstractmethod
    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """What driving so costs."""
