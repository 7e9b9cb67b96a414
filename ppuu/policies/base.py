"""What a policy is: observation in, acceleration and curvature out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..observation import Observation, ObservationConfig
from ..raster import RoadMap
from ..scene import Scene


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
    """

    scene: Scene
    vehicle: Int[Tensor, " batch"]
    frame: Int[Tensor, " batch"]
    boxes: Float[Tensor, "batch slots 5"]
    speed_mps: Float[Tensor, "batch slots"]
    visible: Bool[Tensor, "batch slots"]
    road_map: RoadMap

    def take(self, rows: Int[Tensor, " some"]) -> Surroundings:
        """Some elements of the batch."""
        return Surroundings(
            self.scene, self.vehicle[rows], self.frame[rows], self.boxes[rows],
            self.speed_mps[rows], self.visible[rows], self.road_map,
        )  # fmt: skip


class Policy(ABC):
    """Drives a batch of egos, one call a recorded frame.

    Attributes:
        observation: the history it wants to see; None for the present state alone.
    """

    observation: ObservationConfig | None = None

    @abstractmethod
    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """Acceleration in m/s2 and curvature in 1/m for the coming frame."""

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:  # noqa: B027
        """Forgets what it remembers of these elements of the batch; most remember nothing."""
