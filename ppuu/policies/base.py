"""Interface of policies: from an observation to acceleration and curvature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.observation import Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from .plan_snapshot import PlanSnapshot


class Policy(ABC):
    """Controls a batch of egos, one call for each frame.

    Attributes:
        observation: the history it requires; None for the current state alone.
        privileged: whether it uses the recording or the simulator beyond the observation.
    """

    observation: ObservationConfig | None = None
    privileged: bool = False

    @abstractmethod
    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Acceleration in m/s2 and curvature in 1/m for the coming frame."""

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:  # noqa: B027
        """Resets the internal state of these elements of the batch; most policies have none."""

    def networks(self) -> list[nn.Module]:
        """Its neural networks, if any."""
        return []

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """Planned path of the last action, from the ego's position; None without a plan."""
        return None

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """Candidates and predictions of the last plan, by element of the batch; empty without
        a plan."""
        return {}
