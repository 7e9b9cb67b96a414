"""Base classes of cost terms."""

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
    """A term of the driving cost; its parameters are non-negative numbers.

    Attributes:
        weight: in the weighted sum.
    """

    weight: float = 1.0

    def __post_init__(self):
        numbers = {
            field.name: value
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), float | int)
        }
        require_not_negative(f"cost {type(self).__name__}", **numbers)


class MassTerm(Term, ABC):
    """A function of the area (mass) under a mask attached to the ego."""

    @abstractmethod
    def mask(self, ego: EgoPath) -> EgoMask:
        """The weight of each position."""

    @abstractmethod
    def cost(
        self, mass_m2: Float[Tensor, "batch candidates samples time"], ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time"]:
        """The cost of a mass, separately for each sample."""


class VehicleTerm(MassTerm):
    """A cost of the mass of other vehicles.

    Attributes:
        lasts: whether planners charge the largest cost so far at every later time, too.
    """

    lasts: ClassVar[bool] = False


class RoadTerm(MassTerm):
    """A cost of the mass of lane lines, or of the area off the road.

    Attributes:
        channel: ``lanes`` or ``offroad``.
    """

    channel: ClassVar[RoadChannel]


class PathTerm(Term, ABC):
    """A cost of the ego's states and actions."""

    @abstractmethod
    def cost(self, rollout: Rollout) -> Float[Tensor, "batch candidates time"]:
        """The cost at each time."""
