"""What a policy is: observation in, acceleration and curvature out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.observation import Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from .plan_snapshot import PlanSnapshot


class Policy(ABC):
    """Drives a batch of egos, one call a recorded frame.

    Attributes:
        observation: the history it wants to see; None for the present state alone.
        privileged: whether it looks at what lies beside the simulator, past and future.
    """

    observation: ObservationConfig | None = None
    privileged: bool = False

    @abstractmethod
    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Acceleration in m/s2 and curvature in 1/m for the coming frame."""

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:  # noqa: B027
        """Forgets what it remembers of these elements of the batch; most remember nothing."""

    def networks(self) -> list[nn.Module]:
        """What it computes with, if anything was learned."""
        return []

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """Where it meant to drive when it last acted, from where it stood; None without a plan."""
        return None

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """What it considered when it last planned, by element of the batch; nothing if it does not
        plan."""
        return {}
