"""What a policy is: observation in, acceleration and curvature out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..perception.observation import Observation, ObservationConfig
from ..perception.road_map import RoadMap
from ..recordings.scene import Scene
from .plan_snapshot import PlanSnapshot


class TrueWorld(ABC):
    """A running simulator whose others can be tried out, for an oracle to plan in."""

    @abstractmethod
    def take(self, rows: Int[Tensor, " some"]) -> TrueWorld:
        """Some elements of the batch."""

    @abstractmethod
    def others_along(
        self, path: Float[Tensor, "copies frames 4"], vehicle: Int[Tensor, "copies slots"]
    ) -> Float[Tensor, "copies slots frames 4"]:
        """Where these vehicles would be at the coming frames if the egos drove along paths."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The simulator's true state, for baselines and privileged planners; learners must not look.

    Attributes:
        scene: the recordings, past and future.
        vehicle: ``(batch,)`` whose place the ego has taken.
        frame: ``(batch,)`` the present, as a frame of the scene.
        boxes: ``(batch, slots, 5)`` the others now.
        speed_mps: ``(batch, slots)`` their speeds.
        visible: ``(batch, slots)`` which slots hold another vehicle.
        road_map: the roads of the scene's recordings.
        true_world: the simulator, where there is one to be tried out.
    """

    scene: Scene
    vehicle: Int[Tensor, " batch"]
    frame: Int[Tensor, " batch"]
    boxes: Float[Tensor, "batch slots 5"]
    speed_mps: Float[Tensor, "batch slots"]
    visible: Bool[Tensor, "batch slots"]
    road_map: RoadMap
    true_world: TrueWorld | None = None

    def take(self, rows: Int[Tensor, " some"]) -> Surroundings:
        """Some elements of the batch."""
        return Surroundings(
            self.scene, self.vehicle[rows], self.frame[rows], self.boxes[rows],
            self.speed_mps[rows], self.visible[rows], self.road_map,
            None if self.true_world is None else self.true_world.take(rows),
        )  # fmt: skip


class Policy(ABC):
    """Drives a batch of egos, one call a recorded frame.

    Attributes:
        observation: the history it wants to see; None for the present state alone.
        privileged: whether it looks at what lies beside the simulator, past and future.
    """

    observation: ObservationConfig | None = None
    privileged: bool = False

    @abstractmethod
    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
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
