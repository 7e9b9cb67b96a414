"""The simulator's true state, for baselines and privileged planners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..recordings.scene import Scene
from .road_map import RoadMap


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
