"""The simulator's true state, for baselines and privileged planners."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..recordings.scene import Scene
from .road_map import RoadMap
from .traffic_probe import TrafficProbe


@dataclass(frozen=True, eq=False)
class PrivilegedState:
    """The simulator's true state; learned policies ignore it.

    Attributes:
        scene: the recordings, past and future.
        vehicle: ``(batch,)`` the recorded vehicle that the ego replaces.
        frame: ``(batch,)`` the present, as a frame of the scene.
        boxes: ``(batch, slots, 5)`` the other vehicles now.
        speed_mps: ``(batch, slots)`` their speeds.
        valid: ``(batch, slots)`` which slots hold another vehicle.
        road_map: the roads of the scene's recordings.
        traffic_probe: rolls the other vehicles out along paths of the ego, where there is a
            simulator.
    """

    scene: Scene
    vehicle: Int[Tensor, " batch"]
    frame: Int[Tensor, " batch"]
    boxes: Float[Tensor, "batch slots 5"]
    speed_mps: Float[Tensor, "batch slots"]
    valid: Bool[Tensor, "batch slots"]
    road_map: RoadMap
    traffic_probe: TrafficProbe | None = None

    def take(self, rows: Int[Tensor, " some"]) -> PrivilegedState:
        """Some elements of the batch."""
        return PrivilegedState(
            self.scene, self.vehicle[rows], self.frame[rows], self.boxes[rows],
            self.speed_mps[rows], self.valid[rows], self.road_map,
            None if self.traffic_probe is None else self.traffic_probe.take(rows),
        )  # fmt: skip
