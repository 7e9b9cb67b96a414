"""What-if queries to a running simulator, for a privileged planner to plan with."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor


class TrafficProbe(ABC):
    """Rolls copies of a simulator's traffic out along paths of the egos."""

    @abstractmethod
    def take(self, rows: Int[Tensor, " some"]) -> TrafficProbe:
        """Some elements of the batch."""

    @abstractmethod
    def rollout(
        self, ego_path: Float[Tensor, "copies frames 4"], vehicle: Int[Tensor, "copies slots"]
    ) -> Float[Tensor, "copies slots frames 4"]:
        """States of vehicles at the coming frames if the egos followed their paths."""
